//! `GET /metrics`, and the counting of requests.
//!
//! No key is asked for: a key opens everything, and whoever watches a server should not have to hold the right to write.
//! What is shown are numbers, names of routes and the version; no flow, author, path or host.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::IntoResponse;

use super::App;
use super::answer::NO_STORE;
use crate::metrics::CONTENT_TYPE;

/// Everything that is measured, in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "service", operation_id = "metrics",
    responses((
        status = 200, description = "The measurements.", body = String, content_type = CONTENT_TYPE,
        example = json!("# HELP …"),
    )),
)]
pub(super) async fn read(State(app): State<App>) -> impl IntoResponse {
    let text = app.metrics.text(app.in_flight.get()).await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE), NO_STORE], text)
}

/// Counts a request by the pattern of its route, so that there are as many counters as routes and not as paths.
pub(super) async fn count(State(app): State<App>, request: Request, next: Next) -> impl IntoResponse {
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let running = app.metrics.requests().begin(name_of(request.method()), route);
    let response = next.run(request).await;
    running.end(response.status().as_u16());
    response
}

/// Clients may make up methods.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
