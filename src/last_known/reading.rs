//! The copy as a read-only repository.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::ready;
use futures::stream::{self, BoxStream};
use tokio::task::spawn_blocking;

use super::copy::LastKnown;
use super::view::{Coverage, View, now};
use crate::flow::{Flow, FlowId, Head};
use crate::listing;
use crate::repository::{
    Applied, ChangeList, Feed, FeedCursor, FlowRepository, Health, ListQuery, Page, Record, RepositoryError, Result,
    Revision, Since, Stamp, Status, Stored,
};

/// When a client should retry.
const RETRY_AFTER: Duration = Duration::from_secs(2);

fn unavailable(reason: &str) -> RepositoryError {
    RepositoryError::Unavailable { reason: reason.to_owned(), retry_after: RETRY_AFTER, outcome_unknown: false }
}

fn only_reads<T>() -> Result<T> {
    Err(unavailable("the last-known copy is read-only and supports only simple reads"))
}

impl LastKnown {
    fn view(&self) -> Result<View> {
        self.shared().view().ok_or_else(|| unavailable("no last-known copy exists yet"))
    }

    /// Lists flows. Fails if the copy may lack some of them.
    async fn list_as<T: Send + 'static>(&self, query: &ListQuery, show: fn(&Stored<Flow>) -> T) -> Result<Page<T>> {
        let (view, query) = (self.view()?, query.clone());
        match view.coverage {
            Coverage::Complete => {}
            Coverage::Limited if query.filter.auto_restart == Some(true) => {}
            Coverage::Limited => {
                return Err(unavailable(
                    "the last-known copy is incomplete; only lists with `auto_restart=true` are complete",
                ));
            }
            Coverage::Changes => {
                return Err(unavailable("the last-known copy contains only flows that this instance has changed"));
            }
        }
        // Containment reads every document, which takes too long for a thread of the runtime.
        let listing = spawn_blocking(move || Ok(listing::list(view.flows.values(), &query)?.map(show)));
        listing.await.unwrap_or_else(|panicked| Err(RepositoryError::Failed(panicked.into())))
    }
}

#[async_trait]
impl FlowRepository for LastKnown {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        let view = self.view()?;
        let found = view.flows.get(&id).cloned();
        found
            .map(Some)
            .ok_or_else(|| unavailable("the last-known copy does not contain this flow, but the flow may exist"))
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

    async fn apply(&self, _: Arc<dyn ChangeList>, _: Stamp) -> Result<Vec<Applied>> {
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

    /// Waits before the next read of the feed, which fails, so that a reader does not loop without a pause.
    async fn changed(&self, _: FeedCursor) {
        tokio::time::sleep(RETRY_AFTER).await;
    }

    /// Reports ready once the copy contains a state, since the time of that state.
    async fn health(&self) -> Health {
        let status = match self.view() {
            Ok(_) => Status::Ready,
            Err(error) => Status::Unavailable(error.to_string()),
        };
        let for_the_last = self.age(now()).unwrap_or_default();
        let location = self.shared().location.clone();
        Health { kind: "last known", location, status, for_the_last, read_only: true, faults: Vec::new() }
    }

    /// Stops following.
    async fn close(&self) -> Result<()> {
        self.stop().await;
        Ok(())
    }
}
