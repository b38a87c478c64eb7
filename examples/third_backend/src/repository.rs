//! [`MemoryRepository`], which implements [`FlowRepository`].

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use strom_store::flow::Head;
use strom_store::repository::{
    Applied, Change, ChangeList, Feed, FeedCursor, Health, ListQuery, Measurement, Page, Record, RepositoryError,
    Result, Retention, Revision, Since, Stamp, Status, Stored,
};
use strom_store::{Flow, FlowId, FlowRepository};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::log::Log;
use crate::state::State;

/// Flows in memory. They are lost when the process ends.
#[derive(Debug)]
pub struct MemoryRepository {
    /// The current state; `None` after `close`. The lock is held to copy or replace the state, never while a task
    /// waits.
    state: RwLock<Option<State>>,
    /// The number of the last change; wakes `changed`.
    last: watch::Sender<u64>,
    retention: Retention,
    /// When the repository was opened or closed.
    since: Mutex<Instant>,
}

impl MemoryRepository {
    /// Returns an empty repository. Its change feed rejects the cursors of another repository, unless that one was
    /// created with the same `now`.
    pub fn new(now: DateTime<Utc>, retention: Retention) -> Self {
        let log = Log::new(now.timestamp_micros().unsigned_abs());
        let state = RwLock::new(Some(State::new(log)));
        Self { state, last: watch::Sender::new(0), retention, since: Mutex::new(Instant::now()) }
    }

    /// Deletes the records that are older than the retention requires. Call it from time to time.
    ///
    /// # Errors
    /// [`RepositoryError::Unavailable`] after `close`.
    pub async fn apply_retention(&self) -> Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.as_mut().ok_or_else(closed)?.log.apply_retention(self.retention);
        Ok(())
    }

    fn state(&self) -> Result<State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)
    }
}

#[async_trait]
impl FlowRepository for MemoryRepository {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        Ok(self.state()?.flows.get(&id).cloned())
    }

    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
        // A set, because each flow is returned once.
        let ids: BTreeSet<_> = ids.into_iter().collect();
        stream_of(self.state().map(|state| ids.iter().filter_map(|id| state.flows.get(id).cloned()).collect()))
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        Ok(self.state()?.list(query)?.map(Stored::clone))
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        Ok(self.state()?.list(query)?.map(Stored::to_head))
    }

    async fn apply(&self, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        let changes = read(changes).await?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let current = state.as_ref().ok_or_else(closed)?;
        let (next, applied) = current.with_changes(&changes, &stamp)?;
        let last = next.log.last;
        *state = Some(next);
        self.last.send_replace(last);
        Ok(applied)
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        let everything = ListQuery::default();
        let all = self.state().and_then(|state| Ok(state.list(&everything)?.map(Stored::clone).items));
        stream_of(all)
    }

    async fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>> {
        let state = self.state()?;
        let records = state.log.history(id).filter(|record| before.is_none_or(|before| record.revision < before));
        Ok(records.take(limit as usize).map(head).collect())
    }

    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>> {
        let state = self.state()?;
        Ok(state.log.history(id).find(|record| record.revision == revision).cloned())
    }

    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>> {
        stream_of(self.state().map(|state| {
            let mut records: Vec<_> = state.log.revisions().cloned().collect();
            records.sort_by_key(|record| (record.item.id(), record.revision));
            records
        }))
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        let state = self.state()?;
        Ok(state.log.deleted(&state.tombstones).into_iter().map(head).collect())
    }

    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>> {
        self.state()?.log.page(since, limit, Flow::clone)
    }

    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>> {
        self.state()?.log.page(since, limit, |flow| flow.head().clone())
    }

    async fn changed(&self, after: FeedCursor) {
        let mut last = self.last.subscribe();
        // A reader with an unknown cursor must not wait: its next call returns the error.
        if self.state().is_ok_and(|state| state.log.contains(after)) {
            let _ = last.wait_for(|last| *last > after.number()).await;
        }
    }

    async fn health(&self) -> Health {
        let status = match self.state() {
            Ok(_) => Status::Ready,
            Err(error) => Status::Unavailable(error.to_string()),
        };
        Health::new(
            "memory",
            "memory of this process",
            status,
            self.since.lock().unwrap_or_else(PoisonError::into_inner).elapsed(),
        )
    }

    fn measurements(&self) -> Vec<Measurement> {
        let flows = self.state().map_or(0, |state| state.flows.size());
        vec![Measurement::gauge("memory_flows", "Number of flows in memory.", flows as f64)]
    }

    async fn close(&self) -> Result<()> {
        if self.state.write().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        // Wakes the readers that wait. Their next call returns the error.
        self.last.send_replace(u64::MAX);
        Ok(())
    }
}

/// Reads all changes before the lock is taken, because reading may wait for a disk.
async fn read(changes: Arc<dyn ChangeList>) -> Result<Vec<Change>> {
    if let Some(changes) = changes.as_slice() {
        return Ok(changes.to_vec());
    }
    let reading = spawn_blocking(move || (0..changes.len()).map(|index| changes.change(index)).collect());
    let read: std::io::Result<_> = reading.await.map_err(|panic| RepositoryError::Failed(panic.into()))?;
    read.map_err(|error| RepositoryError::Failed(error.into()))
}

fn head(record: &Record<Flow>) -> Record<Head> {
    record.clone().map(|flow| flow.head().clone())
}

fn stream_of<T: Send + 'static>(items: Result<Vec<T>>) -> BoxStream<'static, Result<T>> {
    match items {
        Ok(items) => stream::iter(items).map(Ok).boxed(),
        Err(error) => stream::iter([Err(error)]).boxed(),
    }
}

fn closed() -> RepositoryError {
    let reason = "the repository is closed".to_owned();
    RepositoryError::Unavailable { reason, retry_after: Duration::from_secs(1), outcome_unknown: false }
}
