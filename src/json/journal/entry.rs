//! A change as the journal records it.

use chrono::{DateTime, Utc};

use crate::flow::Flow;
use crate::repository::{Author, Operation, Revision, Stamp, Stored, Version};

/// The SHA-256 of a document without its runtime members.
pub(crate) type Hash = [u8; 32];

/// The data of a deleted flow that the store retains forever, so that its revisions continue if it is created again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tombstone {
    pub(crate) revision: Revision,
    pub(crate) at: DateTime<Utc>,
    pub(crate) author: Author,
}

impl Tombstone {
    /// Builds the tombstone of a deletion.
    pub(crate) fn by(stamp: &Stamp, revision: Revision) -> Self {
        let Stamp { at, author } = stamp.clone();
        Self { revision, at, author }
    }
}

/// The newest report of a flow that has not changed since. The current document contains it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    /// The number of the change.
    pub(crate) seq: u64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) author: Author,
}

/// A flow without its document.
#[derive(Debug, Clone)]
pub(crate) struct FlowVersion {
    pub(crate) version: Version,
    pub(crate) hash: Hash,
    pub(crate) report: Option<Report>,
}

/// A change without its document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChangeMeta {
    pub(crate) operation: Operation,
    pub(crate) revision: Revision,
    pub(crate) at: DateTime<Utc>,
    pub(crate) author: Author,
    /// The time at which the flow was created.
    pub(crate) created_at: DateTime<Utc>,
    /// The hash of the document.
    pub(crate) hash: Hash,
}

impl ChangeMeta {
    /// Returns the version of the flow after the change.
    pub(crate) fn version(&self) -> Version {
        let Self { revision, created_at, at, author, .. } = self;
        Version { revision: *revision, created_at: *created_at, updated_at: *at, author: author.clone() }
    }

    /// Returns the report if the change is one.
    pub(crate) fn report(&self, seq: u64) -> Option<Report> {
        let Self { at, author, .. } = self;
        (self.operation == Operation::State).then(|| Report { seq, at: *at, author: author.clone() })
    }

    /// Returns the tombstone if the change is a deletion.
    pub(crate) fn tombstone(&self) -> Tombstone {
        Tombstone { revision: self.revision, at: self.at, author: self.author.clone() }
    }
}

/// A change to write to the journal.
#[derive(Debug, Clone)]
pub(crate) struct JournalEntry {
    pub(crate) meta: ChangeMeta,
    /// The flow after the change. For a deletion, the flow before it.
    pub(crate) flow: Flow,
}

impl JournalEntry {
    /// Builds an entry with the time and author of the stamp.
    pub(crate) fn by(
        stamp: &Stamp,
        operation: Operation,
        revision: Revision,
        created_at: DateTime<Utc>,
        hash: Hash,
        flow: Flow,
    ) -> Self {
        let Stamp { at, author } = stamp.clone();
        Self { meta: ChangeMeta { operation, revision, at, author, created_at, hash }, flow }
    }

    /// Builds the entry of a deletion, which has the next revision.
    pub(crate) fn deletion(stored: &Stored<Flow>, hash: Hash, stamp: &Stamp) -> Self {
        let Version { revision, created_at, .. } = stored.version;
        Self::by(stamp, Operation::Delete, revision.next(), created_at, hash, stored.item.clone())
    }
}
