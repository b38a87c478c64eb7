//! Runs file I/O on threads for blocking work.

use tokio::task::spawn_blocking;

use crate::repository::{RepositoryError, Result};

/// Runs the work on a thread for blocking work. Fails if the work panics.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(RepositoryError::Failed(Box::new(error))))
}
