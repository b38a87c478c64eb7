//! Origins whose pages may use the API: CORS (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! The layer of tower-http answers every `OPTIONS` request, also those that ask for the methods of a path. This middleware answers
//! preflight requests of permitted origins only. There are no credentials to allow: keys are in headers, not in cookies.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::app::App;

const METHODS: &str = "GET, HEAD, PUT, POST, PATCH, DELETE";
const REQUEST_HEADERS: &str =
    "accept, authorization, content-type, if-match, if-none-match, last-event-id, x-api-key, x-request-id";
const RESPONSE_HEADERS: &str =
    "accept-patch, allow, content-disposition, etag, location, retry-after, strom-stale, x-request-id";
/// Seconds for which a browser may remember a permission.
const MAX_AGE: &str = "600";
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The permitted origins, such as `https://studio.example.org`. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Arc<[String]>);

impl FromIterator<String> for Origins {
    fn from_iter<I: IntoIterator<Item = String>>(origins: I) -> Self {
        Self(origins.into_iter().collect())
    }
}

impl Origins {
    /// Returns the origin of the request if it is permitted.
    pub(crate) fn permitted<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.0.iter().any(|permitted| permitted.eq_ignore_ascii_case(text)).then_some(origin)
    }
}

/// Answers preflight requests of permitted origins, and permits their pages to read responses.
pub(crate) async fn permit_origins(State(app): State<App>, request: Request, next: Next) -> Response {
    if app.origins.0.is_empty() {
        return next.run(request).await;
    }
    let origin = app.origins.permitted(request.headers()).cloned();
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match origin {
        Some(_) if is_preflight => {
            let headers = [
                (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
                (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
                (ALLOW_PRIVATE_NETWORK, "true"),
            ];
            (StatusCode::NO_CONTENT, headers).into_response()
        }
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
    }
    response
}
