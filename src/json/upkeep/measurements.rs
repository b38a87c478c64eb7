//! The measurements of the store.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::json::journal::Segment;
use crate::json::mutex::lock;
use crate::json::store::Store;
use crate::repository::Measurement;

impl Store {
    /// Returns the current measurements. A closed store does not report on its files.
    pub(crate) fn measurements(&self) -> Vec<Measurement> {
        let meters = &self.meters;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut all = vec![
            Measurement::counter("json_saves_total", "Calls saved to the journal.", count(&meters.saves)),
            Measurement::counter(
                "json_syncs_total",
                "Journal syncs that saved at least one call.",
                count(&meters.syncs),
            ),
            Measurement::counter(
                "json_checkpoints_total",
                "Successful writes of the JSON file.",
                count(&meters.checkpoints),
            ),
            Measurement::counter(
                "json_checkpoint_failures_total",
                "Failed writes of the JSON file.",
                count(&meters.failures),
            ),
            Measurement::gauge(
                "json_last_checkpoint_duration_seconds",
                "Duration of the last write of the JSON file; zero before the first write.",
                lock(&meters.last_checkpoint).as_secs_f64(),
            ),
        ];
        for (topic, count) in self.faults.counts() {
            let help = "Faults that require attention, by topic.";
            all.push(Measurement::gauge("json_faults", help, count as f64).labelled("topic", topic));
        }
        let Some(view) = self.view() else { return all };
        let length = |segment: &Option<Segment>| segment.as_ref().map_or(0, |segment| segment.end) as f64;
        all.extend([
            Measurement::gauge("json_journal_bytes", "Size of the journal.", length(&view.log.journal)),
            Measurement::gauge("json_history_bytes", "Size of the history.", length(&view.log.history)),
            Measurement::gauge(
                "json_unwritten_changes",
                "Changes in the journal that are not yet in the JSON file.",
                view.log.last.saturating_sub(count(&meters.written)) as f64,
            ),
            Measurement::gauge(
                "json_unwritten_seconds",
                "Time since the JSON file became outdated; zero if it is up to date.",
                self.schedule.age().as_secs_f64(),
            ),
        ]);
        all
    }
}
