//! One change to one flow, and its outcome.

use super::chronicle::Chronicle;
use super::precondition::Precondition;
use super::revision::Revision;
use super::stored::{Stored, Version};
use crate::flow::{Flow, FlowId};

/// One change to one flow.
///
/// Exhaustive on purpose: a backend must implement every change, so another one is a breaking change.
///
/// ```
/// use strom_store::repository::{Change, Precondition, Revision};
/// use strom_store::Flow;
///
/// let flow = Flow::parse(r#"{"id": "6f1d3c5e-0000-4000-8000-000000000001", "name": "Studio 1"}"#)?;
/// let seen = Revision::new(4);
/// assert_eq!(Change::create(flow.clone()).precondition(), Precondition::Absent);
/// assert_eq!(Change::replace_at(flow.clone(), seen).precondition(), Precondition::At(seen));
/// assert_eq!(Change::delete(flow.id()).precondition(), Precondition::Present);
/// # Ok::<(), strom_store::Refusal>(())
/// ```
#[derive(Debug, Clone)]
pub enum Change {
    /// Stores the document under its id.
    Put(Flow, Precondition),
    /// Stores the document of an earlier revision. As `Put`, but the history calls it a restore.
    Restore(Flow, Precondition),
    /// Deletes the flow. Its history stays.
    Delete(FlowId, Precondition),
    /// Stores a flow of another store with the version that it had there: its revision, times and author, not those of
    /// the stamp. Its id must be free. If this store has assigned that revision to the id before, the flow gets the
    /// revision after the last one that was assigned. [`Ephemeral`](crate::Ephemeral) assigns new versions to ephemeral
    /// flows all the same.
    Adopt(Stored<Flow>),
    /// Stores a flow of another store with its history, or only the history of a deleted flow. As `Adopt` for the flow.
    /// Each record becomes a record of this store, also in the feed. Records are omitted if this store has assigned
    /// their revision to the id before. If this omits every record of a deleted flow, the change has no effect.
    Inherit(Chronicle),
}

impl Change {
    /// Returns a change that stores a flow under an id that must be free.
    pub fn create(flow: Flow) -> Self {
        Self::Put(flow, Precondition::Absent)
    }

    /// Returns a change that replaces a flow that must exist.
    pub fn replace(flow: Flow) -> Self {
        Self::Put(flow, Precondition::Present)
    }

    /// Returns a change that replaces a flow that must be at this revision.
    pub fn replace_at(flow: Flow, revision: Revision) -> Self {
        Self::Put(flow, Precondition::At(revision))
    }

    /// Returns a change that deletes a flow that must exist.
    pub fn delete(id: FlowId) -> Self {
        Self::Delete(id, Precondition::Present)
    }

    /// Returns the flow that the change stores; `None` for a deletion and for the history of a deleted flow.
    pub fn flow(&self) -> Option<&Flow> {
        match self {
            Self::Put(flow, _) | Self::Restore(flow, _) => Some(flow),
            Self::Adopt(stored) => Some(&stored.item),
            Self::Inherit(chronicle) => chronicle.now().map(|stored| &stored.item),
            Self::Delete(..) => None,
        }
    }

    /// Returns the id of the flow.
    pub fn id(&self) -> FlowId {
        match self {
            Self::Put(flow, _) | Self::Restore(flow, _) => flow.id(),
            Self::Adopt(stored) => stored.item.id(),
            Self::Inherit(chronicle) => chronicle.id(),
            Self::Delete(id, _) => *id,
        }
    }

    /// Returns the same change with another precondition. `Adopt` and `Inherit` always require a free id.
    #[must_use]
    pub fn with_precondition(self, precondition: Precondition) -> Self {
        match self {
            Self::Put(flow, _) => Self::Put(flow, precondition),
            Self::Restore(flow, _) => Self::Restore(flow, precondition),
            Self::Delete(id, _) => Self::Delete(id, precondition),
            Self::Adopt(_) | Self::Inherit(_) => self,
        }
    }

    /// Returns the precondition of the change.
    pub fn precondition(&self) -> Precondition {
        match self {
            Self::Put(_, precondition) | Self::Restore(_, precondition) | Self::Delete(_, precondition) => {
                *precondition
            }
            Self::Adopt(_) | Self::Inherit(_) => Precondition::Absent,
        }
    }
}

/// The outcome of a change, with the version of the flow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// The id of the flow.
    pub id: FlowId,
    /// What the change did.
    pub outcome: Outcome,
    /// The current version of the flow. For a deleted flow, the revision, time and author of its deletion. `None` for
    /// [`Outcome::Absent`].
    pub version: Option<Version>,
}

impl Applied {
    /// Returns the outcome of a change.
    pub const fn new(id: FlowId, outcome: Outcome, version: Option<Version>) -> Self {
        Self { id, outcome, version }
    }
}

/// What a change did to a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The flow was created.
    Created,
    /// The content was replaced: the flow has a new revision.
    Replaced,
    /// The content is the same: no new revision. Runtime members may have changed and are stored.
    Unchanged,
    /// The flow was deleted.
    Deleted,
    /// Nothing: the flow to delete does not exist.
    Absent,
}
