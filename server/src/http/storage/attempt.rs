//! The change that a client wants to make. After a conflict, it can be applied to another document, for the comparison.

use strom_store::flow::Flow;

use crate::http::respond::Problem;

/// The edit that the client wants to make.
#[derive(Clone, Copy)]
pub(crate) enum Edit<'a> {
    /// Stores this document.
    Whole(&'a Flow),
    /// Stores the result of this function of a document.
    Part(&'a (dyn Fn(&Flow) -> Result<Flow, Problem> + Sync)),
}

impl Edit<'_> {
    /// Returns the result of the edit of this document.
    pub(super) fn result_on(self, flow: &Flow) -> Result<Flow, Problem> {
        match self {
            Self::Whole(edited) => Ok(edited.clone()),
            Self::Part(change) => change(flow),
        }
    }
}

/// The change that the client wants to make.
#[derive(Clone, Copy)]
pub(crate) enum AttemptedChange<'a> {
    Edit(Edit<'a>),
    Delete,
}

impl AttemptedChange<'_> {
    /// Returns the result of the change. `None` if the change deletes the flow or the patch does not apply to it.
    pub(super) fn result_on(&self, flow: &Flow) -> Option<Flow> {
        match self {
            Self::Edit(edit) => edit.result_on(flow).ok(),
            Self::Delete => None,
        }
    }
}
