//! How long records are retained.

use chrono::{DateTime, TimeDelta, Utc};

/// How much history a store retains. The default is 50 revisions and 90 days.
///
/// - The last [`revisions`](Self::revisions) of each flow are always retained, and at least the last one.
/// - Of the others, those of the last hour are retained. Older ones thin out: a record is deleted if a newer revision of its flow lies
///   in the same minute, and after a day if one lies in the same hour. Minutes and hours are those of Unix time.
/// - A record is deleted when it is older than [`age`](Self::age).
/// - All records of a deleted flow are deleted when its deletion is older than `age`.
///
/// Age is counted from the time of the last change, and at most from the current time: a change with a time in the future makes
/// no other record old. After a jump of the clock, a store deletes nothing for an hour and reports a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The number of revisions to retain per flow, whatever their age.
    pub revisions: u32,
    /// The age from which on a revision is deleted.
    pub age: TimeDelta,
}

impl Retention {
    /// Returns whether a record of the time `at` thins out, if it is not among the last [`revisions`](Self::revisions) of its flow.
    /// `next` is the time of the next revision of the flow. Age is counted from `reference`.
    pub fn thins_out(at: DateTime<Utc>, next: DateTime<Utc>, reference: DateTime<Utc>) -> bool {
        THINNING.iter().any(|stage| {
            let period = |at: DateTime<Utc>| at.timestamp().div_euclid(stage.period.num_seconds());
            reference - at > stage.age && period(at) == period(next)
        })
    }
}

/// A stage of thinning: of the records older than [`age`](Self::age), the newest of each period is retained.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thinning {
    /// The age from which on records are deleted.
    pub(crate) age: TimeDelta,
    /// The length of the period.
    pub(crate) period: TimeDelta,
}

/// The stages of thinning.
pub(crate) const THINNING: [Thinning; 2] = [
    Thinning { age: TimeDelta::hours(1), period: TimeDelta::minutes(1) },
    Thinning { age: TimeDelta::days(1), period: TimeDelta::hours(1) },
];

impl Default for Retention {
    fn default() -> Self {
        Self { revisions: 50, age: TimeDelta::days(90) }
    }
}
