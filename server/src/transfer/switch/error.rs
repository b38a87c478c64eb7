//! Errors of a switch.

use std::io;

use strom_store::repository::RepositoryError;

/// An error of a switch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// The source failed.
    #[error("the source: {}", with_source(.0))]
    Source(RepositoryError),
    /// The target failed.
    #[error("the target: {}", with_source(.0))]
    Target(RepositoryError),
    /// The temporary file failed.
    #[error("the temporary file: {0}")]
    NotKept(#[from] io::Error),
}

/// Returns the error with its source, which no other message contains.
fn with_source(error: &RepositoryError) -> String {
    match error {
        RepositoryError::Failed(source) | RepositoryError::Rejected(source) => format!("{error}: {source}"),
        _ => error.to_string(),
    }
}
