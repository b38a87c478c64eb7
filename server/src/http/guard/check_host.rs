//! The middleware that checks host names and origins.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::Access;
use super::hosts::{check_host_field, check_origin};
use crate::http::app::App;

/// The path that accepts every name. Probes use their own names, and the response reveals nothing.
pub(crate) const UNCHECKED_PATH: &str = "/health";

/// The start of the paths that pages of other sites must not even read: a script could measure the time or the size of a response.
pub(crate) const API: &str = "/api/";

/// Rejects requests that a page of another site may have sent.
pub(crate) async fn check_host(State(app): State<App>, request: Request, next: Next) -> Response {
    let checked = check_host_field(&request).and_then(|()| match request.uri().path() {
        UNCHECKED_PATH => Ok(()),
        _ => app.hosts.check(&request).and_then(|()| match app.access {
            Access::Anonymous if !request.method().is_safe() || request.uri().path().starts_with(API) => {
                match app.origins.permitted(request.headers()) {
                    Some(_) => Ok(()),
                    None => check_origin(request.headers()),
                }
            }
            _ => Ok(()),
        }),
    });
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}
