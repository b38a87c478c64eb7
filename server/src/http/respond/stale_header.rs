//! The header `Strom-Stale`.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponseParts, ResponseParts};

const STROM_STALE: HeaderName = HeaderName::from_static("strom-stale");

/// The maximum age of data from the last-known copy. `None` if the response comes from the storage; then there is no header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StaleHeader(pub(crate) Option<Duration>);

impl IntoResponseParts for StaleHeader {
    type Error = Infallible;

    /// Rounds up to whole seconds, because the header promises a maximum.
    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        if let Some(age) = self.0 {
            let partial_second = u64::from(age.subsec_nanos() > 0);
            parts.headers_mut().insert(STROM_STALE, HeaderValue::from(age.as_secs() + partial_second));
        }
        Ok(parts)
    }
}
