//! `GET /api/flows/{id}/check`

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;
use strom_store::flow::FlowId;
use strom_store::repository::{FlowRepository, Result as RepositoryResult, Stored};
use utoipa::ToSchema;

use crate::claims;
use crate::http::app::App;
use crate::http::extract::{PathId, parameters};
use crate::http::respond::description::{OnFlow, Problems, Reads};
use crate::http::respond::{PRIVATE_NO_CACHE, Problem, RouteResult, WarningBody, Warnings};
use crate::http::storage::read;

/// The warnings about a flow.
#[derive(Serialize, ToSchema)]
#[schema(as = Check)]
struct CheckBody {
    /// The warnings, at most 100.
    #[schema(max_items = 100)]
    warnings: Vec<WarningBody>,
    /// The number of all warnings, if the list does not contain all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    warnings_total: Option<usize>,
}

/// Returns warnings about a flow, also about conflicts with other flows.
#[utoipa::path(
    get, path = "/api/flows/{id}/check", tag = "flows", operation_id = "check_flow",
    params(parameters::Id),
    responses(
        (
            status = 200, description = "The warnings. The list may be empty.", body = CheckBody,
            headers(("Strom-Stale" = u64, description = "Maximum age of the data in seconds. Present only during an \
                                                         outage of the storage.")),
            example = json!({ "warnings": [{ "path": "$.elements[0].position", "message": "the position is null" }] }),
        ),
        Problems<(OnFlow, Reads)>,
    ),
)]
pub(crate) async fn check(State(app): State<App>, PathId(id): PathId) -> RouteResult {
    let (stale, found) = read(&app.stack, |repository| Box::pin(check_flow(repository, id))).await?;
    let warnings = found.ok_or_else(|| Problem::no_such_flow(id))?;
    let warnings_total = warnings.omitted_total();
    Ok((stale, [PRIVATE_NO_CACHE], Json(CheckBody { warnings: warnings.list, warnings_total })).into_response())
}

/// Returns the warnings of the document and of the comparison with other flows.
async fn check_flow(repository: &dyn FlowRepository, id: FlowId) -> RepositoryResult<Option<Warnings>> {
    let Some(Stored { item: flow, .. }) = repository.get(id).await? else { return Ok(None) };
    let shared = claims::shared_with_stored(repository, &flow).await?;
    let mut warnings = Warnings::of(&flow);
    warnings.extend(shared);
    Ok(Some(warnings))
}
