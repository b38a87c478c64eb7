//! `DELETE /api/flows/{id}`

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use strom_store::repository::{Author, Change};

use crate::http::app::App;
use crate::http::extract::{PathId, RequestPrecondition, parameters};
use crate::http::respond::RouteResult;
use crate::http::respond::description::{Conditional, Deleted, OnFlow, Problems, Writes};
use crate::http::storage::{AttemptedChange, apply_if, conflict_problem};

/// Deletes a flow. The server retains its history, so the flow can be restored.
#[utoipa::path(
    delete, path = "/api/flows/{id}", tag = "flows", operation_id = "delete_flow",
    params(parameters::Id, parameters::IfMatch),
    responses(Deleted, Problems<(OnFlow, Conditional, Writes)>),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    headers: HeaderMap,
) -> RouteResult {
    let precondition = RequestPrecondition::of_change(&headers)?;
    let change = |precondition| Change::Delete(id, precondition);
    match apply_if(app.repository(), &precondition, change, author).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(error) => Err(conflict_problem(app.repository(), error, id, &precondition, AttemptedChange::Delete).await),
    }
}
