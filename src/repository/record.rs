//! Records of changes: the entries of histories and of the change feed.

use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::feed_cursor::FeedCursor;
use super::revision::Revision;
use super::stamp::Author;

/// A change that was made. `T` is the flow, or its head in calls that do not read documents.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Record<T> {
    /// The position in the feed. [`FeedCursor::NOWHERE`] for the record of an ephemeral flow, which is not in a feed.
    pub cursor: FeedCursor,
    /// The kind of the change.
    pub operation: Operation,
    /// The flow after the change; for a deletion, the flow that was deleted.
    pub item: T,
    /// The revision that the change made; for a [report](Operation::State), the current revision.
    pub revision: Revision,
    /// When the change was made.
    pub at: DateTime<Utc>,
    /// The author of the change.
    pub author: Author,
}

impl<T> Record<T> {
    /// Returns the record of a change.
    pub const fn new(
        cursor: FeedCursor,
        operation: Operation,
        item: T,
        revision: Revision,
        at: DateTime<Utc>,
        author: Author,
    ) -> Self {
        Self { cursor, operation, item, revision, at, author }
    }

    /// Returns the same record with a converted flow.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Record<U> {
        let Self { cursor, operation, item, revision, at, author } = self;
        Record { cursor, operation, item: convert(item), revision, at, author }
    }
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The flow was created.
    Create,
    /// The content was replaced.
    Update,
    /// The flow was deleted.
    Delete,
    /// The content of an earlier revision was stored, whether the flow existed or was deleted.
    Restore,
    /// An engine reported runtime members. The revision stays.
    State,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Create, Self::Update, Self::Delete, Self::Restore, Self::State];

    /// Returns the name that the API, files and the database use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::State => "state",
        }
    }
}

/// Parses the names of [`Operation::as_str`].
impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(text: &str) -> Result<Self, UnknownOperation> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == text).ok_or(UnknownOperation)
    }
}

/// A text that is not the name of an operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an operation is one of `create`, `update`, `delete`, `restore`, `state`")]
pub struct UnknownOperation;
