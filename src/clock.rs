//! The only place that reads the clock or makes ids. Everything else is handed times and ids, so that a test can
//! repeat what happened; `clippy.toml` enforces it.

use std::array;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::flow::FlowId;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The id that stands for a digest, made of its first half (RFC 9562, version 8): the same for the same one.
pub fn id_of(digest: [u8; 32]) -> FlowId {
    Uuid::new_v8(array::from_fn(|index| digest[index])).into()
}

/// A fresh random id (RFC 9562, version 4).
#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
pub fn new_id() -> FlowId {
    Uuid::new_v4().into()
}
