//! How long records are retained.

use chrono::TimeDelta;

/// How much history a store retains. The default is 50 revisions and 90 days.
///
/// - A record is deleted only if it is older than [`age`](Self::age) and not among the last
///   [`revisions`](Self::revisions) of its flow.
/// - The records of a deleted flow are deleted when its deletion is older than `age`.
/// - A report may be deleted as soon as its flow changes again.
/// - The newest record of an existing flow is always retained.
///
/// Age is counted from the time of the last change, and at most from the current time: a change with a time in the future makes
/// no other record old. After a jump of the clock, a store deletes nothing for an hour and reports a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The number of revisions to retain per flow, whatever their age.
    pub revisions: u32,
    /// The age up to which every revision is retained.
    pub age: TimeDelta,
}

impl Default for Retention {
    fn default() -> Self {
        Self { revisions: 50, age: TimeDelta::days(90) }
    }
}
