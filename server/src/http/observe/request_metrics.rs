//! The counter of requests.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::IntoResponse;

use crate::http::app::App;

/// Counts a request by the pattern of its route, so that the number of counters does not depend on the paths of requests.
pub(crate) async fn count_request(State(app): State<App>, request: Request, next: Next) -> impl IntoResponse {
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let running = app.stack.metrics().requests().begin(name_of(request.method()), route);
    let response = next.run(request).await;
    running.end(response.status().as_u16());
    response
}

/// Clients may invent methods, so all others share one name.
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
