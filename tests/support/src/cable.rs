//! A repository that tests can make unavailable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use serde_json::json;
use strom_store::repository::{
    Applied, Change, ChangeList, Feed, FeedCursor, FlowRepository, Health, ListQuery, Page, Precondition, Record,
    RepositoryError, Result, Revision, Since, Stamp, Status, Stored,
};
use strom_store::{Flow, FlowId, Head};
use tokio::sync::watch;

/// A decorator that forwards calls to a repository unless it is cut.
#[derive(Debug)]
pub struct Cable {
    repository: Arc<dyn FlowRepository>,
    is_cut: AtomicBool,
    forgets_cursors: AtomicBool,
    holds_feed: watch::Sender<bool>,
    loses_answers: AtomicBool,
    has_concurrent_writer: AtomicBool,
    renamed: AtomicUsize,
    rejected: AtomicUsize,
    read: AtomicUsize,
    failed: AtomicUsize,
}

impl Cable {
    pub fn to(repository: Arc<dyn FlowRepository>) -> Arc<Self> {
        Arc::new(Self {
            repository,
            is_cut: AtomicBool::new(false),
            forgets_cursors: AtomicBool::new(false),
            holds_feed: watch::Sender::new(false),
            loses_answers: AtomicBool::new(false),
            has_concurrent_writer: AtomicBool::new(false),
            renamed: AtomicUsize::new(0),
            rejected: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        })
    }

    /// Returns the decorated repository.
    pub fn repository(&self) -> &Arc<dyn FlowRepository> {
        &self.repository
    }

    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    pub fn restore(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
        self.loses_answers.store(false, Ordering::SeqCst);
    }

    /// From now on, changes are made, but their outcome is lost on the way back.
    pub fn lose_answers(&self) {
        self.loses_answers.store(true, Ordering::SeqCst);
    }

    /// Makes every cursor unknown from now on: reads after a cursor return `Gone`.
    pub fn forget(&self) {
        self.forgets_cursors.store(true, Ordering::SeqCst);
    }

    /// Makes reads of the feed wait until [`release_feed`](Self::release_feed). A read that has started returns first.
    pub fn hold_feed(&self) {
        self.holds_feed.send_replace(true);
    }

    /// Ends [`hold_feed`](Self::hold_feed).
    pub fn release_feed(&self) {
        self.holds_feed.send_replace(false);
    }

    /// From now on, a concurrent writer renames the first flow of each call right before the call.
    pub fn race(&self) {
        self.has_concurrent_writer.store(true, Ordering::SeqCst);
    }

    /// Fails if cursors are forgotten. Runs after the read, so that a read in progress fails like a later one.
    fn check_cursor(&self, since: Since) -> Result<()> {
        match since {
            Since::After(_) if self.forgets_cursors.load(Ordering::SeqCst) => Err(RepositoryError::Gone),
            _ => Ok(()),
        }
    }

    /// Returns the number of calls that failed because the cable was cut.
    pub fn refused(&self) -> usize {
        self.rejected.load(Ordering::SeqCst)
    }

    /// Returns the numbers of successful and failed reads of the feed with documents.
    pub fn feed_reads(&self) -> (usize, usize) {
        (self.read.load(Ordering::SeqCst), self.failed.load(Ordering::SeqCst))
    }

    async fn read_feed(&self, since: Since, limit: u32) -> Result<Feed<Flow>> {
        // Never fails: `self` owns the sender.
        let _ = self.holds_feed.subscribe().wait_for(|is_held| !is_held).await;
        let feed = self.target()?.changes(since, limit).await?;
        self.check_cursor(since)?;
        Ok(feed)
    }

    fn target(&self) -> Result<&dyn FlowRepository> {
        if self.is_cut.load(Ordering::SeqCst) {
            self.rejected.fetch_add(1, Ordering::SeqCst);
            let retry_after = Duration::from_millis(2_100);
            let reason = "the cable is cut".to_owned();
            return Err(RepositoryError::Unavailable { reason, retry_after, outcome_unknown: false });
        }
        Ok(&*self.repository)
    }
}

#[async_trait]
impl FlowRepository for Cable {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        self.target()?.get(id).await
    }

    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
        match self.target() {
            Ok(repository) => repository.get_each(ids),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        self.target()?.list(query).await
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        self.target()?.summaries(query).await
    }

    async fn apply(&self, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        let repository = self.target()?;
        if !changes.is_empty() && self.has_concurrent_writer.load(Ordering::SeqCst) {
            let name = format!("renamed {}", self.renamed.fetch_add(1, Ordering::SeqCst));
            let flow = Flow::parse(&json!({ "id": changes.target(0).0, "name": name }).to_string()).unwrap();
            repository.apply_all(vec![Change::Put(flow, Precondition::Any)], stamp.clone()).await?;
        }
        let applied = repository.apply(changes, stamp).await?;
        if self.loses_answers.load(Ordering::SeqCst) {
            let (reason, retry_after) = ("the answer was lost".to_owned(), Duration::from_secs(2));
            return Err(RepositoryError::Unavailable { reason, retry_after, outcome_unknown: true });
        }
        Ok(applied)
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        match self.target() {
            Ok(repository) => repository.snapshot(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>> {
        self.target()?.history(id, before, limit).await
    }

    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>> {
        self.target()?.revision(id, revision).await
    }

    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>> {
        match self.target() {
            Ok(repository) => repository.histories(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        self.target()?.deleted().await
    }

    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>> {
        let feed = self.read_feed(since, limit).await;
        let counter = if feed.is_ok() { &self.read } else { &self.failed };
        counter.fetch_add(1, Ordering::SeqCst);
        feed
    }

    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>> {
        let feed = self.target()?.change_summaries(since, limit).await?;
        self.check_cursor(since)?;
        Ok(feed)
    }

    async fn changed(&self, after: FeedCursor) {
        if let Ok(repository) = self.target() {
            repository.changed(after).await;
        }
    }

    async fn health(&self) -> Health {
        let mut health = self.repository.health().await;
        if let Err(error) = self.target() {
            health.status = Status::Unavailable(error.to_string());
        }
        health
    }

    async fn close(&self) -> Result<()> {
        self.repository.close().await
    }
}
