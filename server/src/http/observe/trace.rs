//! The span and the log line of each request.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::http::{StatusCode, header};
use axum::response::Response;
use tracing::Span;
use tracing::field::{Empty, display};

use super::request_id;

/// Maximum bytes of a path in the log and in responses.
const MAX_PATH: usize = 256;

/// Creates the span of a request. It contains the path without the query, because a query may contain a key.
pub(crate) fn request_span(request: &Request) -> Span {
    let (path, id) = (shortened(request.uri().path()), request_id::of(request));
    let peer = request.extensions().get().map(|ConnectInfo::<SocketAddr>(peer)| display(*peer));
    // `guard::authenticate` records the author.
    tracing::info_span!("http", method = %request.method(), path, id, peer, author = Empty)
}

/// Returns the start of a path, because a client may send up to 64 KiB.
pub(crate) fn shortened(path: &str) -> &str {
    path.get(..MAX_PATH).unwrap_or(path)
}

pub(crate) fn log_response(response: &Response, took: Duration, _: &Span) {
    let (status, ms) = (response.status().as_u16(), took.as_millis() as u64);
    tracing::info!(status, ms, created = created_flow(response), "answered");
}

/// Returns the id of the created flow.
fn created_flow(response: &Response) -> Option<&str> {
    let location = response.headers().get(header::LOCATION).filter(|_| response.status() == StatusCode::CREATED)?;
    location.to_str().ok()?.strip_prefix("/api/flows/")
}
