//! The current time for the retention. A jump of the clock pauses deletion.
//!
//! A clock that is once far ahead makes every record look old, and a deletion cannot be undone. Therefore age counts back
//! from a reading of the clock that is passed in, and a reading that differs from the monotonic clock pauses every deletion for a
//! while. An operator then has time to correct the clock. After the pause, the store trusts the clock again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// The difference between two clocks above which one of them has jumped.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);
/// The time between two changes from which on a jump is assumed even if the monotonic clock agrees, because it can jump too:
/// in a restored virtual machine, or in a program that runs under a simulated clock.
const LONG_GAP: TimeDelta = TimeDelta::days(30);
/// How long nothing is deleted after a jump.
const PAUSE: Duration = Duration::from_secs(3_600);

/// The readings of a clock.
#[derive(Debug, Default)]
pub(crate) struct RetentionClock(Mutex<Readings>);

#[derive(Debug, Default)]
struct Readings {
    /// The last reading, by both clocks.
    last: Option<(DateTime<Utc>, Instant)>,
    /// The latest time of a record that was ahead of the clock.
    ahead: Option<DateTime<Utc>>,
    pause: Option<Pause>,
}

#[derive(Debug)]
struct Pause {
    end: Instant,
    /// `None` if nothing indicates a fault.
    reason: Option<String>,
}

impl RetentionClock {
    /// Observes what the clock shows now. Pauses deletion if the clock has jumped since the last reading.
    pub(crate) fn observe(&self, now: DateTime<Utc>) {
        self.observe_at(now, Instant::now());
    }

    fn observe_at(&self, now: DateTime<Utc>, seen: Instant) {
        let mut readings = self.lock();
        let (last, expected) = readings.last.map_or((now, now), |last| (last.0, later(last, seen)));
        let jump = now - expected;
        if jump.abs() > TOLERANCE {
            let (direction, by) = if jump > TimeDelta::zero() { ("ahead", jump) } else { ("back", -jump) };
            readings.pause(seen, format!("the clock has jumped {direction} by {}, to {}", shown(by), at(now)));
        } else if now - last > LONG_GAP {
            let gap = shown(now - last);
            readings.pause(seen, format!("the clock shows {}, {gap} after the previous change", at(now)));
        }
        readings.last = Some((now, seen));
    }

    /// Starts with this time and the latest time of the records. Nothing is deleted for a while if the last change was long
    /// ago, because that looks the same as a clock that is ahead.
    #[cfg(feature = "json")]
    pub(crate) fn start(&self, now: DateTime<Utc>, latest: Option<DateTime<Utc>>) {
        let seen = Instant::now();
        self.observe_at(now, seen);
        let Some(latest) = latest else { return };
        self.observe_record_at(latest, seen);
        if now - latest > LONG_GAP {
            self.lock().pause.get_or_insert(Pause { end: seen + PAUSE, reason: None });
        }
    }

    /// Observes the latest time of the records. Pauses deletion if it is ahead of the clock.
    #[cfg(feature = "postgres")]
    pub(crate) fn observe_record(&self, latest: DateTime<Utc>) {
        self.observe_record_at(latest, Instant::now());
    }

    fn observe_record_at(&self, latest: DateTime<Utc>, seen: Instant) {
        let mut readings = self.lock();
        let Some(now) = readings.last.map(|last| later(last, seen)) else { return };
        let is_ahead = latest - now > TOLERANCE;
        if is_ahead && readings.ahead != Some(latest) {
            let reason = format!("a change has the time {}, but the clock shows {}", at(latest), at(now));
            readings.pause(seen, reason);
        }
        readings.ahead = is_ahead.then_some(latest);
    }

    /// Returns the time from which age counts back: that of the newest record, and at most the time that the clock shows. So
    /// neither a record from the future nor the clock alone makes records look old. Returns `None` before the first reading.
    pub(crate) fn reference(&self, newest: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let last = self.lock().last?;
        Some(newest.min(later(last, Instant::now())))
    }

    /// Whether nothing may be deleted at present.
    pub(crate) fn is_paused(&self) -> bool {
        self.lock().pause_at(Instant::now()).is_some()
    }

    /// Returns the fault that pauses deletion.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault_at(Instant::now())
    }

    fn fault_at(&self, now: Instant) -> Option<String> {
        let mut readings = self.lock();
        let Pause { end, reason } = readings.pause_at(now)?;
        let reason = reason.as_ref()?;
        let minutes = (*end - now).as_secs().div_ceil(60);
        Some(format!(
            "{reason}. No history is deleted for {minutes} min. Correct the clock if it is wrong, or the time of the flow"
        ))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Readings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readings {
    fn pause(&mut self, seen: Instant, reason: String) {
        tracing::warn!(reason, minutes = PAUSE.as_secs() / 60, "no history is deleted for a while");
        self.pause = Some(Pause { end: seen + PAUSE, reason: Some(reason) });
    }

    fn pause_at(&mut self, now: Instant) -> Option<&Pause> {
        self.pause.take_if(|pause| pause.end <= now);
        self.pause.as_ref()
    }
}

/// Returns what the clock shows at `seen` if it has not jumped since the last reading.
fn later((last, at): (DateTime<Utc>, Instant), seen: Instant) -> DateTime<Utc> {
    let elapsed = TimeDelta::from_std(seen.saturating_duration_since(at)).unwrap_or(TimeDelta::MAX);
    last.checked_add_signed(elapsed).unwrap_or(last)
}

fn shown(duration: TimeDelta) -> String {
    match (duration.num_days(), duration.num_hours()) {
        (0, 0) => format!("{} min", duration.num_minutes()),
        (0, hours) => format!("{hours} h"),
        (days, _) => format!("{days} days"),
    }
}

fn at(time: DateTime<Utc>) -> impl std::fmt::Display {
    time.format("%FT%TZ")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use chrono::{DateTime, TimeDelta, Utc};

    use super::{PAUSE, RetentionClock};

    fn start() -> (RetentionClock, DateTime<Utc>, Instant) {
        let (clock, now, seen) = (RetentionClock::default(), DateTime::UNIX_EPOCH, Instant::now());
        clock.observe_at(now, seen);
        (clock, now, seen)
    }

    #[test]
    fn steady_clock_never_pauses() {
        let (clock, now, seen) = start();
        for minutes in 1..10_000 {
            // The clock is slow by a second per minute.
            let reading = now + TimeDelta::seconds(59 * minutes);
            clock.observe_at(reading, seen + Duration::from_secs(60 * minutes as u64));
            clock.observe_record_at(reading, seen + Duration::from_secs(60 * minutes as u64));
        }
        assert_eq!(clock.fault_at(seen + Duration::from_secs(600_000)), None);
    }

    #[test]
    fn jumps_in_both_directions_pause_for_an_hour() {
        for (days, text) in [(27_000, "ahead by 27000 days"), (-400, "back by 400 days")] {
            let (clock, now, seen) = start();
            let jumped_at = seen + Duration::from_secs(60);
            let jumped = now + TimeDelta::minutes(1) + TimeDelta::days(days);
            clock.observe_at(jumped, jumped_at);
            let fault = clock.fault_at(jumped_at).unwrap();
            assert!(fault.contains(text) && fault.contains("60 min"), "{fault}");
            // From there, the clock is steady.
            clock.observe_at(jumped + TimeDelta::minutes(59), jumped_at + PAUSE - Duration::from_secs(60));
            assert!(clock.fault_at(jumped_at + PAUSE - Duration::from_secs(1)).is_some());
            assert_eq!(clock.fault_at(jumped_at + PAUSE), None);
        }
    }

    #[test]
    fn clock_that_jumps_there_and_back_pauses_from_the_last_jump() {
        let (clock, now, seen) = start();
        let (minute, later) = (Duration::from_secs(60), TimeDelta::days(27_000));
        clock.observe_at(now + later, seen + minute);
        clock.observe_at(now + TimeDelta::minutes(2), seen + 2 * minute);
        assert!(clock.fault_at(seen + minute + PAUSE).is_some());
        assert_eq!(clock.fault_at(seen + 2 * minute + PAUSE), None);
    }

    #[test]
    fn record_from_the_future_pauses_once_and_never_moves_the_reference() {
        let (clock, now, seen) = start();
        let future = now + TimeDelta::days(27_000);
        clock.observe_record_at(future, seen);
        assert!(clock.fault_at(seen).unwrap().contains("2043-12-04"));
        let reference = clock.reference(future).unwrap();
        assert!(reference - now < TimeDelta::hours(1), "{reference}");
        assert_eq!(clock.reference(now - TimeDelta::days(1)), Some(now - TimeDelta::days(1)));
        // The record is still present in the next rounds.
        clock.observe_record_at(future, seen + PAUSE / 2);
        assert_eq!(clock.fault_at(seen + PAUSE), None);
        clock.observe_record_at(future + TimeDelta::days(1), seen + PAUSE);
        assert!(clock.fault_at(seen + PAUSE).is_some(), "another one");
    }

    #[test]
    fn long_gaps_pause_although_both_clocks_agree() {
        let (clock, now, seen) = start();
        let day = Duration::from_secs(24 * 3_600);
        clock.observe_at(now + TimeDelta::days(29), seen + 29 * day);
        assert_eq!(clock.fault_at(seen + 29 * day), None);
        clock.observe_at(now + TimeDelta::days(60), seen + 60 * day);
        assert!(clock.fault_at(seen + 60 * day).unwrap().contains("31 days after the previous change"));
    }

    #[test]
    fn start_long_after_the_last_change_pauses_without_a_fault() {
        let now = DateTime::UNIX_EPOCH;
        for (latest, pauses, is_fault) in [
            (None, false, false),
            (Some(now - TimeDelta::days(29)), false, false),
            (Some(now - TimeDelta::days(31)), true, false),
            (Some(now + TimeDelta::days(1)), true, true),
        ] {
            let clock = RetentionClock::default();
            clock.start(now, latest);
            assert_eq!((clock.is_paused(), clock.fault().is_some()), (pauses, is_fault), "{latest:?}");
        }
    }

    #[test]
    fn nothing_is_known_before_the_first_reading() {
        let clock = RetentionClock::default();
        assert_eq!((clock.reference(DateTime::UNIX_EPOCH), clock.fault()), (None, None));
    }
}
