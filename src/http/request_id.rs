//! `X-Request-Id`: one name for a request in the log of the client, of the proxy and of the server.
//!
//! Not by the layers of tower-http, which take whatever a client sends.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::clock;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest name taken from a client, in bytes.
const LONGEST: usize = 128;

/// Gives every request an id and tells it in the answer: the client's, where it sends one that a log can hold, else a
/// fresh one.
pub(super) async fn name(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(&X_REQUEST_ID).filter(|value| is_loggable(value)).cloned();
    let id = given.unwrap_or_else(|| {
        HeaderValue::try_from(clock::new_id().to_string()).expect("digits and hyphens are a header value")
    });
    request.headers_mut().insert(X_REQUEST_ID, id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

/// The id of a request that has passed [`name`].
pub(super) fn of(request: &Request) -> &str {
    request.headers().get(&X_REQUEST_ID).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_loggable(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}
