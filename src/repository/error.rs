//! What can go wrong, as outcomes that a caller can act on.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::{Revision, Stored};
use crate::flow::{Flow, FlowId};

/// Why a repository call did not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// Preconditions do not hold; nothing was written. Read again, decide again.
    #[error("{}", Violations(.0))]
    Conflict(Vec<Violation>),
    /// Two changes of one call concern the same flow; nothing was written.
    #[error("two changes in one call concern the flow {0}")]
    RepeatedId(FlowId),
    /// The storage does not answer. Try again later.
    #[error("the storage is not available: {reason}")]
    Unavailable {
        /// Why, without secrets.
        reason: String,
        /// When it is worth trying again.
        retry_after: Duration,
        /// Whether a write may have happened all the same. Else nothing was written.
        is_open: bool,
    },
    /// The storage answers, but has no room for another call just now; nothing was written. Try again later.
    #[error("the storage is busy: {0}")]
    Busy(String),
    /// The storage cannot be written: a standby, a read-only file or directory; nothing was written.
    #[error("the storage is read-only: {0}")]
    ReadOnly(String),
    /// This instance was told to read only, whatever the storage would allow; nothing was written. Write through another
    /// instance.
    #[error("this instance only reads; write through one that was not opened read-only")]
    ReadOnlyInstance,
    /// There is no room in memory for ephemeral flows as large as these; nothing was written. Delete some, or store
    /// some.
    #[error("ephemeral flows may take {limit} bytes, and with this they would take {wanted}")]
    NoRoom {
        /// How many bytes their documents may have together.
        limit: u64,
        /// How many they would have.
        wanted: u64,
    },
    /// What is stored cannot be read; it was left as it is.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
    /// The changes that were asked for are no longer kept, or the cursor is none of this store. Read everything anew, then
    /// follow the feed from [`Since::Now`](super::Since::Now) as it was before.
    #[error("the change feed does not go back to this cursor; read all flows anew and go on from now")]
    Gone,
    /// Something else went wrong in the storage; the source is for the log and not for clients.
    #[error("the storage failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl RepositoryError {
    /// Whether the same call can succeed later without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Busy(_))
    }
}

/// A change whose precondition does not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Its place in the list of changes, counted from 0.
    pub index: usize,
    /// The flow it concerns.
    pub id: FlowId,
    /// What is the case instead.
    pub kind: ViolationKind,
}

/// What is the case instead of what a precondition says.
#[derive(Debug, Clone)]
pub enum ViolationKind {
    /// The flow exists and should not.
    AlreadyExists,
    /// The flow does not exist.
    NotFound,
    /// The flow is not at the revision that the caller had seen.
    Stale {
        /// What the caller had seen.
        expected: Revision,
        /// The flow as it is.
        current: Box<Stored<Flow>>,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ViolationKind::AlreadyExists => write!(f, "the flow {} exists already", self.id),
            ViolationKind::NotFound => write!(f, "there is no flow {}", self.id),
            ViolationKind::Stale { expected, current } => {
                let revision = current.version.revision;
                write!(f, "the flow {} is at revision {revision}, not at {expected}", self.id)
            }
        }
    }
}

/// The first violation, and how many more there are.
struct Violations<'a>(&'a [Violation]);

impl fmt::Display for Violations<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("a precondition does not hold"),
            [only] => only.fmt(f),
            [first, rest @ ..] => write!(f, "{first} (and {} more)", rest.len()),
        }
    }
}

/// A storage that cannot be opened: where, why, and what to do about it. It was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot open {location}: {problem}\n{remedy}")]
pub struct OpenError {
    /// The path, or the URL without its password.
    pub location: String,
    /// What was found.
    pub problem: String,
    /// What to do about it, as a sentence.
    pub remedy: String,
}
