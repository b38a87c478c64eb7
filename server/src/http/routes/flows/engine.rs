//! `POST /api/flows/{id}/start` and `POST /api/flows/{id}/stop`. This program has no engine.

use axum::extract::State;

use crate::http::app::App;
use crate::http::extract::{PathId, parameters};
use crate::http::respond::description::{Engine, OnFlow, Problems, Reads};
use crate::http::respond::{Problem, ProblemKind, RouteResult};

/// Starts a flow. Returns 501, because this build has no engine.
#[utoipa::path(
    post, path = "/api/flows/{id}/start", tag = "flows", operation_id = "start_flow",
    params(parameters::Id),
    responses(Problems<(OnFlow, Engine, Reads)>),
)]
pub(crate) async fn start(State(app): State<App>, PathId(id): PathId) -> RouteResult {
    app.repository().get(id).await?.ok_or_else(|| Problem::no_such_flow(id))?;
    Err(Problem::new(ProblemKind::NoEngine, "this server only stores flows; an engine starts and stops them"))
}

/// Stops a flow. Returns 501, because this build has no engine.
#[utoipa::path(
    post, path = "/api/flows/{id}/stop", tag = "flows", operation_id = "stop_flow",
    params(parameters::Id),
    responses(Problems<(OnFlow, Engine, Reads)>),
)]
pub(crate) async fn stop(app: State<App>, id: PathId) -> RouteResult {
    start(app, id).await
}
