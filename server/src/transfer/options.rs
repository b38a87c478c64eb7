//! The options of an import.

use std::str::FromStr;

/// The policy for a flow whose id exists with other content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Refuse the import.
    #[default]
    Fail,
    /// Skip the flow.
    Skip,
    /// Replace the stored flow, even if another writer keeps changing it during the import.
    Replace,
    /// Replace the stored flow if the imported flow was modified later. Compares `properties.last_modified` (RFC 3339). If
    /// the stored flow has no such member, its time of change counts.
    Newer,
    /// Store the flow under a new id, even if the content is equal. References to its channels in other flows still name
    /// the stored flow.
    Clone,
}

/// The error for a name that is not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`fail`, `skip`, `replace`, `newer` or `clone`")]
pub struct UnknownPolicy;

impl FromStr for OnConflict {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> std::result::Result<Self, UnknownPolicy> {
        Ok(match name {
            "fail" => Self::Fail,
            "skip" => Self::Skip,
            "replace" => Self::Replace,
            "newer" => Self::Newer,
            "clone" => Self::Clone,
            _ => return Err(UnknownPolicy),
        })
    }
}

/// The policy for stored flows that the import does not contain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prune {
    /// Keep them.
    #[default]
    Nothing,
    /// Delete them in the same write. Refuse the import if this would delete every stored flow: it is probably the wrong
    /// directory.
    Rest,
    /// Delete them, even if this deletes every stored flow.
    Everything,
}

/// The options of an import.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The policy for existing ids.
    pub on_conflict: OnConflict,
    /// The policy for flows that the import does not contain.
    pub prune: Prune,
    /// Whether to report the outcome without writing.
    pub dry_run: bool,
}
