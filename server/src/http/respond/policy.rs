//! Headers of every response.

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::cache::NO_STORE;

/// Adds `X-Content-Type-Options`, so that browsers do not guess types, and `Cache-Control` to responses without a policy of their own.
pub(crate) async fn add_policies(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let (name, policy) = NO_STORE;
    headers.entry(name).or_insert(HeaderValue::from_static(policy));
    response
}
