//! [`Batch`]: the part of a list of changes that one statement carries, and how it is read.

use std::io;
use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::flow::Flow;
use crate::postgres::error::{Error, Result};
use crate::repository::{Change, ChangeList, Stamp};

/// Limits of one batch, so that a large import needs little memory on either side.
pub(super) const BATCH_FLOWS: usize = 1_000;
pub(super) const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// The changes that one statement carries.
pub(super) struct Batch<'a> {
    pub(super) changes: &'a [Change],
    /// The index of the first change in the list.
    pub(super) first: usize,
    pub(super) stamp: &'a Stamp,
    /// The ids of all flows that the call has restored so far, for the trigger that records the changes at the end of
    /// the transaction.
    pub(super) restored: &'a str,
}

/// Appends the ids of the flows that these changes restore to a comma-separated list.
pub(super) fn append_restored(mut restored: String, changes: &[Change]) -> String {
    for change in changes.iter().filter(|change| matches!(change, Change::Restore(..))) {
        if !restored.is_empty() {
            restored.push(',');
        }
        restored.push_str(&change.id().to_string());
    }
    restored
}

/// A read of the changes of a batch. A list of several changes may be on a disk, so a blocking task reads it. The task
/// of the call can do other work in the meantime.
pub(super) enum BatchRead {
    Done(io::Result<Vec<Change>>),
    Running(JoinHandle<io::Result<Vec<Change>>>),
}

impl BatchRead {
    /// Starts to read the batch that begins at index `first`.
    pub(super) fn start(changes: &Arc<dyn ChangeList>, first: usize) -> Self {
        let changes = Arc::clone(changes);
        match changes.len() {
            1 => Self::Done(read(&*changes, first)),
            _ => Self::Running(spawn_blocking(move || read(&*changes, first))),
        }
    }

    /// Waits for the changes, at least one.
    pub(super) async fn finish(self) -> Result<Vec<Change>> {
        let read = match self {
            Self::Done(read) => read,
            Self::Running(task) => task.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked))),
        };
        read.map_err(Error::Unreadable)
    }
}

fn read(changes: &dyn ChangeList, first: usize) -> io::Result<Vec<Change>> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    for index in first..changes.len().min(first + BATCH_FLOWS) {
        let change = changes.change(index)?;
        bytes += size(&change);
        // The next batch reads this change again.
        if bytes > BATCH_BYTES && !batch.is_empty() {
            break;
        }
        batch.push(change);
    }
    Ok(batch)
}

fn size(change: &Change) -> usize {
    let size = |flow: &Flow| flow.document().get().len();
    let history = match change {
        Change::Inherit(chronicle) => chronicle.records().iter().map(|record| size(&record.item)).sum(),
        _ => 0,
    };
    history + change.flow().map_or(0, size)
}
