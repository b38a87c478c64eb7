//! What has changed from one revision of a flow to another, in words; what `strom diff` says.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::answer::NO_STORE;
use super::flows::{Answer, PathId, no_such_flow};
use super::history::no_such_revision;
use super::openapi::{self, OnFlow, Parameters, Past, Problems, Reads, schemas};
use super::problem::{Kind, Problem};
use super::query::{number, parameters, unknown};
use super::stale::aside;
use crate::flow::{Difference, Flow, FlowId, MemberChange};
use crate::repository::{RepositoryError, Revision};

/// What differs, and between what.
#[derive(Serialize, ToSchema)]
struct Compared {
    from: u64,
    to: u64,
    /// At most 100.
    #[schema(value_type = Vec<schemas::MemberChange>, max_items = 100)]
    changes: Vec<MemberChange>,
    /// How many more there are.
    more: usize,
}

/// What has changed from one revision of a flow to another, of a flow that is there or deleted.
///
/// What a running engine reports does not count, and secrets are not shown.
#[utoipa::path(
    get, path = "/api/flows/{id}/diff", tag = "history", operation_id = "compare_revisions",
    params(openapi::Id, openapi::TwoRevisions),
    responses(
        (status = 200, description = "What differs; it may be nothing.", body = Compared, example = json!({
            "from": 2, "to": 3, "changes": [{
                "path": "$.elements[0].position", "kind": "moved",
                "words": "element `src` (audiotestsrc) was moved from [0,0] to [100,200]",
            }], "more": 0,
        })),
        Problems<(OnFlow, Parameters, Past, Reads)>,
    ),
)]
pub(super) async fn read(State(app): State<App>, PathId(id): PathId, RawQuery(query): RawQuery) -> Answer {
    let (mut from, mut to) = (None, None);
    for (name, value) in &parameters(query.as_deref().unwrap_or_default())? {
        let revision = || Ok::<_, Problem>(Revision::new(number(name, value, 1..=i64::MAX as u64)?));
        match name.as_ref() {
            "from" => from = Some(revision()?),
            "to" => to = Some(revision()?),
            _ => return Err(unknown(name)),
        }
    }
    let to = match to {
        Some(to) => to,
        None => app.before(id, None).await?.ok_or_else(|| no_such_flow(id))?,
    };
    let from = match from {
        Some(from) => from,
        None => app.before(id, Some(to)).await?.ok_or_else(|| first(id, to))?,
    };
    let (older, newer) = (app.revision(id, from).await?, app.revision(id, to).await?);
    let compared = aside(move || older.difference(&newer)).await;
    // Somebody wrote it by SQL, and we would have refused it.
    let Difference { changes, more } = compared.map_err(|refusal| RepositoryError::Corrupt(refusal.to_string()))?;
    Ok(([NO_STORE], Json(Compared { from: from.number(), to: to.number(), changes, more })).into_response())
}

impl App {
    /// The last revision that is kept before this one, or of all.
    async fn before(&self, id: FlowId, revision: Option<Revision>) -> Result<Option<Revision>, Problem> {
        let records = self.source.repository.history(id, revision, 1).await?;
        Ok(records.first().map(|record| record.revision))
    }

    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Flow, Problem> {
        let record = self.source.repository.revision(id, revision).await?;
        Ok(record.ok_or_else(|| no_such_revision(id, &revision.number().to_string()))?.item)
    }
}

fn first(id: FlowId, revision: Revision) -> Problem {
    Problem::new(Kind::NoSuchRevision, format!("of the flow {id} nothing before revision {revision} is kept"))
}
