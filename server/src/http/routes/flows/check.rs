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
use crate::http::respond::{Problem, RouteResult, WarningBody, warnings};
use crate::http::storage::read;

/// The warnings about a flow.
#[derive(Serialize, ToSchema)]
#[schema(as = Check)]
struct CheckBody {
    warnings: Vec<WarningBody>,
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
    Ok((stale, Json(CheckBody { warnings })).into_response())
}

/// Returns the warnings of the document and of the comparison with other flows.
async fn check_flow(repository: &dyn FlowRepository, id: FlowId) -> RepositoryResult<Option<Vec<WarningBody>>> {
    let Some(Stored { item: flow, .. }) = repository.get(id).await? else { return Ok(None) };
    let shared = claims::shared_with_stored(repository, &flow).await?;
    Ok(Some(warnings(&flow).into_iter().chain(shared.into_iter().map(WarningBody::from)).collect()))
}
