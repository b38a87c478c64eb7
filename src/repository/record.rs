//! Changes that were made: the history of a flow, and the feed of all of them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Author, Revision};

/// A change that was made. `T` is the flow, or its head where documents are not asked for.
#[derive(Debug, Clone)]
pub struct Record<T> {
    /// Its place in the feed. That of an ephemeral flow's is none: every store says of it that it is gone.
    pub cursor: FeedCursor,
    /// What it was.
    pub operation: Operation,
    /// The flow as the change has left it; for a deletion as it was before.
    pub item: T,
    /// The revision it made; for a [report](Operation::State) the one that stayed.
    pub revision: Revision,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// Who made it.
    pub author: Author,
}

impl<T> Record<T> {
    /// The same change with another view of the flow.
    pub fn map<U>(self, view: impl FnOnce(T) -> U) -> Record<U> {
        let Self { cursor, operation, item, revision, at, author } = self;
        Record { cursor, operation, item: view(item), revision, at, author }
    }
}

/// What a change was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A flow that was not there.
    Create,
    /// Another content.
    Update,
    /// The flow went.
    Delete,
    /// The content of an earlier revision, of a flow that was there or was not.
    Restore,
    /// A report of a running engine: members of the document that no person wrote. It makes no revision.
    State,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Create, Self::Update, Self::Delete, Self::Restore, Self::State];

    /// Its name in the API, in files and in the database.
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

/// Takes the five names.
impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(text: &str) -> Result<Self, UnknownOperation> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == text).ok_or(UnknownOperation)
    }
}

/// A text that names no operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an operation is one of `create`, `update`, `delete`, `restore`, `state`")]
pub struct UnknownOperation;

/// Changes in the order in which they became visible, and where to go on.
#[derive(Debug, Clone)]
pub struct Feed<T> {
    /// The changes.
    pub changes: Vec<Record<T>>,
    /// Behind the last of them; where there is none, the place that was asked for, or another behind which the same follows.
    pub next: FeedCursor,
    /// Behind the last change that was committed when it was read. Whoever has read as far as this has every change that
    /// was made before he asked; one that waits until nothing can overtake it any more may lie between.
    pub newest: FeedCursor,
}

/// From where on changes are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// From the oldest that is kept.
    Oldest,
    /// Only those to come.
    Now,
    /// Those behind this place.
    After(FeedCursor),
}

/// A place in the feed of one store; places compare as the changes follow each other. Prints as URL-safe text; its parts
/// mean something to the backend alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedCursor {
    /// Which log: a store that has lost its log begins another one.
    pub(crate) log: u64,
    /// What orders the changes of one log: in PostgreSQL the horizon of their transaction (migrations/0004); 0 in a file.
    pub(crate) transaction: u64,
    /// And within it.
    pub(crate) number: u64,
}

impl FeedCursor {
    /// The place of a change that is in no feed.
    pub(crate) const NOWHERE: Self = Self { log: u64::MAX, transaction: u64::MAX, number: u64::MAX };
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.log, self.transaction, self.number)
    }
}

/// Takes what we print.
impl FromStr for FeedCursor {
    type Err = InvalidFeedCursor;

    fn from_str(text: &str) -> Result<Self, InvalidFeedCursor> {
        let number = |part: &str| {
            // PostgreSQL counts in signed numbers; a sign or a blank is not ours.
            let number = part.parse().ok().filter(|number| i64::try_from(*number).is_ok());
            number.filter(|_| part.bytes().all(|byte| byte.is_ascii_digit())).ok_or(InvalidFeedCursor)
        };
        match *text.split('.').collect::<Vec<_>>() {
            [log, transaction, place] => {
                Ok(Self { log: number(log)?, transaction: number(transaction)?, number: number(place)? })
            }
            _ => Err(InvalidFeedCursor),
        }
    }
}

/// A text that is no cursor of the feed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of the change feed; begin with `0`, or without one")]
pub struct InvalidFeedCursor;

/// How much history is kept. A change goes only when it is older than the age *and* not among the last revisions of its
/// flow; those of a deleted flow go when its deletion is older than the age. A report may go as soon as its flow has
/// changed again. What a flow is now never goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many of the last revisions of every flow.
    pub revisions: u32,
    /// And all that are younger than this.
    pub age: TimeDelta,
}

/// The last 50 revisions, and 90 days.
impl Default for Retention {
    fn default() -> Self {
        Self { revisions: 50, age: TimeDelta::days(90) }
    }
}

#[cfg(test)]
mod tests {
    use super::{FeedCursor, InvalidFeedCursor};

    #[test]
    fn a_feed_cursor_is_what_was_printed() {
        let cursor = FeedCursor { log: 7, transaction: 0, number: i64::MAX as u64 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "0", "1.2", "1.2.3.4", "1.+2.3", "1.2.", "-1.2.3", "1.2.9223372036854775808"] {
            assert_eq!(text.parse::<FeedCursor>(), Err(InvalidFeedCursor), "{text}");
        }
    }
}
