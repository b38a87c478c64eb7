//! Pages of the change feed.

use std::time::Duration;

use super::feed_cursor::FeedCursor;
use super::record::Record;

/// One page of the change feed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Feed<T> {
    /// The changes, in the order of the feed.
    pub changes: Vec<Record<T>>,
    /// The cursor from which to continue: that of the last change. On an empty page, the requested cursor or another
    /// one that the same changes follow.
    pub next: FeedCursor,
    /// The cursor of the last change that was committed when the page was read. A reader that has reached it has every
    /// change that was made before its call. It may be ahead of the last change that is visible: a change is held back
    /// until no change before it can still be committed.
    pub newest: FeedCursor,
}

impl<T> Feed<T> {
    /// Returns a page.
    pub const fn new(changes: Vec<Record<T>>, next: FeedCursor, newest: FeedCursor) -> Self {
        Self { changes, next, newest }
    }
}

/// The position from which to read the feed.
///
/// Exhaustive on purpose: a backend must support every position, so another one is a breaking change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Before the oldest change from which the feed is complete.
    Oldest,
    /// After all visible changes. The page is empty; its `next` is the current position.
    Now,
    /// After this position.
    After(FeedCursor),
}

/// How far the visible feed is behind the committed changes.
///
/// A change is held back as long as a change before it may still be committed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct FeedLag {
    /// The age of the oldest change that is held back, by its own time; zero if none is held back.
    pub behind: Duration,
    /// The number of changes that are held back. A backend may stop counting at a limit that it documents.
    pub held_back: u64,
    /// The age of the oldest transaction that changes may be waiting for; zero if there is none, `None` if the storage
    /// does not disclose it.
    pub oldest_transaction: Option<Duration>,
}

impl FeedLag {
    /// Returns a lag.
    pub const fn new(behind: Duration, held_back: u64, oldest_transaction: Option<Duration>) -> Self {
        Self { behind, held_back, oldest_transaction }
    }
}
