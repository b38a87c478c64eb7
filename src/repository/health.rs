//! The condition of a storage.

use std::time::Duration;

/// The condition of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The kind of the backend: `postgresql`, `json`, or the name of another backend.
    pub kind: &'static str,
    /// The path, or the URL without its password.
    pub location: String,
    /// Whether the storage responds.
    pub status: Status,
    /// How long the storage has had this status.
    pub for_the_last: Duration,
    /// Whether the repository was opened read-only. Every change then fails with
    /// [`RepositoryError::ReadOnlyInstance`](super::RepositoryError::ReadOnlyInstance).
    pub read_only: bool,
    /// Problems that an operator should examine although the storage works: a flow that cannot be read, a file that
    /// cannot be written.
    pub faults: Vec<String>,
}

impl Health {
    /// Returns the condition of a storage that accepts changes and has no faults.
    pub fn new(kind: &'static str, location: impl Into<String>, status: Status, for_the_last: Duration) -> Self {
        Self { kind, location: location.into(), status, for_the_last, read_only: false, faults: Vec::new() }
    }

    /// Sets [`read_only`](Self::read_only).
    #[must_use]
    pub fn with_read_only(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }

    /// Sets [`faults`](Self::faults).
    #[must_use]
    pub fn with_faults(self, faults: Vec<String>) -> Self {
        Self { faults, ..self }
    }
}

/// Whether a storage responds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// The storage responds, and its schema is up to date.
    Ready,
    /// The storage does not respond, for this reason.
    Unavailable(String),
}
