//! The policies of a switch.

use std::str::FromStr;

use crate::transfer::options::UnknownPolicy;

/// The policy for flows that the target already has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse the switch, unless the flows have the documents and versions of the source: then the switch was made before.
    #[default]
    Fail,
    /// Keep them. Only flows with new ids move.
    Skip,
    /// Replace flows with the same id, each as a new revision. Keep all others.
    Replace,
}

impl FromStr for Existing {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        match name {
            "fail" => Ok(Self::Fail),
            "skip" => Ok(Self::Skip),
            "replace" => Ok(Self::Replace),
            _ => Err(UnknownPolicy),
        }
    }
}

/// Whether a switch includes histories and deleted flows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum History {
    /// Move only current flows. They keep their revision numbers.
    #[default]
    Exclude,
    /// Move every retained revision, and the deleted flows with theirs. A flow that replaces a flow of the target continues
    /// the history of the target.
    Include,
}
