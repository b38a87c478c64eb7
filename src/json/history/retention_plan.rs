//! Decides which lines of the history the retention keeps.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::index::{Index, IndexedLine};
use crate::flow::FlowId;
use crate::repository::{Operation, Retention, THINNING};
use crate::retention_clock::RetentionClock;

/// The lines that the retention keeps.
#[derive(Debug, Default)]
pub(crate) struct RetentionPlan {
    /// In the order of the file.
    pub(crate) kept: Vec<(FlowId, IndexedLine)>,
    /// Their size.
    pub(crate) bytes: u64,
    /// The last line whose age has exceeded its limit. The feed begins after it.
    pub(crate) expired: Option<IndexedLine>,
}

impl RetentionPlan {
    /// Determines which of the lines before this offset to keep. Age counts back from the last change, and at most from the current
    /// time.
    pub(crate) fn find(index: &Index, end: u64, retention: Retention, clock: &RetentionClock) -> Self {
        let mut last: Option<IndexedLine> = None;
        index.each_flow(end, |_, lines| {
            let newer = lines.last().filter(|line| last.is_none_or(|last| line.offset > last.offset));
            last = newer.copied().or(last);
        });
        let mut plan = Self::default();
        let Some(last) = last else { return plan };
        let limits = Limits::of(retention, clock.reference(last.at()));
        index.each_flow(end, |id, lines| plan.add(id, lines, &limits, last.offset));
        plan.kept.sort_unstable_by_key(|(_, line)| line.offset);
        plan
    }

    fn add(&mut self, id: FlowId, lines: &[IndexedLine], limits: &Limits, end: u64) {
        let newest = lines.iter().rfind(|line| line.operation != Operation::State);
        let is_long_gone = newest.is_some_and(|line| line.operation == Operation::Delete && line.at() < limits.expired);
        let mut periods = limits.thinned.map(|_| HashSet::new());
        let mut later = 0;
        for (nth, line) in lines.iter().rev().enumerate() {
            let is_report = line.operation == Operation::State;
            let is_expired = is_long_gone || later >= limits.revisions && line.at() < limits.expired;
            let mut is_thinned = false;
            for ((limit, period), seen) in limits.thinned.iter().zip(&mut periods).filter(|_| !is_report) {
                let is_first = seen.insert(line.at().timestamp_micros().div_euclid(*period));
                is_thinned |= !is_first && line.at() < *limit;
            }
            // Only older versions wrote reports. The last line marks the end of the history.
            let is_removed = match is_report {
                true => nth > 0 || is_long_gone,
                false => is_expired || later >= limits.revisions && is_thinned,
            };
            if !is_removed || line.offset == end {
                self.bytes += u64::from(line.length) + 1;
                self.kept.push((id, *line));
            } else if is_expired && !is_report && self.expired.is_none_or(|expired| line.offset > expired.offset) {
                self.expired = Some(*line);
            }
            later += usize::from(!is_report);
        }
    }
}

/// The times that decide which revisions are removed.
struct Limits {
    revisions: usize,
    /// Revisions before it are removed.
    expired: DateTime<Utc>,
    /// Before these times, one revision per period of this many microseconds is kept.
    thinned: [(DateTime<Utc>, i64); THINNING.len()],
}

impl Limits {
    fn of(retention: Retention, reference: Option<DateTime<Utc>>) -> Self {
        let before = |age: TimeDelta| reference.and_then(|reference| reference.checked_sub_signed(age));
        let before = |age| before(age).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let thinned = THINNING.map(|stage| (before(stage.age), stage.period.num_microseconds().unwrap_or(i64::MAX)));
        Self { revisions: retention.revisions.max(1) as usize, expired: before(retention.age), thinned }
    }
}
