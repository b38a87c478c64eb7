//! Decides which lines of the history the retention keeps.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;

use chrono::{DateTime, Utc};

use crate::flow::FlowId;
use crate::json::journal::Segment;
use crate::json::journal::line::{self, Line};
use crate::repository::{Operation, Retention, Revision};
use crate::retention_clock::RetentionClock;

/// The lines that the retention keeps.
pub(crate) struct RetentionPlan {
    /// The time from which on every change is kept.
    since: DateTime<Utc>,
    /// The first revision to keep per flow. `None` for a flow whose deletion is older than the retention.
    from: HashMap<FlowId, Option<Revision>>,
    /// The last change, which marks the end of the history.
    last: u64,
    pub(crate) bytes: u64,
    /// The last change that is removed.
    pub(crate) horizon: u64,
}

impl RetentionPlan {
    /// Determines what to keep. Age counts back from the last change, and at most from the current time.
    pub(crate) fn find(segment: &Segment, retention: Retention, clock: &RetentionClock) -> io::Result<Self> {
        let mut newest = DateTime::<Utc>::MIN_UTC;
        // Per flow: its revisions, and the time of its deletion if the last one deleted it.
        let mut flows: HashMap<FlowId, (Vec<Revision>, Option<DateTime<Utc>>)> = HashMap::new();
        let mut last = 0;
        segment.each_line(0, |_, text, _| {
            if let Some(Line::Change(change)) = line::parse(text) {
                newest = change.meta.at;
                last = change.seq;
                let (revisions, deleted) = flows.entry(change.id).or_default();
                if change.meta.operation != Operation::State {
                    revisions.push(change.meta.revision);
                    *deleted = (change.meta.operation == Operation::Delete).then_some(change.meta.at);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let since = clock.reference(newest).and_then(|reference| reference.checked_sub_signed(retention.age));
        let since = since.unwrap_or(DateTime::<Utc>::MIN_UTC);
        let from = flows.into_iter().map(|(id, (revisions, deleted))| {
            let first = revisions.len().saturating_sub(retention.revisions.max(1) as usize);
            let is_long_gone = deleted.is_some_and(|at| at < since);
            (id, (!is_long_gone).then(|| revisions.get(first).copied().unwrap_or(Revision::FIRST)))
        });
        let mut keep = Self { since, from: from.collect(), last, bytes: 0, horizon: 0 };
        segment.each_line(0, |_, text, _| {
            if keep.keeps(text) {
                keep.bytes += text.len() as u64 + 1;
            } else if let Some(seq) = line::seq_of(text) {
                keep.horizon = keep.horizon.max(seq);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(keep)
    }

    pub(crate) fn keeps(&self, text: &[u8]) -> bool {
        match line::parse(text) {
            Some(Line::Change(change)) => {
                let from = self.from.get(&change.id).copied().flatten();
                change.meta.at >= self.since
                    || change.seq == self.last
                    || from.is_some_and(|from| change.meta.revision >= from)
            }
            // The line belongs to no known flow.
            _ => false,
        }
    }
}
