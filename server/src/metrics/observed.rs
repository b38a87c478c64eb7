//! A repository decorator that counts and times calls.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};

use super::calls::{CallOutcome, Calls, Method};
use strom_store::flow::{Flow, FlowId, Head};
use strom_store::repository::{
    Applied, ChangeList, Feed, FeedCursor, FeedLag, FlowRepository, Health, ListQuery, Measurement, Page, Record,
    Result, Revision, Since, Stamp, Status, Stored,
};

/// A repository whose calls are counted and timed.
#[derive(Debug)]
pub(super) struct Observed {
    repository: Arc<dyn FlowRepository>,
    calls: Arc<Calls>,
}

impl Observed {
    pub(super) fn new(repository: Arc<dyn FlowRepository>, calls: Arc<Calls>) -> Self {
        Self { repository, calls }
    }

    async fn count<T>(&self, operation: Method, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let running = self.calls.begin(operation);
        let result = call.await;
        running.end(CallOutcome::of(&result));
        result
    }

    /// The call ends with the stream or its first error.
    fn count_stream<T: Send + 'static>(&self, operation: Method, items: Items<T>) -> Items<T> {
        let running = self.calls.begin(operation);
        stream::unfold((items, Some(running)), async |(mut items, mut running)| {
            let next = items.next().await;
            let outcome = match &next {
                Some(Ok(_)) => None,
                Some(Err(error)) => Some(CallOutcome::of_error(error)),
                None => Some(CallOutcome::Ok),
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
        self.count(Method::Get, self.repository.get(id)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        self.count(Method::List, self.repository.list(query)).await
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        self.count(Method::Summaries, self.repository.summaries(query)).await
    }

    async fn apply(&self, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        self.count(Method::Apply, self.repository.apply(changes, stamp)).await
    }

    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
        self.count_stream(Method::GetEach, self.repository.get_each(ids))
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        self.count_stream(Method::Snapshot, self.repository.snapshot())
    }

    async fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>> {
        self.count(Method::History, self.repository.history(id, before, limit)).await
    }

    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>> {
        self.count(Method::Revision, self.repository.revision(id, revision)).await
    }

    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>> {
        self.count_stream(Method::Histories, self.repository.histories())
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        self.count(Method::Deleted, self.repository.deleted()).await
    }

    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>> {
        self.count(Method::Changes, self.repository.changes(since, limit)).await
    }

    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>> {
        self.count(Method::ChangeSummaries, self.repository.change_summaries(since, limit)).await
    }

    /// Not counted: the call waits until another writer makes a change.
    async fn changed(&self, after: FeedCursor) {
        self.repository.changed(after).await;
    }

    async fn health(&self) -> Health {
        let running = self.calls.begin(Method::Health);
        let health = self.repository.health().await;
        running.end(match health.status {
            Status::Ready => CallOutcome::Ok,
            _ => CallOutcome::Unavailable,
        });
        health
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
