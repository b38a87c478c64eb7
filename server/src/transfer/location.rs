//! The location of a document in an input.

use strom_store::flow::Path;

/// The location of a document in an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Location {
    /// A top-level value, counted from 1.
    Value(usize),
    /// An element of an array, counted from 0.
    Element(usize),
    /// An element of `flows` in an envelope, counted from 0.
    Flow(usize),
}

impl Location {
    /// Returns the location of a value inside the document, for messages.
    pub(super) fn of(self, path: Path) -> String {
        match self {
            Self::Value(1) => format!("`{path}`"),
            Self::Value(number) => format!("value {number}: `{path}`"),
            Self::Element(index) => format!("`{}`", path.inside_index(index)),
            Self::Flow(index) => format!("`{}`", path.inside_index(index).inside_member("flows")),
        }
    }
}
