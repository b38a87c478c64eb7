//! Changes that are too many to be in memory at once.

use std::collections::HashSet;
use std::fmt::Debug;
use std::io;

use super::{Change, Precondition, RepositoryError};
use crate::flow::{Flow, FlowId};

/// A list of changes that is read while it is made, and read again when another writer was in between.
///
/// Reading may wait for a disk; backends do it where that holds up nobody. Lists in the order of ids wait for other
/// writers without any risk of a deadlock.
pub trait ChangeList: Debug + Send + Sync + 'static {
    /// How many changes there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which flow a change concerns, and under which condition it is made. Does not wait.
    fn target(&self, index: usize) -> (FlowId, Precondition);

    /// The change at this place, counted from 0.
    ///
    /// # Errors
    /// When it cannot be read. Then none is made.
    fn change(&self, index: usize) -> io::Result<Change>;

    /// Whether the change stores a flow that says it is ephemeral. By default it is read for that.
    ///
    /// # Errors
    /// When it cannot be read.
    fn is_ephemeral(&self, index: usize) -> io::Result<bool> {
        Ok(self.change(index)?.flow().is_some_and(Flow::is_ephemeral))
    }
}

impl ChangeList for Vec<Change> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn target(&self, index: usize) -> (FlowId, Precondition) {
        (self[index].id(), self[index].precondition())
    }

    fn change(&self, index: usize) -> io::Result<Change> {
        Ok(self[index].clone())
    }
}

/// Refuses a list that names a flow twice: which of the two should hold would depend on the backend.
pub(crate) fn check_ids(changes: &dyn ChangeList) -> Result<(), RepositoryError> {
    let mut seen = HashSet::with_capacity(changes.len());
    let mut ids = (0..changes.len()).map(|index| changes.target(index).0);
    match ids.find(|id| !seen.insert(*id)) {
        Some(repeated) => Err(RepositoryError::RepeatedId(repeated)),
        None => Ok(()),
    }
}
