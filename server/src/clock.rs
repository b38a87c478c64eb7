//! The only module that reads the clock and creates ids. All other code receives times and ids as arguments, so that tests
//! are reproducible. `clippy.toml` enforces this.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use strom_store::flow::FlowId;

/// Returns the current time.
#[expect(clippy::disallowed_methods, reason = "the only module that may")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Returns a new random id (RFC 9562, version 4).
#[expect(clippy::disallowed_methods, reason = "the only module that may")]
pub fn new_id() -> FlowId {
    Uuid::new_v4().into()
}
