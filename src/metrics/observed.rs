//! A repository whose calls are counted, and which is otherwise the one that it is made of.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};

use super::calls::{Calls, Operation, Outcome};
use crate::flow::{Flow, FlowId, Head};
use crate::repository::{
    Applied, Change, ChangeList, Feed, FeedCursor, FeedLag, FlowRepository, Health, ListQuery, Measurement, Page,
    Precondition, Record, Result, Revision, Since, Stamp, Status, Stored,
};

#[derive(Debug)]
pub(super) struct Observed {
    repository: Arc<dyn FlowRepository>,
    calls: Arc<Calls>,
}

impl Observed {
    pub(super) fn new(repository: Arc<dyn FlowRepository>, calls: Arc<Calls>) -> Self {
        Self { repository, calls }
    }

    async fn count<T>(&self, operation: Operation, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let running = self.calls.begin(operation);
        let result = call.await;
        running.end(Outcome::of(&result));
        result
    }

    /// Ends with the stream or its first error.
    fn count_stream<T: Send + 'static>(&self, operation: Operation, items: Items<T>) -> Items<T> {
        let running = self.calls.begin(operation);
        stream::unfold((items, Some(running)), async |(mut items, mut running)| {
            let next = items.next().await;
            let outcome = match &next {
                Some(Ok(_)) => None,
                Some(Err(error)) => Some(Outcome::of_error(error)),
                None => Some(Outcome::Ok),
            };
            if let Some(outcome) = outcome
                && let Some(running) = running.take()
            {
                running.end(outcome);
            }
            Some((next?, (items, running)))
        })
        .boxed()
    }
}

type Items<T> = BoxStream<'static, Result<T>>;

#[async_trait]
impl FlowRepository for Observed {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        self.count(Operation::Get, self.repository.get(id)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        self.count(Operation::List, self.repository.list(query)).await
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        self.count(Operation::Summaries, self.repository.summaries(query)).await
    }

    async fn apply(&self, changes: Vec<Change>, stamp: Stamp) -> Result<Vec<Applied>> {
        self.count(Operation::Apply, self.repository.apply(changes, stamp)).await
    }

    async fn apply_all(&self, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        self.count(Operation::ApplyAll, self.repository.apply_all(changes, stamp)).await
    }

    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
        self.count_stream(Operation::GetEach, self.repository.get_each(ids))
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        self.count_stream(Operation::Snapshot, self.repository.snapshot())
    }

    async fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>> {
        self.count(Operation::History, self.repository.history(id, before, limit)).await
    }

    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>> {
        self.count(Operation::Revision, self.repository.revision(id, revision)).await
    }

    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>> {
        self.count_stream(Operation::Histories, self.repository.histories())
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        self.count(Operation::Deleted, self.repository.deleted()).await
    }

    async fn restore(
        &self,
        id: FlowId,
        revision: Revision,
        precondition: Precondition,
        stamp: Stamp,
    ) -> Result<Option<Applied>> {
        self.count(Operation::Restore, self.repository.restore(id, revision, precondition, stamp)).await
    }

    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>> {
        self.count(Operation::Changes, self.repository.changes(since, limit)).await
    }

    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>> {
        self.count(Operation::ChangeSummaries, self.repository.change_summaries(since, limit)).await
    }

    /// Not counted: it ends when somebody else changes something.
    async fn changed(&self, after: FeedCursor) {
        self.repository.changed(after).await;
    }

    async fn health(&self) -> Health {
        let running = self.calls.begin(Operation::Health);
        let health = self.repository.health().await;
        running.end(match health.status {
            Status::Ready => Outcome::Ok,
            Status::Unavailable(_) => Outcome::Unavailable,
        });
        health
    }

    fn measurements(&self) -> Vec<Measurement> {
        self.repository.measurements()
    }

    async fn feed_lag(&self) -> Result<FeedLag> {
        self.repository.feed_lag().await
    }

    async fn close(&self) {
        self.repository.close().await;
    }
}
