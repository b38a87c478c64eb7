//! What readers see: the flows as of one moment.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::selection::Flows;
use crate::clock;

/// Flows as the database had them at one moment, as far as they are kept.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) flows: Flows,
    /// Whether these are all. Flows that start by themselves are never missing.
    pub(super) is_complete: bool,
    pub(super) as_of: Moment,
}

/// A moment by two clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// By the calendar, which may be set back, but goes on while no Strom runs.
    pub(super) at: DateTime<Utc>,
    /// By the clock that nobody sets. Of a moment of an earlier process it is when its trace was found.
    seen: Instant,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self::found(clock::now())
    }

    /// A moment that an earlier process has noted.
    pub(super) fn found(at: DateTime<Utc>) -> Self {
        Self { at, seen: Instant::now() }
    }

    /// How long ago it was: by the clock that says more, since what is old must not look new.
    pub(super) fn age(&self, now: DateTime<Utc>) -> Duration {
        (now - self.at).to_std().unwrap_or_default().max(self.seen.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;

    use super::Moment;

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_younger() {
        let moment = Moment::now();
        std::thread::sleep(Duration::from_millis(20));
        let set_back = moment.at - TimeDelta::hours(1);
        assert!(moment.age(set_back) >= Duration::from_millis(20));
        let later = moment.at + TimeDelta::hours(1);
        assert_eq!(moment.age(later), Duration::from_secs(3_600));
    }
}
