//! A repository that can be cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use serde_json::json;
use strom::repository::{
    Applied, Change, Feed, FeedCursor, FlowRepository, Health, ListQuery, Page, Precondition, Record, RepositoryError,
    Result, Revision, Since, Stamp, Status, Stored,
};
use strom::{Flow, FlowId, Head};

/// Passes calls on to a repository, as long as it is not cut.
#[derive(Debug)]
pub(crate) struct Cable {
    repository: Arc<dyn FlowRepository>,
    is_cut: AtomicBool,
    is_forgetful: AtomicBool,
    has_rival: AtomicBool,
    renamed: AtomicUsize,
    refused: AtomicUsize,
}

impl Cable {
    pub(crate) fn to(repository: Arc<dyn FlowRepository>) -> Arc<Self> {
        Arc::new(Self {
            repository,
            is_cut: AtomicBool::new(false),
            is_forgetful: AtomicBool::new(false),
            has_rival: AtomicBool::new(false),
            renamed: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        })
    }

    /// What is behind it.
    pub(crate) fn repository(&self) -> &Arc<dyn FlowRepository> {
        &self.repository
    }

    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    pub(crate) fn restore(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }

    /// From now on no place is known any more.
    pub(crate) fn forget(&self) {
        self.is_forgetful.store(true, Ordering::SeqCst);
    }

    /// From now on somebody else renames the first flow of a call right before it.
    pub(crate) fn race(&self) {
        self.has_rival.store(true, Ordering::SeqCst);
    }

    /// Asked when the answer is there: a call that was under way knows no more than one that comes later.
    fn remember(&self, since: Since) -> Result<()> {
        match since {
            Since::After(_) if self.is_forgetful.load(Ordering::SeqCst) => Err(RepositoryError::Gone),
            _ => Ok(()),
        }
    }

    /// How many calls came while it was cut.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    fn pass(&self) -> Result<&dyn FlowRepository> {
        if self.is_cut.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            let retry_after = Duration::from_millis(2_100);
            let reason = "the cable is cut".to_owned();
            return Err(RepositoryError::Unavailable { reason, retry_after, is_open: false });
        }
        Ok(&*self.repository)
    }
}

#[async_trait]
impl FlowRepository for Cable {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        self.pass()?.get(id).await
    }

    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
        match self.pass() {
            Ok(repository) => repository.get_each(ids),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        self.pass()?.list(query).await
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        self.pass()?.summaries(query).await
    }

    async fn apply(&self, changes: Vec<Change>, stamp: Stamp) -> Result<Vec<Applied>> {
        let repository = self.pass()?;
        if let Some(first) = changes.first().filter(|_| self.has_rival.load(Ordering::SeqCst)) {
            let name = format!("renamed {}", self.renamed.fetch_add(1, Ordering::SeqCst));
            let flow = Flow::parse(&json!({ "id": first.id(), "name": name }).to_string()).unwrap();
            repository.apply(vec![Change::Put(flow, Precondition::Any)], stamp.clone()).await?;
        }
        repository.apply(changes, stamp).await
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        match self.pass() {
            Ok(repository) => repository.snapshot(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>> {
        self.pass()?.history(id, before, limit).await
    }

    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>> {
        self.pass()?.revision(id, revision).await
    }

    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>> {
        match self.pass() {
            Ok(repository) => repository.histories(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        self.pass()?.deleted().await
    }

    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>> {
        let feed = self.pass()?.changes(since, limit).await?;
        self.remember(since)?;
        Ok(feed)
    }

    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>> {
        let feed = self.pass()?.change_summaries(since, limit).await?;
        self.remember(since)?;
        Ok(feed)
    }

    async fn changed(&self, after: FeedCursor) {
        if let Ok(repository) = self.pass() {
            repository.changed(after).await;
        }
    }

    async fn health(&self) -> Health {
        let health = self.repository.health().await;
        match self.pass() {
            Ok(_) => health,
            Err(error) => Health { status: Status::Unavailable(error.to_string()), ..health },
        }
    }

    async fn close(&self) {
        self.repository.close().await;
    }
}
