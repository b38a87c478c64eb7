//! Preconditions of changes, and their violations.

use std::fmt;

use super::revision::Revision;
use super::stored::Stored;
use crate::flow::{Flow, FlowId};

/// What must be true of a flow before a change to it is made.
///
/// Exhaustive on purpose: a backend must check every precondition, so another one is a breaking change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing. A put creates or replaces the flow; the deletion of a missing flow has no effect.
    Any,
    /// No flow has this id.
    Absent,
    /// The flow exists, at any revision.
    Present,
    /// The flow exists at exactly this revision.
    At(Revision),
    /// The flow exists at exactly this revision, with a document of this [hash](Flow::text_hash). For a writer that
    /// changes a part of a document: a report creates no revision, and `At` would overwrite it.
    Exactly(Revision, [u8; 32]),
    /// The flow exists, at this revision if one is given, and no engine has reported since that revision was saved. For a writer
    /// that replaces a whole document without reading it, and must not undo a report. A store that does not know at once whether an
    /// engine has reported may return a violation: the caller then continues with the flow in it, and with `Exactly`.
    Unreported(Option<Revision>),
}

impl Precondition {
    /// Returns the precondition that the flow is still the one that was read, runtime members included.
    pub fn exactly(read: &Stored<Flow>) -> Self {
        Self::Exactly(read.version.revision, read.item.text_hash())
    }

    /// Returns the revision that the precondition requires. `None` if it accepts every revision.
    pub const fn revision(self) -> Option<Revision> {
        match self {
            Self::At(revision) | Self::Exactly(revision, _) => Some(revision),
            Self::Unreported(revision) => revision,
            Self::Any | Self::Absent | Self::Present => None,
        }
    }

    /// Returns why the precondition does not hold for the current flow, or `None` if it holds. A missing flow is
    /// `None`. `Unreported` never holds, because the flow alone does not show that no engine has reported.
    pub fn violation(self, current: Option<&Stored<Flow>>) -> Option<ViolationKind> {
        match (self, current) {
            (Self::Any, _) | (Self::Absent, None) | (Self::Present, Some(_)) => None,
            (Self::Absent, Some(_)) => Some(ViolationKind::AlreadyExists),
            (Self::Present | Self::At(_) | Self::Exactly(..) | Self::Unreported(_), None) => {
                Some(ViolationKind::NotFound)
            }
            (Self::Unreported(expected), Some(current)) => {
                let expected = expected.unwrap_or(current.version.revision);
                Some(ViolationKind::Stale { expected, current: Box::new(current.clone()) })
            }
            (Self::At(expected), Some(current)) => (current.version.revision != expected)
                .then(|| ViolationKind::Stale { expected, current: Box::new(current.clone()) }),
            (Self::Exactly(expected, document), Some(current)) => (current.version.revision != expected
                || current.item.text_hash() != document)
                .then(|| ViolationKind::Stale { expected, current: Box::new(current.clone()) }),
        }
    }
}

/// A change whose precondition does not hold.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Violation {
    /// The position of the change in the list, counted from 0.
    pub index: usize,
    /// The id of the flow.
    pub id: FlowId,
    /// The state of the flow that contradicts the precondition.
    pub kind: ViolationKind,
}

impl Violation {
    /// Returns the violation of the precondition of the change at `index`.
    pub const fn new(index: usize, id: FlowId, kind: ViolationKind) -> Self {
        Self { index, id, kind }
    }
}

/// The state of a flow that contradicts a precondition.
///
/// Exhaustive on purpose, as [`Precondition`] is.
#[derive(Debug, Clone)]
pub enum ViolationKind {
    /// The flow exists, but must not.
    AlreadyExists,
    /// The flow does not exist.
    NotFound,
    /// The flow is at another revision. For [`Precondition::Exactly`], also: it has another document, because an engine
    /// has reported. For [`Precondition::Unreported`], also: an engine may have reported.
    Stale {
        /// The revision that the caller expected.
        expected: Revision,
        /// The current flow.
        current: Box<Stored<Flow>>,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ViolationKind::AlreadyExists => write!(f, "the flow {} already exists", self.id),
            ViolationKind::NotFound => write!(f, "there is no flow {}", self.id),
            ViolationKind::Stale { expected, current } => {
                let revision = current.version.revision;
                if revision == *expected {
                    return write!(f, "an engine has reported on the flow {} since it was read", self.id);
                }
                write!(f, "the flow {} is at revision {revision}, not at {expected}", self.id)
            }
        }
    }
}
