//! Times and ids for tests that need no fixed ones.

use chrono::{DateTime, Utc};
use strom_store::FlowId;
use uuid::Uuid;

/// Returns the current time.
#[expect(clippy::disallowed_methods, reason = "tests are an edge of the system")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Returns a random id.
#[expect(clippy::disallowed_methods, reason = "tests are an edge of the system")]
pub fn new_id() -> FlowId {
    Uuid::new_v4().into()
}
