//! Lists of changes that may not fit into memory.

use std::collections::HashSet;
use std::fmt::Debug;
use std::io;

use super::change::Change;
use super::error::{RepositoryError, Result};
use super::precondition::{Precondition, Violation};
use super::stored::Stored;
use crate::flow::{Flow, FlowId};

/// A list of changes that a backend reads while it makes them, and may read again.
///
/// `Vec<Change>` is such a list. An import implements the trait over a file, so that only one document at a time is in
/// memory. Reading a change may wait for a disk, so a backend reads on a thread where this delays no other task. A
/// backend reads a list again if another writer interferes. Sort long lists by id: two writers of the same flows then
/// wait for each other and never deadlock.
pub trait ChangeList: Debug + Send + Sync + 'static {
    /// Returns the number of changes.
    fn len(&self) -> usize;

    /// Returns whether the list has no changes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the id and the precondition of a change. Does not wait.
    ///
    /// # Panics
    /// May panic if `index` is not below [`len`](Self::len).
    fn target(&self, index: usize) -> (FlowId, Precondition);

    /// Returns the change at a position, counted from 0.
    ///
    /// # Errors
    /// An I/O error if the change cannot be read. The repository then makes none of the changes.
    fn change(&self, index: usize) -> io::Result<Change>;

    /// Returns all changes if they are in memory. A backend then reads them without a thread of its own.
    fn as_slice(&self) -> Option<&[Change]> {
        None
    }

    /// Returns whether the change stores an ephemeral flow. The default implementation reads the change.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    fn is_ephemeral(&self, index: usize) -> io::Result<bool> {
        Ok(self.change(index)?.flow().is_some_and(Flow::is_ephemeral))
    }
}

impl ChangeList for Vec<Change> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn target(&self, index: usize) -> (FlowId, Precondition) {
        (self[index].id(), self[index].precondition())
    }

    fn change(&self, index: usize) -> io::Result<Change> {
        Ok(self[index].clone())
    }

    fn as_slice(&self) -> Option<&[Change]> {
        Some(self)
    }
}

/// Checks that no two changes concern the same flow: the result would depend on the backend.
///
/// # Errors
/// [`RepositoryError::RepeatedId`] with the first repeated id.
pub fn check_ids(changes: &dyn ChangeList) -> Result<()> {
    let mut seen = HashSet::with_capacity(changes.len());
    let mut ids = (0..changes.len()).map(|index| changes.target(index).0);
    match ids.find(|id| !seen.insert(*id)) {
        Some(repeated) => Err(RepositoryError::RepeatedId(repeated)),
        None => Ok(()),
    }
}

/// Checks the precondition of every change. `current` returns the flow with this id, if it exists.
///
/// # Errors
/// [`RepositoryError::Conflict`] with all violations in the order of the list.
pub fn check_preconditions<'f>(
    changes: &dyn ChangeList,
    current: impl Fn(FlowId) -> Option<&'f Stored<Flow>>,
) -> Result<()> {
    let violation = |index| {
        let (id, precondition) = changes.target(index);
        Some(Violation::new(index, id, precondition.violation(current(id))?))
    };
    let violations: Vec<_> = (0..changes.len()).filter_map(violation).collect();
    if violations.is_empty() { Ok(()) } else { Err(RepositoryError::Conflict(violations)) }
}
