//! `GET /api/flows/{id}/diff`

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use serde::Serialize;
use strom_store::flow::{Difference, Flow, FlowId, MemberChange};
use strom_store::repository::{FlowRepository, RepositoryError, Revision};
use utoipa::ToSchema;

use crate::http::app::App;
use crate::http::extract::query::DiffQuery;
use crate::http::extract::{PathId, parameters};
use crate::http::respond::description::{OnFlow, Parameters, Past, Problems, Reads, schemas};
use crate::http::respond::{NO_STORE, Problem, ProblemKind, RouteResult};
use crate::http::storage::run_blocking;

/// The difference between two revisions.
#[derive(Serialize, ToSchema)]
#[schema(as = Compared)]
struct DiffBody {
    from: u64,
    to: u64,
    /// The changes, at most 100.
    #[schema(value_type = Vec<schemas::MemberChange>, max_items = 100)]
    changes: Vec<MemberChange>,
    /// The number of further changes.
    more: usize,
}

/// Returns the changes between two revisions of a flow. Also works for a deleted flow.
///
/// Ignores runtime members and hides secrets.
#[utoipa::path(
    get, path = "/api/flows/{id}/diff", tag = "history", operation_id = "compare_revisions",
    params(parameters::Id, parameters::DiffParameters),
    responses(
        (status = 200, description = "The changes. The list may be empty.", body = DiffBody, example = json!({
            "from": 2, "to": 3, "changes": [{
                "path": "$.elements[0].position", "kind": "moved",
                "words": "element `src` (audiotestsrc) was moved from [0,0] to [100,200]",
            }], "more": 0,
        })),
        Problems<(OnFlow, Parameters, Past, Reads)>,
    ),
)]
pub(crate) async fn diff(State(app): State<App>, PathId(id): PathId, RawQuery(query): RawQuery) -> RouteResult {
    let DiffQuery { from, to } = DiffQuery::parse(query.as_deref())?;
    let repository = app.repository();
    let to = match to {
        Some(to) => to,
        None => newest_before(repository, id, None).await?.ok_or_else(|| Problem::no_such_flow(id))?,
    };
    let from = match from {
        Some(from) => from,
        None => newest_before(repository, id, Some(to)).await?.ok_or_else(|| no_revision_before(id, to))?,
    };
    let (older, newer) = (flow_at(repository, id, from).await?, flow_at(repository, id, to).await?);
    let difference = run_blocking(move || older.difference(&newer)).await;
    // The difference fails only for a document that SQL wrote and that the server would reject.
    let Difference { changes, more, .. } =
        difference.map_err(|refusal| RepositoryError::Corrupt(refusal.to_string()))?;
    Ok(([NO_STORE], Json(DiffBody { from: from.number(), to: to.number(), changes, more })).into_response())
}

/// Returns the newest retained revision before this one, or the newest of all.
async fn newest_before(
    repository: &dyn FlowRepository,
    id: FlowId,
    revision: Option<Revision>,
) -> Result<Option<Revision>, Problem> {
    let records = repository.history(id, revision, 1).await?;
    Ok(records.first().map(|record| record.revision))
}

async fn flow_at(repository: &dyn FlowRepository, id: FlowId, revision: Revision) -> Result<Flow, Problem> {
    let record = repository.revision(id, revision).await?;
    Ok(record.ok_or_else(|| Problem::no_such_revision(id, revision))?.item)
}

fn no_revision_before(id: FlowId, revision: Revision) -> Problem {
    Problem::new(
        ProblemKind::NoSuchRevision,
        format!("the flow {id} has no retained revision before revision {revision}"),
    )
}
