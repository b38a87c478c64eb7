//! Work that takes long with large documents.

use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

/// Runs the work on a thread for blocking tasks, so that other requests do not wait for it.
pub(crate) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => resume_unwind(error.into_panic()),
    }
}
