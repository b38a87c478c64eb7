//! Changes as they are sent: written as JSON once, however many streams send them.

use std::mem;

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::flow::{Flow, FlowId, GstState, Head};
use crate::http::room::kibibytes;
use crate::repository::{Feed, FeedCursor, Operation, Record, Revision};

/// One change. Its texts are shared by all copies of it.
#[derive(Debug, Clone)]
pub(in crate::http) struct Change {
    pub(in crate::http) cursor: FeedCursor,
    pub(in crate::http) operation: Operation,
    pub(in crate::http) flow_id: FlowId,
    pub(in crate::http) revision: Revision,
    pub(in crate::http) state: GstState,
    /// Of a restore: whether the flow was deleted before. `None` where nobody has looked.
    pub(in crate::http) was_deleted: Option<bool>,
    /// Of the document.
    pub(super) size: u64,
    /// The JSON object without the flow and without the brace behind it.
    summary: Bytes,
    pub(super) document: Option<Bytes>,
}

#[derive(Serialize)]
struct Summary<'a> {
    cursor: String,
    op: &'static str,
    flow_id: FlowId,
    name: &'a str,
    revision: u64,
    at: DateTime<Utc>,
    author: &'a str,
}

impl Change {
    fn of<T>(record: &Record<T>, head: &Head) -> Self {
        let Record { cursor, operation, revision, at, author, .. } = record;
        let summary = Summary {
            cursor: cursor.to_string(),
            op: operation.as_str(),
            flow_id: head.id,
            name: &head.name,
            revision: revision.number(),
            at: *at,
            author: author.as_str(),
        };
        let mut summary = serde_json::to_vec(&summary).expect("strings and numbers become JSON");
        summary.pop();
        Self {
            cursor: *cursor,
            operation: *operation,
            flow_id: head.id,
            revision: *revision,
            state: head.state,
            was_deleted: None,
            size: head.size,
            summary: summary.into(),
            document: None,
        }
    }

    /// The JSON object in pieces, with the document where there is one. It has no line breaks.
    pub(in crate::http) fn json(self) -> impl Iterator<Item = Bytes> {
        let flow = self.document.map(|document| [Bytes::from_static(br#","flow":"#), document]);
        [self.summary].into_iter().chain(flow.into_iter().flatten()).chain([Bytes::from_static(b"}")])
    }

    /// The same without its document.
    pub(super) fn without_document(&self) -> Self {
        Self { document: None, ..self.clone() }
    }

    /// Bytes of memory without the document's, about.
    pub(super) fn weight(&self) -> usize {
        mem::size_of::<Self>() + self.summary.len()
    }
}

/// Changes that follow each other, and the place behind them.
#[derive(Debug)]
pub(in crate::http) struct Page {
    pub(in crate::http) changes: Vec<Change>,
    pub(in crate::http) next: FeedCursor,
}

impl Page {
    pub(super) fn of(feed: &Feed<Head>) -> Self {
        let changes = feed.changes.iter().map(|record| Change::of(record, &record.item));
        Self { changes: changes.collect(), next: feed.next }
    }

    /// Leaves so many changes that their documents have no more bytes than these, one at least, and says how many bytes
    /// they have.
    pub(super) fn shorten(&mut self, bytes: u64) -> u64 {
        let mut sum = 0;
        let fitting = self.changes.iter().take_while(|change| {
            sum += change.size;
            sum <= bytes
        });
        let count = fitting.count().max(1).min(self.changes.len());
        if count < self.changes.len() {
            self.changes.truncate(count);
            self.next = self.changes[count - 1].cursor;
        }
        self.size()
    }

    /// Bytes of the documents of these changes, whether they are here or not.
    pub(super) fn size(&self) -> u64 {
        self.changes.iter().map(|change| change.size).sum()
    }

    /// The same page with documents. `feed` was read later, from the same place: reports may have gone since, and others
    /// have come in behind, which belong to the next page.
    pub(super) fn with_documents(self, feed: Feed<Flow>, mut room: OwnedSemaphorePermit) -> Self {
        let end = self.changes.last().map_or(self.next, |change| change.cursor);
        let here = feed.changes.into_iter().take_while(|record| record.cursor <= end);
        let changes = here.map(|record| {
            let change = Change::of(&record, record.item.head());
            let room = room.split(room.num_permits().min(kibibytes(change.size) as usize));
            Change { document: Some(Bytes::from_owner(Held { flow: record.item, _room: room })), ..change }
        });
        Self { changes: changes.collect(), next: self.next }
    }
}

/// A flow that takes up room as long as anybody holds its text.
struct Held {
    flow: Flow,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.flow.document().get().as_bytes()
    }
}
