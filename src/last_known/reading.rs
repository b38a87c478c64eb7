//! The copy as a repository that only reads.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::ready;
use futures::stream::{self, BoxStream};
use tokio::task::spawn_blocking;

use super::LastKnown;
use super::view::View;
use crate::clock;
use crate::flow::{Flow, FlowId, Head};
use crate::listing;
use crate::repository::{
    Applied, Change, Feed, FeedCursor, FlowRepository, Health, ListQuery, Page, Record, RepositoryError, Result,
    Revision, Since, Stamp, Status, Stored,
};

/// When it is worth asking again, the storage itself perhaps.
const RETRY_AFTER: Duration = Duration::from_secs(2);

fn unavailable(reason: &str) -> RepositoryError {
    RepositoryError::Unavailable { reason: reason.to_owned(), retry_after: RETRY_AFTER, is_open: false }
}

fn only_reads<T>() -> Result<T> {
    Err(unavailable("the last known flows can only be read, as they are"))
}

impl LastKnown {
    fn view(&self) -> Result<View> {
        self.0.shared.view().ok_or_else(|| unavailable("no flows are known yet"))
    }

    /// Only those lists of which it is certain that nothing is missing.
    async fn list_as<T: Send + 'static>(&self, query: &ListQuery, show: fn(&Stored<Flow>) -> T) -> Result<Page<T>> {
        let (view, query) = (self.view()?, query.clone());
        if !view.is_complete && query.filter.auto_restart != Some(true) {
            return Err(unavailable("the last known flows are not all flows, only lists with `auto_restart=true` are"));
        }
        // Containment reads every document, which is too long for a thread that serves others.
        let listing = spawn_blocking(move || Ok(listing::list(view.flows.values(), &query)?.map(show)));
        listing.await.unwrap_or_else(|panicked| Err(RepositoryError::Failed(panicked.into())))
    }
}

#[async_trait]
impl FlowRepository for LastKnown {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        let view = self.view()?;
        let found = view.flows.get(&id).cloned();
        found.map(Some).ok_or_else(|| unavailable("this flow is not among the last known ones; it may exist"))
    }

    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
        let copy = self.clone();
        stream::iter(ids)
            .then(move |id| {
                let copy = copy.clone();
                async move { copy.get(id).await.transpose() }
            })
            .filter_map(ready)
            .boxed()
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        self.list_as(query, Stored::clone).await
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        self.list_as(query, Stored::to_head).await
    }

    async fn apply(&self, _: Vec<Change>, _: Stamp) -> Result<Vec<Applied>> {
        only_reads()
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        let copy = self.clone();
        let flows = async move {
            match copy.list(&ListQuery::default()).await {
                Ok(page) => stream::iter(page.items).map(Ok).boxed(),
                Err(error) => stream::iter([Err(error)]).boxed(),
            }
        };
        stream::once(flows).flatten().boxed()
    }

    async fn history(&self, _: FlowId, _: Option<Revision>, _: u32) -> Result<Vec<Record<Head>>> {
        only_reads()
    }

    async fn revision(&self, _: FlowId, _: Revision) -> Result<Option<Record<Flow>>> {
        only_reads()
    }

    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>> {
        stream::iter([only_reads()]).boxed()
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        only_reads()
    }

    async fn changes(&self, _: Since, _: u32) -> Result<Feed<Flow>> {
        only_reads()
    }

    async fn change_summaries(&self, _: Since, _: u32) -> Result<Feed<Head>> {
        only_reads()
    }

    /// Asking shows an error, but not at once, or whoever follows would ask on and on.
    async fn changed(&self, _: FeedCursor) {
        tokio::time::sleep(RETRY_AFTER).await;
    }

    /// Ready as soon as it has a copy, and since its moment.
    async fn health(&self) -> Health {
        let status = match self.view() {
            Ok(_) => Status::Ready,
            Err(error) => Status::Unavailable(error.to_string()),
        };
        let for_the_last = self.age(clock::now()).unwrap_or_default();
        let location = self.0.shared.location.clone();
        Health { kind: "last known", location, status, for_the_last, read_only: true, faults: Vec::new() }
    }

    /// Stops following.
    async fn close(&self) {
        self.stop().await;
    }
}
