//! A flow together with its version.

use chrono::{DateTime, SubsecRound, Utc};

use super::revision::{InvalidRevision, Revision};
use super::stamp::Author;
use super::time_limits::limited;
use crate::flow::{Flow, Head};

/// A flow, or its head, together with its version.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    /// The flow or its head.
    pub item: T,
    /// The version, which the store assigned.
    pub version: Version,
}

impl Stored<Flow> {
    /// Returns the head and the version, without the document.
    pub fn to_head(&self) -> Stored<Head> {
        Stored { item: self.item.head().clone(), version: self.version.clone() }
    }
}

/// The current revision of a flow, and its time and author.
///
/// Exhaustive on purpose: a backend and an archive must store all of it, so another field is a breaking change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The revision. Counts the changes to what people write.
    pub revision: Revision,
    /// When the flow was created.
    pub created_at: DateTime<Utc>,
    /// When this revision was made.
    pub updated_at: DateTime<Utc>,
    /// The author of this revision.
    pub author: Author,
}

impl Version {
    /// Returns a version.
    pub const fn new(revision: Revision, created_at: DateTime<Utc>, updated_at: DateTime<Utc>, author: Author) -> Self {
        Self { revision, created_at, updated_at, author }
    }

    /// Returns the version of a flow that this store adopts from another store. `last` is the last revision that this
    /// store assigned to the id, if the id was used before. The times are truncated to microseconds and limited
    /// to [`TIME_LIMITS`](super::TIME_LIMITS).
    ///
    /// # Errors
    /// [`InvalidRevision`] for revision 0 and for one above [`Revision::HIGHEST_ADOPTED`].
    pub fn adopted(&self, last: Option<Revision>) -> Result<Self, InvalidRevision> {
        let Self { revision, created_at, updated_at, author } = self.clone();
        if !(Revision::FIRST..=Revision::HIGHEST_ADOPTED).contains(&revision) {
            return Err(InvalidRevision(revision));
        }
        let revision = last.map_or(revision, |last| revision.max(last.next()));
        let [created_at, updated_at] = [created_at, updated_at].map(|at| limited(at.trunc_subsecs(6)));
        Ok(Self { revision, created_at, updated_at, author })
    }
}
