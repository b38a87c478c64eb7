//! How the statements of the retention yield to other work.

use std::time::Instant;

/// Pause after a statement that deleted nothing, as a multiple of its duration: examining flows takes at most a
/// twentieth of one connection, for any number of flows.
const PAUSE_AFTER_EXAMINING: u32 = 20;
/// Pause after a statement that deleted records, which must keep up with the saves.
const PAUSE_AFTER_DELETING: u32 = 1;
/// The maximum number of records that one statement deletes.
pub(super) const DELETED_RECORDS: i64 = 500;
/// The key of the advisory lock that each statement tries, until the end of its transaction; "RETAIN" in ASCII. A
/// session lock would not work through a pooler.
pub(super) const LOCK_KEY: i64 = 0x52_45_54_41_49_4e;

/// How much a round yields to other work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// With pauses between the statements.
    Considerate,
    /// Without pauses, for tests.
    Immediate,
}

impl Pace {
    /// Waits after a statement that deleted this many records.
    pub(super) async fn pause(self, started_at: Instant, deleted: i64) {
        if self == Self::Considerate {
            let times = if deleted > 0 { PAUSE_AFTER_DELETING } else { PAUSE_AFTER_EXAMINING };
            tokio::time::sleep(started_at.elapsed() * times).await;
        }
    }
}
