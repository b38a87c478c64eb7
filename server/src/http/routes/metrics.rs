//! `GET /metrics`
//!
//! This route needs no key: a key permits everything, and a monitoring system should not need permission to write. The response
//! contains numbers, names of routes and the version, but no flow, author, path or host.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::http::app::App;
use crate::http::respond::NO_STORE;
use crate::metrics::CONTENT_TYPE;

/// Returns all metrics in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "service", operation_id = "metrics",
    responses((
        status = 200, description = "The metrics.", body = String, content_type = CONTENT_TYPE,
        example = json!("# HELP …"),
    )),
)]
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let text = app.stack.metrics().text(app.in_flight.get()).await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE), NO_STORE], text)
}
