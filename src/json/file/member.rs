//! Contents of the file other than flows.

use crate::flow::FlowId;

/// A member at the top level of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Member {
    /// The member `flows`.
    Flows,
    /// The version or an unknown member: its name and the exact text of its value.
    Other(String, String),
}

/// An item of `flows` that cannot be stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quarantined {
    /// The exact text.
    pub(crate) text: Box<str>,
    pub(crate) position: u64,
    /// The id, if the text contains one.
    pub(crate) id: Option<FlowId>,
    /// The path and the reason.
    pub(crate) problem: String,
}
