//! What readers see: the flows at one point in time, and the changes that this instance has acknowledged since then.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::selection::Flows;

/// The selected flows of the database at one point in time, with later changes of this instance.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) flows: Flows,
    pub(super) coverage: Coverage,
    pub(super) as_of: Moment,
}

/// Which flows of the database a view contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// All flows.
    Complete,
    /// All flows with `auto_restart`, and others as far as they fit.
    Limited,
    /// Only flows that this instance has changed, because the database was not read yet.
    Changes,
}

/// A point in time by two clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// The calendar time, which may be set back but advances while no process runs.
    pub(super) at: DateTime<Utc>,
    /// The monotonic time. For a state of an earlier process, the time at which its file was read.
    seen: Instant,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self::recorded(now())
    }

    /// Builds a point in time that an earlier process has recorded.
    pub(super) fn recorded(at: DateTime<Utc>) -> Self {
        Self { at, seen: Instant::now() }
    }

    /// Returns the age by the clock that reports more, so that old data never looks new.
    pub(super) fn age(&self, now: DateTime<Utc>) -> Duration {
        (now - self.at).to_std().unwrap_or_default().max(self.seen.elapsed())
    }
}

/// Returns the current time. Only the copy reads the clock, because its age must advance while no caller passes a
/// time.
#[expect(clippy::disallowed_methods, reason = "the age of the copy")]
pub(super) fn now() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use chrono::TimeDelta;

    use super::Moment;

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_younger() {
        let minute = Duration::from_secs(60);
        let moment = Moment { seen: Instant::now().checked_sub(minute).unwrap(), ..Moment::now() };
        let set_back = moment.at - TimeDelta::hours(1);
        assert!(moment.age(set_back) >= minute);
        let later = moment.at + TimeDelta::hours(1);
        assert_eq!(moment.age(later), Duration::from_secs(3_600));
    }
}
