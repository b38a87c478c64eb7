//! Work beside the calls, which ends with the repository.

use std::mem;
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;

/// Tasks that are aborted when the repository closes or is dropped. Each can be aborted wherever it waits: what it has the
/// database do is one statement at a time, which is done or is not.
#[derive(Debug, Default)]
pub(super) struct Background(Mutex<JoinSet<()>>);

impl Background {
    /// Begins one.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    /// Ends all, and returns when they have let go of what they held.
    pub(super) async fn end(&self) {
        let mut tasks = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}
