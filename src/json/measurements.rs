//! What the store measures of itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Shared;
use super::segment::Segment;
use super::shared::lock;
use crate::repository::Measurement;

/// What has happened since the start. Whoever reads it must not wait for the writer, who may be waiting for the disk.
#[derive(Debug)]
pub(super) struct Meters {
    saves: AtomicU64,
    syncs: AtomicU64,
    checkpoints: AtomicU64,
    failures: AtomicU64,
    last_checkpoint: Mutex<Duration>,
    /// The last change that the file has.
    written: AtomicU64,
    /// Since when the file lacks what is being written to it just now.
    writing: Mutex<Option<Instant>>,
}

impl Meters {
    /// The file has everything up to this change.
    pub(super) fn starting(written: u64) -> Self {
        Self {
            saves: 0.into(),
            syncs: 0.into(),
            checkpoints: 0.into(),
            failures: 0.into(),
            last_checkpoint: Mutex::default(),
            written: written.into(),
            writing: Mutex::default(),
        }
    }

    /// So many calls were saved by one sync.
    pub(super) fn saved(&self, calls: usize) {
        self.saves.fetch_add(calls as u64, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    /// The file has everything up to this change now.
    pub(super) fn has_written(&self, seq: u64) {
        self.written.store(seq, Ordering::Relaxed);
    }

    /// Whether the file was written, or `None` where it could not be. That somebody has edited it meanwhile is no failure.
    pub(super) fn tried_to_write(&self, written: Option<bool>, took: Duration) {
        match written {
            Some(true) => {
                self.checkpoints.fetch_add(1, Ordering::Relaxed);
                *lock(&self.last_checkpoint) = took;
            }
            Some(false) => {}
            None => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// What the file lacks since then is being written.
    pub(super) fn set_writing(&self, since: Option<Instant>) {
        *lock(&self.writing) = since;
    }
}

impl Shared {
    /// As of now; what the files hold is not known any more when the store is closed.
    pub(super) fn measurements(&self) -> Vec<Measurement> {
        let meters = &self.meters;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut all = vec![
            Measurement::counter("json_saves_total", "Calls that were saved.", count(&meters.saves)),
            Measurement::counter(
                "json_syncs_total",
                "Syncs of the journal that saved one or more calls.",
                count(&meters.syncs),
            ),
            Measurement::counter(
                "json_checkpoints_total",
                "How often the file was written.",
                count(&meters.checkpoints),
            ),
            Measurement::counter(
                "json_checkpoint_failures_total",
                "How often the file could not be written.",
                count(&meters.failures),
            ),
            Measurement::gauge(
                "json_last_checkpoint_duration_seconds",
                "How long it took to write the file the last time, zero before the first.",
                lock(&meters.last_checkpoint).as_secs_f64(),
            ),
        ];
        for (topic, count) in self.faults.counts() {
            let help = "What somebody should look at, by what it is about.";
            all.push(Measurement::gauge("json_faults", help, count as f64).labelled("topic", topic));
        }
        let Some(view) = self.view() else { return all };
        let first = self.unwritten().map(|(first, _)| first);
        let oldest = first.into_iter().chain(*lock(&meters.writing)).min();
        let length = |segment: &Option<Segment>| segment.as_ref().map_or(0, |segment| segment.end) as f64;
        all.extend([
            Measurement::gauge("json_journal_bytes", "Size of the journal.", length(&view.log.journal)),
            Measurement::gauge("json_history_bytes", "Size of the history.", length(&view.log.history)),
            Measurement::gauge(
                "json_unwritten_changes",
                "Changes that are in the journal and not yet in the file.",
                view.log.last.saturating_sub(count(&meters.written)) as f64,
            ),
            Measurement::gauge(
                "json_unwritten_seconds",
                "For how long the file has been lacking something, zero when it is complete.",
                oldest.map_or(0.0, |since| since.elapsed().as_secs_f64()),
            ),
        ]);
        all
    }
}
