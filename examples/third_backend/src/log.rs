//! The records of all changes: histories and the change feed.

use std::cmp::Reverse;
use std::ops::Bound::{Excluded, Unbounded};

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use strom_store::repository::{Feed, FeedCursor, Operation, Record, RepositoryError, Result, Revision, Since};
use strom_store::{Flow, FlowId};

/// All changes in the order in which they were made, numbered from 1.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    id: u64,
    pub(crate) records: RedBlackTreeMapSync<u64, Record<Flow>>,
    /// The number of the newest report of each flow that has not changed since.
    reports: HashTrieMapSync<FlowId, u64>,
    /// The number of the last change.
    pub(crate) last: u64,
    /// The number of the newest record that has expired. A reader before it has missed a change.
    pub(crate) horizon: u64,
}

impl Log {
    /// Returns an empty log. Another log has another id, so that it rejects the cursors of this one.
    pub(crate) fn new(id: u64) -> Self {
        let (records, reports) = (RedBlackTreeMapSync::new_sync(), HashTrieMapSync::new_sync());
        Self { id, records, reports, last: 0, horizon: 0 }
    }

    /// Appends a record and assigns its cursor. Deletes the previous report of the flow, which the record supersedes.
    pub(crate) fn append(&mut self, mut record: Record<Flow>) {
        self.last += 1;
        record.cursor = self.cursor(self.last);
        let id = record.item.id();
        if let Some(report) = self.reports.get(&id).copied() {
            self.records.remove_mut(&report);
            self.reports.remove_mut(&id);
        }
        if record.operation == Operation::State {
            self.reports.insert_mut(id, self.last);
        }
        self.records.insert_mut(self.last, record);
    }

    /// Returns at most `limit` changes. `view` selects the document or its head.
    pub(crate) fn page<T>(&self, since: Since, limit: u32, view: impl Fn(&Flow) -> T) -> Result<Feed<T>> {
        let after = match since {
            Since::Oldest => self.horizon,
            Since::Now => self.last,
            Since::After(cursor) if self.contains(cursor) => cursor.number(),
            Since::After(_) => return Err(RepositoryError::Gone),
        };
        let following = self.records.range((Excluded(after), Unbounded)).map(|(_, record)| record);
        let changes: Vec<_> =
            following.take(limit as usize).map(|record| record.clone().map(|flow| view(&flow))).collect();
        let next = changes.last().map_or(self.cursor(after), |last| last.cursor);
        Ok(Feed::new(changes, next, self.cursor(self.last)))
    }

    /// Returns whether the cursor is of this log and no change after it has expired.
    pub(crate) fn contains(&self, cursor: FeedCursor) -> bool {
        let is_ours = (cursor.log(), cursor.transaction()) == (self.id, 0);
        is_ours && (self.horizon..=self.last).contains(&cursor.number())
    }

    /// Returns all revisions of all flows. Reports are not revisions.
    pub(crate) fn revisions(&self) -> impl DoubleEndedIterator<Item = &Record<Flow>> {
        self.records.values().filter(|record| record.operation != Operation::State)
    }

    /// Returns the revisions of a flow, newest first.
    pub(crate) fn history(&self, id: FlowId) -> impl Iterator<Item = &Record<Flow>> {
        self.revisions().rev().filter(move |record| record.item.id() == id)
    }

    /// Returns the last deletion of each of these deleted flows, latest first, deletions of one time by id.
    pub(crate) fn deleted(&self, tombstones: &HashTrieMapSync<FlowId, Revision>) -> Vec<&Record<Flow>> {
        let is_last = |record: &&Record<Flow>| tombstones.get(&record.item.id()) == Some(&record.revision);
        let mut deleted: Vec<_> = self.revisions().filter(is_last).collect();
        deleted.sort_by_key(|record| (Reverse(record.at), record.item.id()));
        deleted
    }

    fn cursor(&self, number: u64) -> FeedCursor {
        FeedCursor::new(self.id, 0, number)
    }
}
