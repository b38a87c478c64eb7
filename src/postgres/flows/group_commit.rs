//! Group commit: concurrent saves of single flows share a statement.
//!
//! A save that arrives while fewer than two statements run starts at once. Saves that arrive in the meantime form the
//! next batch, and share its round trip, commit and sync. With many callers, this determines the throughput.
//!
//! No save waits for a lock on another flow. The batch skips flows that are locked or whose precondition does not hold.
//! Each of these saves then runs as a statement of its own, which finds the reason. A slow statement does not delay the
//! next batch for long. Statements that wait for locked rows leave a connection for the next batch
//! (connection/writes.rs).

use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::apply::apply;
use super::batch_upsert;
use super::outcomes::Outcomes;
use super::save::Save;
use super::save_queue::{QueuedSave, SaveQueue};
use crate::flow::Flow;
use crate::postgres::connection::{ACQUIRE_TIMEOUT, Pool};
use crate::postgres::error::{Error, unavailable};
use crate::postgres::history::Notifications;
use crate::repository::{Applied, Change, RepositoryError, Result};

/// How long a flusher waits for its statement before it starts the next one. The statement may be waiting for a lock.
const NEXT_FLUSH_AFTER: Duration = Duration::from_millis(100);

/// Combines concurrent saves into batches.
#[derive(Debug)]
pub(crate) struct GroupCommit {
    pool: Arc<Pool>,
    notifications: Arc<Notifications>,
    queue: Mutex<SaveQueue>,
}

impl GroupCommit {
    pub(crate) fn new(pool: Arc<Pool>, notifications: Arc<Notifications>) -> Self {
        Self { pool, notifications, queue: Mutex::default() }
    }

    /// Saves a flow, alone or in a batch. A caller that drops the future cancels nothing.
    pub(crate) async fn save(self: &Arc<Self>, save: Save) -> Result<Vec<Applied>> {
        if let Some(reason) = self.pool.breaker.reason() {
            return Err(unavailable(reason));
        }
        let (reply, mut receiver) = oneshot::channel();
        let (ticket, needs_flusher) = self.queue().push(save, reply);
        if needs_flusher {
            tokio::spawn(Arc::clone(self).flush_until_empty());
        }
        let error = tokio::select! {
            result = &mut receiver => return result.unwrap_or_else(|_| Err(aborted())),
            reason = self.pool.breaker.until_open() => unavailable(reason),
            () = sleep(ACQUIRE_TIMEOUT) => self.pool.busy_writes(),
        };
        if self.queue().withdraw(ticket) {
            return Err(error);
        }
        // The save is in a statement, which ends in time.
        receiver.await.unwrap_or_else(|_| Err(aborted()))
    }

    fn queue(&self) -> MutexGuard<'_, SaveQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_batch(&self) -> Option<Vec<QueuedSave>> {
        self.queue().take_batch()
    }

    async fn flush_until_empty(self: Arc<Self>) {
        while let Some(batch) = self.next_batch() {
            // A panic must not end the flusher, which is still counted. The callers of the batch notice the panic.
            let mut flush = Box::pin(AssertUnwindSafe(Arc::clone(&self).flush(batch)).catch_unwind());
            if timeout(NEXT_FLUSH_AFTER, &mut flush).await.is_err() {
                tokio::spawn(flush);
            }
        }
    }

    async fn flush(self: Arc<Self>, batch: Vec<QueuedSave>) {
        let skipped = self.flush_batch(batch).await;
        let mut singles: Vec<_> = skipped.into_iter().map(|queued| Arc::clone(&self).flush_single(queued)).collect();
        // In tasks of their own: a save that waits for a lock must not delay another.
        let last = singles.pop();
        singles.into_iter().for_each(|single| drop(tokio::spawn(single)));
        if let Some(last) = last {
            last.await;
        }
    }

    async fn flush_single(self: Arc<Self>, queued: QueuedSave) {
        let Save { flow, precondition, stamp } = queued.save;
        let bytes = size_of(&flow);
        let result = apply(&self.pool, Arc::new(vec![Change::Put(flow, precondition)]), stamp).await;
        self.notifications.announce_local_changes(bytes);
        // Fails if the caller has left.
        let _ = queued.reply.send(result);
    }

    /// Saves a batch, and replies to its callers. Returns the saves that the batch has skipped.
    async fn flush_batch(&self, batch: Vec<QueuedSave>) -> Vec<QueuedSave> {
        let saves: Arc<[Save]> = batch.iter().map(|queued| queued.save.clone()).collect();
        let outcomes = Arc::<Mutex<Outcomes>>::default();
        let recorder = Arc::clone(&outcomes);
        let saving = self.pool.run_write(move |connection| {
            let (saves, recorder) = (Arc::clone(&saves), Arc::clone(&recorder));
            async move { batch_upsert::save(connection, &saves, &recorder).await }.boxed()
        });
        let (failed, error) = match saving.await {
            Ok(()) => (false, None),
            Err(Error::LockedInBatch) => (true, None),
            Err(error) => (true, Some(RepositoryError::from(error))),
        };
        let mut outcomes = mem::take(&mut *outcomes.lock().unwrap_or_else(PoisonError::into_inner));
        if failed && self.pool.servers.is_behind_pooler() {
            // Behind a pooler the whole call is one transaction, so nothing was saved.
            outcomes.clear();
        }
        self.notifications.announce_local_changes(batch.iter().map(|queued| size_of(&queued.save.flow)).sum());
        let mut skipped = Vec::new();
        for queued in batch {
            match (outcomes.remove(&queued.save.id()), error.as_ref().and_then(shared_error)) {
                (Some(applied), _) => drop(queued.reply.send(Ok(vec![applied]))),
                (None, Some(error)) => drop(queued.reply.send(Err(error))),
                (None, None) => skipped.push(queued),
            }
        }
        skipped
    }
}

/// Returns the error for every save of a failed batch. `None` if each save has to run alone to find its own error.
fn shared_error(error: &RepositoryError) -> Option<RepositoryError> {
    match error {
        RepositoryError::Unavailable { reason, retry_after, outcome_unknown } => Some(RepositoryError::Unavailable {
            reason: reason.clone(),
            retry_after: *retry_after,
            outcome_unknown: *outcome_unknown,
        }),
        RepositoryError::Busy(reason) => Some(RepositoryError::Busy(reason.clone())),
        _ => None,
    }
}

fn size_of(flow: &Flow) -> usize {
    flow.document().get().len()
}

fn aborted() -> RepositoryError {
    RepositoryError::Failed("the save was aborted".into())
}
