//! `X-Request-Id`: one id for a request in the logs of the client, the proxy and the server.
//!
//! The layers of tower-http accept any id that a client sends, so this server does not use them.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::clock;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Maximum bytes of an id from a client.
const MAX_LENGTH: usize = 128;

/// Gives every request an id and adds it to the response. Accepts the id of the client if a log can contain it.
pub(crate) async fn assign_id(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(&X_REQUEST_ID).filter(|value| is_loggable(value)).cloned();
    let id = given.unwrap_or_else(|| {
        HeaderValue::try_from(clock::new_id().to_string()).expect("digits and hyphens are a header value")
    });
    request.headers_mut().insert(X_REQUEST_ID, id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

/// Returns the id of a request that has passed [`assign_id`].
pub(super) fn of(request: &Request) -> &str {
    request.headers().get(&X_REQUEST_ID).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_loggable(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}
