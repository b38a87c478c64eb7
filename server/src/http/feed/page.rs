//! Changes as clients receive them. The server serializes each change once, however many streams send it.

use std::mem;

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use strom_store::flow::{Flow, FlowId, GstState, Head};
use strom_store::repository::{Feed, FeedCursor, Operation, Record, Revision, Since};
use tokio::sync::OwnedSemaphorePermit;

use crate::http::respond::kibibytes;

/// A part of the feed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeedPart {
    pub(crate) since: Since,
    /// Maximum number of changes on a page.
    pub(crate) limit: u32,
    /// Maximum bytes of the documents on a page. A page contains at least one change, whatever its size.
    pub(crate) bytes: u64,
    /// Whether each change contains its flow.
    pub(crate) documents: bool,
}

/// One change. All clones share its texts.
#[derive(Debug, Clone)]
pub(crate) struct FeedChange {
    pub(crate) cursor: FeedCursor,
    pub(crate) operation: Operation,
    pub(crate) flow_id: FlowId,
    pub(crate) revision: Revision,
    pub(crate) state: GstState,
    /// For a restore: whether the flow was deleted before. `None` if the hub has not looked it up.
    pub(crate) was_deleted: Option<bool>,
    /// Bytes of the document.
    pub(super) size: u64,
    /// The JSON object without the flow and the closing brace.
    summary: Bytes,
    pub(super) document: Option<Bytes>,
}

#[derive(Serialize)]
struct ChangeSummary<'a> {
    cursor: String,
    op: &'static str,
    flow_id: FlowId,
    name: &'a str,
    revision: u64,
    at: DateTime<Utc>,
    author: &'a str,
}

impl FeedChange {
    fn of<T>(record: &Record<T>, head: &Head) -> Self {
        let Record { cursor, operation, revision, at, author, .. } = record;
        let summary = ChangeSummary {
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

    /// Returns the JSON object in parts, with the document if it is loaded. The object contains no line breaks.
    pub(crate) fn json(self) -> impl Iterator<Item = Bytes> {
        let flow = self.document.map(|document| [Bytes::from_static(br#","flow":"#), document]);
        [self.summary].into_iter().chain(flow.into_iter().flatten()).chain([Bytes::from_static(b"}")])
    }

    /// Returns a copy without the document.
    pub(super) fn without_document(&self) -> Self {
        Self { document: None, ..self.clone() }
    }

    /// Returns the approximate memory of the change without its document.
    pub(super) fn weight(&self) -> usize {
        mem::size_of::<Self>() + self.summary.len()
    }
}

/// Consecutive changes, and the cursor after them.
#[derive(Debug)]
pub(crate) struct FeedPage {
    pub(crate) changes: Vec<FeedChange>,
    pub(crate) next: FeedCursor,
}

impl FeedPage {
    pub(super) fn of(feed: &Feed<Head>) -> Self {
        let changes = feed.changes.iter().map(|record| FeedChange::of(record, &record.item));
        Self { changes: changes.collect(), next: feed.next }
    }

    /// Keeps the first changes whose documents have at most this number of bytes together, but at least one change. Returns the
    /// bytes of their documents.
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

    /// Returns the bytes of the documents of these changes, whether they are loaded or not.
    pub(super) fn size(&self) -> u64 {
        self.changes.iter().map(|change| change.size).sum()
    }

    /// Adds the documents. `feed` was read later from the same cursor: the repository may have dropped reports since, and there may
    /// be new changes, which belong to the next page.
    pub(super) fn with_documents(self, feed: Feed<Flow>, mut memory: OwnedSemaphorePermit) -> Self {
        let end = self.changes.last().map_or(self.next, |change| change.cursor);
        let same_page = feed.changes.into_iter().take_while(|record| record.cursor <= end);
        let changes = same_page.map(|record| {
            let change = FeedChange::of(&record, record.item.head());
            let memory = memory.split(memory.num_permits().min(kibibytes(change.size) as usize));
            FeedChange {
                document: Some(Bytes::from_owner(ReservedFlow { flow: record.item, _memory: memory })),
                ..change
            }
        });
        Self { changes: changes.collect(), next: self.next }
    }
}

/// A flow that uses the document budget until the last reference to its text is dropped.
struct ReservedFlow {
    flow: Flow,
    _memory: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for ReservedFlow {
    fn as_ref(&self) -> &[u8] {
        self.flow.document().get().as_bytes()
    }
}
