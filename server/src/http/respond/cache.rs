//! Values of `Cache-Control`.

use axum::http::{HeaderName, header};

/// For flows. They may contain passphrases, so only the client may cache them, and it must revalidate them.
pub(crate) const PRIVATE_NO_CACHE: (HeaderName, &str) = (header::CACHE_CONTROL, "private, no-cache");

/// For exports and import reports.
pub(crate) const PRIVATE_NO_STORE: (HeaderName, &str) = (header::CACHE_CONTROL, "private, no-store");

/// For responses that are outdated immediately, such as the state of the server.
pub(crate) const NO_STORE: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");
