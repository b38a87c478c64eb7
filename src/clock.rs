//! The only place that reads the clock or makes ids. Everything else is handed times and ids, so that a test can
//! repeat what happened; `clippy.toml` enforces it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::flow::FlowId;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A fresh random id (RFC 9562, version 4).
#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
pub fn new_id() -> FlowId {
    Uuid::new_v4().into()
}
