//! The repository that a copy follows, with a copy that contains the changes that this instance makes.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::task::spawn_blocking;

use super::acknowledged::Acknowledgement;
use super::shared::Shared;
use crate::flow::{Flow, FlowId, Head};
use crate::repository::{
    Applied, Change, ChangeList, Feed, FeedCursor, FeedLag, FlowRepository, Health, ListQuery, Measurement, Page,
    Record, Result, Revision, Since, Stamp, Stored,
};

/// A repository whose acknowledged changes are in the copy when the call returns.
///
/// The feed alone is not enough: the copy reads it some time after the change, and a running transaction of another
/// writer can hold it back for as long as it runs. An outage in between would undo what the caller has seen.
#[derive(Debug)]
pub(super) struct Recorder {
    repository: Arc<dyn FlowRepository>,
    copy: Arc<Shared>,
}

impl Recorder {
    pub(super) fn new(repository: Arc<dyn FlowRepository>, copy: Arc<Shared>) -> Self {
        Self { repository, copy }
    }

    /// Adds the changes of a call to the copy. Reads a list that is not in memory again, one change at a time.
    async fn record(&self, changes: Arc<dyn ChangeList>, applied: &[Applied], stamp: Stamp) {
        if let Some(changes) = changes.as_slice() {
            for (change, applied) in changes.iter().zip(applied) {
                record_one(&self.copy, change, applied, &stamp);
            }
            return;
        }
        let (copy, applied) = (Arc::clone(&self.copy), applied.to_vec());
        let recording = spawn_blocking(move || {
            for (index, applied) in applied.iter().enumerate() {
                record_one(&copy, &changes.change(index)?, applied, &stamp);
            }
            Ok::<_, std::io::Error>(())
        });
        // The changes were made, so the call succeeds. The feed delivers what is missing.
        match recording.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot read changes again for the last-known copy"),
            Err(error) => tracing::warn!(%error, "cannot add changes to the last-known copy"),
        }
    }
}

fn record_one(copy: &Shared, change: &Change, applied: &Applied, stamp: &Stamp) {
    if let Some(acknowledgement) = Acknowledgement::of(change, applied, stamp) {
        copy.acknowledge(applied.id, acknowledgement);
    }
}

#[async_trait]
impl FlowRepository for Recorder {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        self.repository.get(id).await
    }

    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
        self.repository.get_each(ids)
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        self.repository.list(query).await
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        self.repository.summaries(query).await
    }

    async fn apply(&self, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        let applied = self.repository.apply(Arc::clone(&changes), stamp.clone()).await?;
        self.record(changes, &applied, stamp).await;
        Ok(applied)
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        self.repository.snapshot()
    }

    async fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>> {
        self.repository.history(id, before, limit).await
    }

    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>> {
        self.repository.revision(id, revision).await
    }

    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>> {
        self.repository.histories()
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        self.repository.deleted().await
    }

    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>> {
        self.repository.changes(since, limit).await
    }

    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>> {
        self.repository.change_summaries(since, limit).await
    }

    async fn changed(&self, after: FeedCursor) {
        self.repository.changed(after).await;
    }

    async fn health(&self) -> Health {
        self.repository.health().await
    }

    fn measurements(&self) -> Vec<Measurement> {
        self.repository.measurements()
    }

    async fn feed_lag(&self) -> Result<FeedLag> {
        self.repository.feed_lag().await
    }

    async fn close(&self) -> Result<()> {
        self.repository.close().await
    }
}
