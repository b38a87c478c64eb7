//! Counters of the store.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::json::mutex::lock;

/// Counters since the start. Reading them does not wait for the writer, which may wait for the disk.
#[derive(Debug)]
pub(crate) struct Meters {
    pub(crate) saves: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) last_checkpoint: Mutex<Duration>,
    /// The last change that the file contains.
    pub(crate) written: AtomicU64,
}

impl Meters {
    /// Starts with a file that contains every change up to this one.
    pub(crate) fn starting(written: u64) -> Self {
        Self {
            saves: 0.into(),
            syncs: 0.into(),
            checkpoints: 0.into(),
            failures: 0.into(),
            last_checkpoint: Mutex::default(),
            written: written.into(),
        }
    }

    /// Counts calls that one sync saved.
    pub(crate) fn saved(&self, calls: usize) {
        self.saves.fetch_add(calls as u64, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that the file contains every change up to this one.
    pub(crate) fn has_written(&self, seq: u64) {
        self.written.store(seq, Ordering::Relaxed);
    }

    /// Counts a checkpoint. `written` is `None` if it failed, and false if another program has edited the file, which
    /// is not a failure.
    pub(crate) fn tried_to_write(&self, written: Option<bool>, took: Duration) {
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
}
