//! Errors of a repository, as outcomes that a caller can act on.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::precondition::Violation;
use super::revision::InvalidRevision;
use crate::flow::FlowId;

/// The result of a repository call.
pub type Result<T> = std::result::Result<T, RepositoryError>;

/// Why a repository call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// Preconditions do not hold. Nothing was written. Read the flows again and decide again.
    #[error("{}", Violations(.0))]
    Conflict(Vec<Violation>),
    /// Two changes of one call concern the same flow. Nothing was written.
    #[error("two changes of one call concern the flow {0}: send one change per flow")]
    RepeatedId(FlowId),
    /// The storage is unreachable or closed. Try again later.
    #[error("the storage is not available: {reason}")]
    Unavailable {
        /// The reason, without secrets.
        reason: String,
        /// The recommended delay before another attempt.
        retry_after: Duration,
        /// Whether the changes may have been made all the same. If false, nothing was written. Always false for reads.
        outcome_unknown: bool,
    },
    /// The storage responds but accepts no further call at the moment. Nothing was written. Try again later.
    #[error("the storage is busy: {0}")]
    Busy(String),
    /// The storage cannot be written: a standby server, a read-only file or directory. Nothing was written.
    #[error("the storage is read-only: {0}")]
    ReadOnly(String),
    /// This instance was opened read-only, whatever the storage allows. Nothing was written. Write through another
    /// instance.
    #[error("this instance is read-only; write through an instance that was not opened read-only")]
    ReadOnlyInstance,
    /// The memory budget of ephemeral flows is exhausted. Nothing was written. Delete ephemeral flows or store them.
    #[error("all ephemeral flows together would need {wanted} bytes; the limit is {limit} bytes")]
    NoRoom {
        /// The memory budget for the documents of all ephemeral flows, in bytes.
        limit: u64,
        /// The bytes that they would need.
        wanted: u64,
    },
    /// Stored data cannot be read. It was left as it is.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
    /// The feed no longer contains the changes after the cursor, or the cursor belongs to another store. Read all flows
    /// again, then follow the feed from the position that [`Since::Now`](super::Since::Now) had before.
    #[error(
        "the feed no longer retains the changes after this cursor; read all flows again and continue from the current \
         position"
    )]
    Gone,
    /// The store was closed, but a file that other programs read lacks changes. Every acknowledged change is stored, and
    /// the next opening completes the file. The text names the file and the remedy. Only
    /// [`close`](super::FlowRepository::close) returns this error.
    #[error("{0}")]
    Incomplete(String),
    /// The storage rejected the changes for a reason that a retry does not remove, such as a constraint or a trigger of the
    /// operator, or a limit. Nothing was written. Log the source; do not show it to clients.
    #[error("the storage rejected the change; nothing was written")]
    Rejected(#[source] Box<dyn Error + Send + Sync>),
    /// Another failure of the storage. Log the source; do not show it to clients.
    #[error("the storage failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl RepositoryError {
    /// Returns whether the same call can succeed later without any intervention.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Busy(_))
    }
}

impl From<InvalidRevision> for RepositoryError {
    fn from(error: InvalidRevision) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// The text of several violations: the first one, and the number of the others.
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

/// Why a storage cannot be opened, and what to do. The storage was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot open {location}: {problem}\n{remedy}")]
#[non_exhaustive]
pub struct OpenError {
    /// The path, or the URL without its password.
    pub location: String,
    /// What prevents the storage from being opened.
    pub problem: String,
    /// What to do, as a sentence.
    pub remedy: String,
}

impl OpenError {
    /// Returns an error for the storage at `location`, which must not contain a password.
    pub fn new(location: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { location: location.into(), problem: problem.into(), remedy: remedy.into() }
    }
}
