//! The middleware that knows the connection of a request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::admission::Activity;
use crate::http::respond::{Problem, ProblemKind};

/// The paths that reserved places serve.
const MONITORING: [&str; 3] = ["/health", "/ready", "/metrics"];

/// Records that the connection has sent a request. In a reserved place, serves only monitoring.
pub(super) async fn track(request: Request, next: Next) -> Response {
    let activity = request.extensions().get::<Arc<Activity>>();
    let is_reserved = activity.is_some_and(|activity| {
        activity.has_served.store(true, Ordering::Relaxed);
        activity.is_reserved
    });
    if !is_reserved || MONITORING.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let problem = Problem::new(ProblemKind::TooManyConnections, "nothing was done; try again");
    let mut response = problem.retry_after(Duration::from_secs(1)).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
