//! `GET /api/flows/{id}/history/{revision}`

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use crate::http::app::App;
use crate::http::extract::{PathId, parameters, query};
use crate::http::respond::description::{OnId, Past, Problems, Reads, examples};
use crate::http::respond::{NO_STORE, Problem, RevisionBody, RouteResult};

/// Returns one revision of a flow with its document.
#[utoipa::path(
    get, path = "/api/flows/{id}/history/{revision}", tag = "history", operation_id = "get_revision",
    params(parameters::Id, parameters::RevisionNumber),
    responses(
        (status = 200, description = "The revision.", body = RevisionBody, example = json!({
            "flow": examples::flow(), "revision": 3, "op": "update", "at": "2026-03-19T12:30:00Z", "author": "api",
        })),
        Problems<(OnId, Past, Reads)>,
    ),
)]
pub(crate) async fn revision(
    State(app): State<App>,
    PathId(id): PathId,
    Path((_, revision)): Path<(String, String)>,
) -> RouteResult {
    let missing = || Problem::no_such_revision(id, &revision);
    let number = query::revision("revision", &revision).map_err(|_| missing())?;
    let record = app.repository().revision(id, number).await?.ok_or_else(missing)?;
    Ok(([NO_STORE], Json(RevisionBody::of(&record))).into_response())
}
