//! Reads memory and storage as one repository.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use tokio::task::spawn_blocking;

use super::decorator::Ephemeral;
use super::scratch::{Flows, View};
use crate::flow::{Flow, FlowId, Head};
use crate::listing;
use crate::repository::{
    Applied, ChangeList, Feed, FeedCursor, FeedLag, Filter, FlowRepository, Health, ListQuery, Measurement, Page,
    Record, RepositoryError, Result, Revision, Since, Stamp, Stored,
};

impl Ephemeral {
    /// Reads both at one point in time. Waits while a call changes both and affects the reader, and starts again if
    /// such a call has begun in the meantime.
    async fn read<'a, T>(
        &'a self,
        waits: impl Fn(&View) -> bool + Send + Sync + 'a,
        read: impl Fn(Flows) -> BoxFuture<'a, Result<T>> + Send + Sync + 'a,
    ) -> Result<T> {
        loop {
            let view = self.scratch.view_unless(&waits).await;
            let found = read(view.flows.clone()).await?;
            if self.scratch.is_consistent(&view) {
                return Ok(found);
            }
        }
    }

    /// Merges a page of the storage with the flows in memory. `ask` lists the storage. `show` and `head` map its
    /// items.
    async fn page<'a, T: Send + 'static>(
        &'a self,
        query: &'a ListQuery,
        ask: impl Fn(ListQuery) -> BoxFuture<'a, Result<Page<Stored<T>>>> + Copy + Send + Sync + 'a,
        show: fn(&Stored<Flow>) -> Stored<T>,
        head: fn(&T) -> &Head,
    ) -> Result<Page<Stored<T>>> {
        let merged = move |flows: Flows| {
            async move {
                if flows.is_empty() {
                    return ask(query.clone()).await;
                }
                let theirs = self.theirs(&flows, query, ask, head).await?;
                Ok(listing::merge(query, listed(flows, query.clone(), show).await?, theirs, head))
            }
            .boxed()
        };
        self.read(|view| !view.joint.is_empty(), merged).await
    }

    /// Returns a page of the storage without the flows whose ids are in memory.
    async fn theirs<'a, T>(
        &'a self,
        flows: &Flows,
        query: &ListQuery,
        ask: impl Fn(ListQuery) -> BoxFuture<'a, Result<Page<Stored<T>>>> + Send,
        head: fn(&T) -> &Head,
    ) -> Result<Page<Stored<T>>> {
        let mut page = ask(query.clone()).await?;
        loop {
            page.items.retain(|stored| !flows.contains_key(&head(&stored.item).id));
            let missing = query.limit.map_or(0, |limit| limit as usize - page.items.len());
            if missing == 0 || page.next.is_none() {
                break;
            }
            let further = ListQuery { limit: Some(missing as u32), count: false, ..query.clone() };
            let more = ask(ListQuery { after: page.next, ..further }).await?;
            page.items.extend(more.items);
            page.next = more.next;
        }
        if let Some(total) = page.total {
            page.total = Some(total.saturating_sub(self.hidden(flows, &query.filter).await?));
        }
        Ok(page)
    }

    /// Returns the number of matching flows in the storage whose ids are in memory.
    async fn hidden(&self, flows: &Flows, filter: &Filter) -> Result<u64> {
        let found = self.store.get_each(flows.keys().copied().collect()).filter(|found| {
            // A copy returns this error for flows that it lacks. They are not in its lists either.
            ready(!matches!(found, Err(RepositoryError::Unavailable { .. })))
        });
        let found: Vec<_> = found.try_collect().await?;
        let query = ListQuery { filter: filter.clone(), limit: Some(0), count: true, ..ListQuery::default() };
        Ok(listing::list(found.iter(), &query)?.total.unwrap_or_default())
    }
}

/// Lists the flows in memory. Containment reads every document, which takes too long for a thread of the runtime.
async fn listed<T: Send + 'static>(
    flows: Flows,
    query: ListQuery,
    show: fn(&Stored<Flow>) -> Stored<T>,
) -> Result<Page<Stored<T>>> {
    let stored = move || Ok(listing::list(flows.values().map(|entry| &entry.stored), &query)?.map(show));
    spawn_blocking(stored).await.unwrap_or_else(|panicked| Err(RepositoryError::Failed(panicked.into())))
}

#[async_trait]
impl FlowRepository for Ephemeral {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        let found = |flows: Flows| {
            async move {
                match flows.get(&id) {
                    Some(entry) => Ok(Some(entry.stored.clone())),
                    None => self.store.get(id).await,
                }
            }
            .boxed()
        };
        self.read(|view| view.joint.contains(&id), found).await
    }

    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
        self.each(ids)
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        let ask = |query: ListQuery| async move { self.store.list(&query).await }.boxed();
        self.page(query, ask, Stored::clone, Flow::head).await
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        let ask = |query: ListQuery| async move { self.store.summaries(&query).await }.boxed();
        self.page(query, ask, Stored::to_head, |head| head).await
    }

    async fn apply(&self, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        self.make(changes, stamp).await
    }

    /// Returns stored flows only, because exports and copies outlive the process.
    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        self.store.snapshot()
    }

    async fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>> {
        let found = |flows: Flows| {
            async move {
                let ours = flows.get(&id).map(|entry| entry.record().map(|flow| flow.head().clone()));
                let ours = ours.filter(|record| limit > 0 && before.is_none_or(|before| record.revision < before));
                let theirs = match limit - ours.iter().len() as u32 {
                    0 => Vec::new(),
                    limit => self.store.history(id, before, limit).await?,
                };
                Ok(ours.into_iter().chain(theirs).collect())
            }
            .boxed()
        };
        self.read(|view| view.joint.contains(&id), found).await
    }

    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>> {
        let found = |flows: Flows| {
            async move {
                match flows.get(&id).map(|entry| entry.record()).filter(|record| record.revision == revision) {
                    Some(record) => Ok(Some(record)),
                    None => self.store.revision(id, revision).await,
                }
            }
            .boxed()
        };
        self.read(|view| view.joint.contains(&id), found).await
    }

    /// Returns stored histories only, like the snapshot.
    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>> {
        self.store.histories()
    }

    /// Returns the deleted flows of the storage that are not in memory. Flows deleted in memory are not listed.
    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        let found = |flows: Flows| {
            async move {
                let mut deleted = self.store.deleted().await?;
                deleted.retain(|record| !flows.contains_key(&record.item.id));
                Ok(deleted)
            }
            .boxed()
        };
        self.read(|view| !view.joint.is_empty(), found).await
    }

    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>> {
        self.store.changes(since, limit).await
    }

    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>> {
        self.store.change_summaries(since, limit).await
    }

    async fn changed(&self, after: FeedCursor) {
        self.store.changed(after).await;
    }

    async fn health(&self) -> Health {
        self.store.health().await
    }

    fn measurements(&self) -> Vec<Measurement> {
        let view = self.scratch.view();
        let mut measurements = self.store.measurements();
        measurements.extend([
            Measurement::gauge("ephemeral_flows", "Ephemeral flows in memory.", view.flows.size() as f64),
            Measurement::gauge("ephemeral_bytes", "Size of the documents of ephemeral flows.", view.bytes as f64),
        ]);
        measurements
    }

    async fn feed_lag(&self) -> Result<FeedLag> {
        self.store.feed_lag().await
    }

    /// Closes the storage and discards the flows in memory.
    async fn close(&self) -> Result<()> {
        self.scratch.close();
        self.store.close().await
    }
}
