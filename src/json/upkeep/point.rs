//! The store at one point in time.

use std::sync::Arc;

use crate::disk::durable::Identity;
use crate::json::store::Store;
use crate::json::view::{View, Written};

/// The store at one point in time, and how much of it is on the disk.
pub(crate) struct Point {
    pub(crate) view: Arc<View>,
    /// The number of the last change.
    pub(crate) seq: u64,
    /// The end of the journal, and the size of its changes.
    pub(crate) journal_end: u64,
    pub(crate) journal_bytes: u64,
    pub(crate) needs_writing: bool,
    pub(crate) is_edited: bool,
    /// Whether the paths lead to the files of this process.
    pub(crate) is_in_place: bool,
    /// Whether this process holds the locks.
    pub(crate) is_held: bool,
}

impl Point {
    pub(crate) fn of(store: &Store) -> Option<Self> {
        let point = store.with_writer(|writer| {
            // The lock of the writer makes these values consistent.
            let view = store.view()?;
            let is_in_place = writer.restore_in_place().is_ok();
            let Written { identity, seq, is_whole, .. } = writer.written;
            let last = writer.last();
            let journal = writer.journal_segment();
            Some(Self {
                view,
                seq: last,
                journal_end: journal.as_ref().map_or(0, |journal| journal.end),
                journal_bytes: journal.as_ref().map_or(0, |journal| journal.end - journal.start),
                needs_writing: !is_whole || seq < last,
                is_in_place,
                is_held: writer.is_held(),
                is_edited: Identity::at(&store.path).ok().is_none_or(|now| now != identity),
            })
        });
        point.flatten()
    }
}
