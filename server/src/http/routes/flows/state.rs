//! `PUT /api/flows/{id}/state`

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use strom_store::flow::GstState;
use strom_store::repository::Author;
use utoipa::ToSchema;

use crate::http::app::App;
use crate::http::extract::{JsonText, PathId, RequestPrecondition, decode, parameters};
use crate::http::respond::description::{Bodies, Conditional, OnFlow, Problems, Saved, Writes, schemas};
use crate::http::respond::{Problem, ProblemKind, RouteResult};
use crate::http::storage::{Edit, EditRequest, store_edit};

/// The state that an engine reports.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Report)]
struct StateReport {
    #[schema(value_type = schemas::GstState)]
    state: String,
}

/// Stores the state that an engine reports. Creates no revision, so the `If-Match` of an editor remains valid.
#[utoipa::path(
    put, path = "/api/flows/{id}/state", tag = "flows", operation_id = "report_state",
    params(parameters::Id, parameters::IfMatch),
    request_body(content = StateReport, example = json!({ "state": "Playing" })),
    responses(Saved, Problems<(OnFlow, Conditional, Bodies, Writes)>),
)]
pub(crate) async fn report_state(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> RouteResult {
    let precondition = RequestPrecondition::of_change(&headers)?;
    let StateReport { state } = decode(&text)?;
    let state: GstState = state
        .parse()
        .map_err(|error| Problem::new(ProblemKind::Refused, format!("`$.state`: {error}")).at("$.state"))?;
    let request = EditRequest { id, precondition, merge: None, author };
    store_edit(&app, request, Edit::Part(&|flow| Ok(flow.with_state(state)?))).await
}
