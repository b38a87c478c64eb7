//! What can be done to flows, under which condition, by whom.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};

use super::{Chronicle, Stored, Version, ViolationKind};
use crate::flow::{Flow, FlowId};

/// The number of a flow's change, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The revision of a flow whose id never existed before.
    pub const FIRST: Self = Self(1);

    /// The highest that a store takes from another one; beyond it somebody has played with the number. As many are left to
    /// count on before JavaScript cannot tell them apart.
    pub const HIGHEST_ADOPTED: Self = Self(1 << 52);

    /// The revision with this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The one after it.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who or what made a change: the name of a key, `cli`, `sql`, `file`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Author(Arc<str>);

impl Author {
    /// Who edited the JSON file by hand or by another program.
    pub fn file() -> Self {
        Self("file".into())
    }

    /// The author of this name. Control characters are left out and the rest is cut after 100 characters, so that every
    /// backend can hold it and a terminal can show it.
    pub fn new(name: &str) -> Self {
        Self(name.chars().filter(|c| !c.is_control()).take(100).collect::<String>().into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// When a change is made, and by whom. Minted at the edge, by whoever calls the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    pub(crate) at: DateTime<Utc>,
    pub(crate) author: Author,
}

impl Stamp {
    /// A stamp; the time is cut to microseconds, the precision of PostgreSQL's `timestamptz`.
    pub fn new(at: DateTime<Utc>, author: Author) -> Self {
        Self { at: at.trunc_subsecs(6), author }
    }
}

/// One change to one flow.
#[derive(Debug, Clone)]
pub enum Change {
    /// Store this document under its id.
    Put(Flow, Precondition),
    /// As `Put`; the history calls it a restore.
    Restore(Flow, Precondition),
    /// Take the flow away.
    Delete(FlowId, Precondition),
    /// Store a flow that moves here from another store, with the version that it had there: its revision, times and
    /// author, not those of the stamp. Its id must be free. Where this store has given that revision to the id before, the
    /// flow gets the one after the last that was given. What [`Ephemeral`](crate::Ephemeral) keeps in memory has the versions
    /// of memory all the same.
    Adopt(Stored<Flow>),
    /// As `Adopt`, with the history that the flow had there, or the history alone of one that was deleted. Each of its records
    /// becomes one of this store, in the feed as well. Those with revisions that this store has given to the id before
    /// are left out; where that leaves nothing of a deleted flow, nothing happens.
    Inherit(Chronicle),
}

impl Change {
    /// Stores a flow whose id must be free.
    pub fn create(flow: Flow) -> Self {
        Self::Put(flow, Precondition::Absent)
    }

    /// Replaces a flow that must be there.
    pub fn replace(flow: Flow) -> Self {
        Self::Put(flow, Precondition::Present)
    }

    /// Replaces a flow that must still be at this revision.
    pub fn replace_at(flow: Flow, revision: Revision) -> Self {
        Self::Put(flow, Precondition::At(revision))
    }

    /// Takes a flow away that must be there.
    pub fn delete(id: FlowId) -> Self {
        Self::Delete(id, Precondition::Present)
    }

    /// The flow it stores; `None` for a deletion, and for the history of a deleted flow.
    pub fn flow(&self) -> Option<&Flow> {
        match self {
            Self::Put(flow, _) | Self::Restore(flow, _) => Some(flow),
            Self::Adopt(stored) => Some(&stored.item),
            Self::Inherit(chronicle) => chronicle.now().map(|stored| &stored.item),
            Self::Delete(..) => None,
        }
    }

    /// The flow it concerns.
    pub fn id(&self) -> FlowId {
        match self {
            Self::Put(flow, _) | Self::Restore(flow, _) => flow.id(),
            Self::Adopt(stored) => stored.item.id(),
            Self::Inherit(chronicle) => chronicle.id(),
            Self::Delete(id, _) => *id,
        }
    }

    /// The same under another condition; an adoption has but one.
    pub(crate) fn under(self, precondition: Precondition) -> Self {
        match self {
            Self::Put(flow, _) => Self::Put(flow, precondition),
            Self::Restore(flow, _) => Self::Restore(flow, precondition),
            Self::Delete(id, _) => Self::Delete(id, precondition),
            Self::Adopt(_) | Self::Inherit(_) => self,
        }
    }

    /// Under which condition it is made.
    pub fn precondition(&self) -> Precondition {
        match self {
            Self::Put(_, precondition) | Self::Restore(_, precondition) | Self::Delete(_, precondition) => {
                *precondition
            }
            Self::Adopt(_) | Self::Inherit(_) => Precondition::Absent,
        }
    }
}

/// What must be true of a flow for its change to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: create or replace. To delete without a flow being there is a change without effect.
    Any,
    /// No flow has this id.
    Absent,
    /// The flow exists, at whatever revision.
    Present,
    /// The flow exists at just this revision.
    At(Revision),
}

impl Precondition {
    /// What is the case instead, of a flow that is this or is not there; `None` when it holds.
    pub(crate) fn violation(self, current: Option<&Stored<Flow>>) -> Option<ViolationKind> {
        match (self, current) {
            (Self::Any, _) | (Self::Absent, None) | (Self::Present, Some(_)) => None,
            (Self::Absent, Some(_)) => Some(ViolationKind::AlreadyExists),
            (Self::Present | Self::At(_), None) => Some(ViolationKind::NotFound),
            (Self::At(expected), Some(current)) => (current.version.revision != expected)
                .then(|| ViolationKind::Stale { expected, current: Box::new(current.clone()) }),
        }
    }
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The flow.
    pub id: FlowId,
    /// What happened to it.
    pub outcome: Outcome,
    /// Its version now; for a deleted flow the revision, time and author of the deletion. `None` when there was nothing
    /// to delete.
    pub version: Option<Version>,
}

/// What happened to a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is new.
    Created,
    /// What people wrote has changed: a new revision.
    Replaced,
    /// At most runtime members have changed: stored, but no new revision.
    Unchanged,
    /// It is gone.
    Deleted,
    /// There was nothing to delete.
    Absent,
}
