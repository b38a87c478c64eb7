//! [`SaveQueue`]: the saves that wait for the group commit.

use std::collections::HashSet;
use std::mem;

use tokio::sync::oneshot;

use super::save::Save;
use crate::repository::{Applied, Result};

/// Number of statements that may run at once: while the server syncs one, it works on the other.
const MAX_FLUSHERS: usize = 2;
/// Limits of one statement.
const BATCH_SAVES: usize = 64;
const BATCH_BYTES: usize = 1024 * 1024;

/// The saves that wait, in the order of their arrival, and the number of tasks that flush them.
#[derive(Debug, Default)]
pub(super) struct SaveQueue {
    saves: Vec<QueuedSave>,
    flushers: usize,
    next_ticket: u64,
}

/// A save, and the channel to its caller.
#[derive(Debug)]
pub(super) struct QueuedSave {
    ticket: u64,
    pub(super) save: Save,
    pub(super) reply: oneshot::Sender<Result<Vec<Applied>>>,
}

impl SaveQueue {
    /// Appends a save. Returns its ticket, and whether the caller has to start a flusher, which is counted already.
    pub(super) fn push(&mut self, save: Save, reply: oneshot::Sender<Result<Vec<Applied>>>) -> (u64, bool) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.saves.push(QueuedSave { ticket, save, reply });
        let needs_flusher = self.flushers < MAX_FLUSHERS;
        self.flushers += usize::from(needs_flusher);
        (ticket, needs_flusher)
    }

    /// Removes a save. Returns whether it still waited.
    pub(super) fn withdraw(&mut self, ticket: u64) -> bool {
        let index = self.saves.iter().position(|queued| queued.ticket == ticket);
        index.map(|index| self.saves.remove(index)).is_some()
    }

    /// Takes the next batch, in order, with at most one save per flow. `None` ends the flusher, which is no longer
    /// counted.
    pub(super) fn take_batch(&mut self) -> Option<Vec<QueuedSave>> {
        let (mut ids, mut bytes) = (HashSet::new(), 0);
        let (mut batch, mut rest) = (Vec::new(), Vec::new());
        for queued in mem::take(&mut self.saves) {
            bytes += queued.save.flow.document().get().len();
            let fits = batch.is_empty() || batch.len() < BATCH_SAVES && bytes <= BATCH_BYTES;
            // A later save of the same flow waits, even if the earlier one did not fit.
            if ids.insert(queued.save.id()) && fits {
                batch.push(queued);
            } else {
                rest.push(queued);
            }
        }
        self.saves = rest;
        self.flushers -= usize::from(batch.is_empty());
        (!batch.is_empty()).then_some(batch)
    }
}
