//! `GET /api/flows/{id}`

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use strom_store::repository::Stored;

use crate::http::app::App;
use crate::http::extract::{PathId, client_has, parameters};
use crate::http::respond::description::{Headers, OnFlow, OneFlow, Problems, Reads};
use crate::http::respond::{Problem, RouteResult, flow, flow_not_modified};
use crate::http::storage::read;

/// Returns one flow.
#[utoipa::path(
    get, path = "/api/flows/{id}", tag = "flows", operation_id = "get_flow",
    params(parameters::Id, parameters::IfChanged),
    responses(OneFlow, Problems<(OnFlow, Headers, Reads)>),
)]
pub(crate) async fn get(State(app): State<App>, PathId(id): PathId, headers: HeaderMap) -> RouteResult {
    let (stale, found) = read(&app.stack, |repository| repository.get(id)).await?;
    let Stored { item, version } = found.ok_or_else(|| Problem::no_such_flow(id))?;
    let response = match client_has(&headers, version.revision)? {
        true => flow_not_modified(version.revision),
        false => flow(&item, version.revision),
    };
    Ok((stale, response).into_response())
}
