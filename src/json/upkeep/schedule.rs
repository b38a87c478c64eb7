//! Decides when a checkpoint writes the file.
//!
//! A checkpoint writes the whole file, so its cost has no relation to what has changed. A budget limits it: it fills with time
//! and with changed bytes, and each checkpoint spends the size of the file. A checkpoint may overdraw it, and the next one
//! waits until it is refilled. So the wait is bounded, however large the file is: a second per megabyte.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::json::mutex::lock;
use crate::json::settings::Settings;

/// The bytes per second that checkpoints may write on average.
const BYTES_PER_SECOND: f64 = 1_000_000.0;
/// The bytes that they may write per changed byte, if that is more.
const BYTES_PER_CHANGED_BYTE: f64 = 20.0;
/// The bytes that the budget saves at most while nothing is written, for files that are edited rarely.
const SAVED_BYTES: f64 = 16_000_000.0;
/// Under load, the pause between checkpoints is this many times the duration of the last one, so that writing a large
/// file does not slow down saves.
pub(super) const PAUSE: u32 = 20;

/// The changes that the file lacks, and the budget of checkpoints. Its times are those of tokio, so that tests can advance them.
#[derive(Debug)]
pub(crate) struct Schedule(Mutex<State>);

#[derive(Debug)]
struct State {
    unwritten: Option<Unwritten>,
    /// The changes that the current checkpoint writes.
    writing: Option<Unwritten>,
    /// When the last checkpoint ended.
    written: Option<Instant>,
    budget: Budget,
}

/// Changes that the file lacks.
#[derive(Debug, Clone, Copy)]
struct Unwritten {
    /// The times of the first and the last change.
    first: Instant,
    last: Instant,
    /// Whether all of them are reports.
    is_reports: bool,
}

/// The bytes that checkpoints may write.
#[derive(Debug)]
struct Budget {
    /// The bytes that were left after the last checkpoint.
    rest: f64,
    /// The time and the changed bytes since then.
    since: Instant,
    changed: u64,
}

impl Schedule {
    /// Starts with a file that contains all changes, or lacks some.
    pub(crate) fn starting(is_whole: bool) -> Self {
        let now = Instant::now();
        let unwritten = (!is_whole).then_some(Unwritten { first: now, last: now, is_reports: false });
        let budget = Budget { rest: SAVED_BYTES, since: now, changed: 0 };
        Self(Mutex::new(State { unwritten, writing: None, written: None, budget }))
    }

    /// Records that the file lacks a change of this many bytes. Returns whether it lacked none before.
    pub(crate) fn add(&self, bytes: u64, is_report: bool) -> bool {
        let now = Instant::now();
        let mut state = lock(&self.0);
        state.budget.changed += bytes;
        let change = Unwritten { first: now, last: now, is_reports: is_report };
        let before = state.unwritten;
        state.unwritten = Some(before.map_or(change, |before| before.and(change)));
        before.is_none()
    }

    /// Whether the file lacks changes.
    pub(crate) fn has_unwritten(&self) -> bool {
        lock(&self.0).unwritten.is_some()
    }

    /// Whether a checkpoint should write the file now. `cost` is the duration of the last checkpoint.
    pub(super) fn is_due(&self, settings: &Settings, cost: Duration) -> bool {
        let now = Instant::now();
        let state = lock(&self.0);
        let Some(Unwritten { first, last, is_reports }) = state.unwritten else { return false };
        let is_settled = now >= last + settings.quiet || now >= first + settings.interval.max(cost * PAUSE);
        let is_early = is_reports && state.written.is_some_and(|written| now < written + settings.report_interval);
        is_settled && !is_early && state.budget.at(now) > 0.0
    }

    /// Begins a checkpoint.
    pub(super) fn begin(&self) {
        let mut state = lock(&self.0);
        state.writing = state.unwritten.take();
    }

    /// Records that the checkpoint has written this many bytes.
    pub(super) fn spend(&self, bytes: u64) {
        let now = Instant::now();
        let mut state = lock(&self.0);
        state.budget = Budget { rest: state.budget.at(now) - bytes as f64, since: now, changed: 0 };
        state.written = Some(now);
    }

    /// Ends a checkpoint. If it has failed, the file still lacks its changes.
    pub(super) fn end(&self, is_written: bool) {
        let mut state = lock(&self.0);
        if let Some(writing) = state.writing.take().filter(|_| !is_written) {
            state.unwritten = Some(state.unwritten.map_or(writing, |later| writing.and(later)));
        }
    }

    /// Returns for how long the file has lacked a change.
    pub(super) fn age(&self) -> Duration {
        let state = lock(&self.0);
        let first = state.unwritten.into_iter().chain(state.writing).map(|unwritten| unwritten.first).min();
        first.map_or(Duration::ZERO, |first| first.elapsed())
    }
}

impl Unwritten {
    fn and(self, later: Self) -> Self {
        Self { first: self.first, last: later.last, is_reports: self.is_reports && later.is_reports }
    }
}

impl Budget {
    /// Returns the bytes that are left at this time.
    fn at(&self, now: Instant) -> f64 {
        let by_time = (now - self.since).as_secs_f64() * BYTES_PER_SECOND;
        let by_changes = self.changed as f64 * BYTES_PER_CHANGED_BYTE;
        (self.rest + by_time.max(by_changes)).min(SAVED_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::{SAVED_BYTES, Schedule};
    use crate::json::settings::Settings;

    const SECOND: Duration = Duration::from_secs(1);

    /// Makes a change every this long for an hour. Returns the number of checkpoints of a file of this size.
    async fn checkpoints(size: u64, changed: u64, every: Duration, is_report: bool) -> u64 {
        let (schedule, settings) = (Schedule::starting(true), Settings::default());
        let begin = Instant::now();
        let mut next = begin;
        let mut count = 0;
        while begin.elapsed() < 3_600 * SECOND {
            if Instant::now() >= next {
                next += every;
                schedule.add(changed, is_report);
            }
            if schedule.is_due(&settings, Duration::ZERO) {
                schedule.begin();
                schedule.spend(size);
                schedule.end(true);
                count += 1;
            }
            advance(SECOND / 10).await;
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn checkpoints_write_in_proportion_to_time_or_to_changes() {
        const MEGABYTE: u64 = 1_000_000;
        for (size, changed) in [(10 * MEGABYTE, 10_000), (200 * MEGABYTE, 10_000), (100 * MEGABYTE, MEGABYTE / 2)] {
            let count = checkpoints(size, changed, 3 * SECOND / 2, false).await;
            let (by_time, by_changes) = (3_600 * MEGABYTE, 20 * changed * 2_400);
            let allowed = by_time.max(by_changes) + SAVED_BYTES as u64 + size;
            assert!(count * size <= allowed, "{count} of {size} bytes with {changed} changed bytes each");
            assert!(count * size >= allowed / 2, "the budget is used: {count} of {size} bytes");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn checkpoint_of_a_small_file_follows_each_change() {
        assert_eq!(checkpoints(100_000, 1_000, 2 * SECOND, false).await, 1_800);
    }

    #[tokio::test(start_paused = true)]
    async fn reports_alone_cause_one_checkpoint_per_minute() {
        let count = checkpoints(100_000, 10_000, 3 * SECOND / 2, true).await;
        assert!((58..=61).contains(&count), "{count}");
        // The last report is written, although no other change follows.
        assert_eq!(checkpoints(100_000, 10_000, 1_800 * SECOND, true).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn overdrawn_budget_delays_a_checkpoint_by_a_second_per_megabyte() {
        let (schedule, settings) = (Schedule::starting(true), Settings::default());
        schedule.spend(SAVED_BYTES as u64 + 300_000_000);
        schedule.add(1_000, false);
        advance(299 * SECOND).await;
        assert!(!schedule.is_due(&settings, Duration::ZERO));
        advance(2 * SECOND).await;
        assert!(schedule.is_due(&settings, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn failed_checkpoint_is_due_again() {
        let (schedule, settings) = (Schedule::starting(true), Settings::default());
        assert!(schedule.add(1, false) && !schedule.add(1, true));
        advance(SECOND).await;
        schedule.begin();
        assert!(!schedule.has_unwritten() && schedule.age() == SECOND);
        schedule.end(false);
        assert!(schedule.is_due(&settings, Duration::ZERO));
        schedule.begin();
        schedule.end(true);
        assert!(!schedule.has_unwritten() && schedule.age() == Duration::ZERO);
    }
}
