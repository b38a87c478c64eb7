//! How an import is made, and who is told how it gets on.

use std::fmt::Debug;
use std::str::FromStr;

/// What is done with a flow whose id is taken by another content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// It is refused, and with it the import.
    #[default]
    Fail,
    /// It is left out.
    Skip,
    /// It takes the other one's place, also when somebody saves that again and again meanwhile.
    Replace,
    /// It does if it was modified later: by its `properties.last_modified` (RFC 3339), against that of the other one or,
    /// where there is none, the time of its last change.
    Newer,
    /// It gets an id of its own, also when the content is the same. Other flows that name its channels name those of the
    /// flow that is there.
    Clone,
}

/// Not the name of a policy.
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

/// What is done with the flows of the storage that are not in the import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prune {
    /// They stay.
    #[default]
    Nothing,
    /// They are deleted, in the same call that stores the others. Where that would be every flow there is, the import is
    /// refused: more likely than not it is the wrong one.
    Rest,
    /// They are deleted, be it every flow there is.
    Everything,
}

/// How an import is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What is done with a flow whose id is taken.
    pub on_conflict: OnConflict,
    /// What is done with flows that are not in the import.
    pub prune: Prune,
    /// Whether only to say what would be done.
    pub dry_run: bool,
}

/// Is told how an import gets on.
pub trait Progress: Debug + Send + Sync + 'static {
    /// So many documents were read.
    fn read(&self, flows: usize) {
        let _ = flows;
    }

    /// So many of the changes were handed to the storage, from the first one again where it begins again. None counts before
    /// all of them do.
    fn handed_over(&self, flows: usize, of: usize) {
        let _ = (flows, of);
    }

    /// So many flows were read from the storage again and compared.
    fn read_back(&self, flows: usize, of: usize) {
        let _ = (flows, of);
    }
}

/// For those who do not want to know.
impl Progress for () {}
