//! The one reader of the repository's feed for all clients: a thousand streams cost the storage as much as one.
//!
//! A task reads at the end of the feed while there are followers, and appends what it reads to [`Recent`], which is limited in
//! changes and bytes. A follower whose cursor is in `Recent` continues from there. A follower that resumes or was too slow reads
//! from the repository until it has caught up. [`MAX_CONCURRENT_READS`] limits these reads, so that enough of the storage's
//! connections remain for requests that read and save flows.
//!
//! Why every follower receives each change exactly once:
//!
//! - `Recent` is a part of the feed without gaps. The task starts it at a cursor that the repository returned, and appends what
//!   the repository returned after the last change. `Recent` drops changes only at its start.
//! - A follower continues only from its cursor, which is the `next` of its previous page. If the cursor is the start of `Recent`
//!   or one of its changes, then the changes after it in `Recent` are the changes after it in the feed, because the feed after a
//!   cursor does not depend on the reader. (`Recent` may contain a report that the repository has dropped since. A client that
//!   applies all changes still ends with the same documents.)
//! - For any other cursor, the repository returns what follows, or that the changes have expired. This also applies after a start
//!   and when the feed is a different one: then the task starts again, and `Recent` contains no known cursor.
//! - A follower at the end waits for `Recent` to change. It looks at `Recent` before it asks the repository, so a change that the
//!   repository did not return yet arrives in `Recent` later and wakes the follower.
//!
//! The hub reads documents only while a follower wants them, at most [`FeedPart::bytes`] at a time: it reads summaries first, and
//! these contain the sizes. All documents for streams, in `Recent` and in slow responses, use at most [`DOCUMENT_BUDGET`]. When
//! the budget is used up, followers wait and `Recent` contains no documents.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use strom_store::repository::{FeedCursor, FlowRepository, Operation, RepositoryError, Result, Since};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::page::{FeedChange, FeedPage, FeedPart};
use super::recent::Recent;
use crate::http::respond::kibibytes;

/// Maximum number of concurrent reads by followers, in addition to the task.
const MAX_CONCURRENT_READS: usize = 2;
/// Maximum time that a request waits for a read. After that it fails with 503.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Maximum bytes of all documents that streams hold.
const DOCUMENT_BUDGET: u64 = 256 << 20;
/// Maximum number of changes that the task reads at a time.
const TASK_LIMIT: u32 = 500;
/// Maximum bytes of the documents that the task reads at a time.
const TASK_BYTES: u64 = 8 << 20;
/// Number of summaries to read first if the follower wants documents.
const FIRST_SUMMARIES: u32 = 4;
/// Pause between two reads of the task. It limits how often a thousand streams wake up: 50 times per second.
const GATHER_TIME: Duration = Duration::from_millis(20);
/// Pause before another attempt during an outage.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Time that the task continues without followers, because polling clients come back.
const IDLE_TIME: Duration = Duration::from_secs(5);

/// Follows the feed of one repository for all clients.
#[derive(Debug)]
pub(crate) struct Hub {
    repository: Arc<dyn FlowRepository>,
    recent: watch::Sender<Recent>,
    /// The task, if it runs.
    task: Mutex<Option<JoinHandle<()>>>,
    read_permits: Semaphore,
    document_kibibytes: Arc<Semaphore>,
    /// The number of followers that want documents.
    documents_wanted: AtomicUsize,
}

impl Hub {
    /// Creates a hub. It does not call the repository before there is a follower.
    pub(crate) fn new(repository: Arc<dyn FlowRepository>) -> Arc<Self> {
        Arc::new(Self {
            repository,
            recent: watch::Sender::default(),
            task: Mutex::default(),
            read_permits: Semaphore::new(MAX_CONCURRENT_READS),
            document_kibibytes: Arc::new(Semaphore::new(kibibytes(DOCUMENT_BUDGET) as usize)),
            documents_wanted: AtomicUsize::new(0),
        })
    }

    pub(super) fn count_follower(&self, part: &FeedPart) {
        self.documents_wanted.fetch_add(usize::from(part.documents), Ordering::Relaxed);
    }

    pub(super) fn discount_follower(&self, part: &FeedPart) {
        self.documents_wanted.fetch_sub(usize::from(part.documents), Ordering::Relaxed);
    }

    /// As [`read`](Self::read), for a request that needs a response in time.
    ///
    /// # Errors
    /// Returns the errors of the repository, and [`RepositoryError::Busy`] if there is no read permit in time.
    pub(super) async fn read_in_time(&self, part: FeedPart) -> Result<FeedPage> {
        let busy = |_| RepositoryError::Busy("too many clients read the change feed".into());
        timeout(MAX_WAIT, self.read(part)).await.map_err(busy)?
    }

    /// Reads a page from the repository. The page is empty only at the end of the feed.
    pub(super) async fn read(&self, mut part: FeedPart) -> Result<FeedPage> {
        loop {
            let permit = self.read_permit().await;
            let mut page = self.summaries(part).await?;
            if !part.documents || page.changes.is_empty() {
                return Ok(page);
            }
            // Without a permit while waiting for memory, so that readers of summaries do not wait too.
            drop(permit);
            let bytes = page.shorten(part.bytes).min(DOCUMENT_BUDGET);
            let memory = Arc::clone(&self.document_kibibytes).acquire_many_owned(kibibytes(bytes));
            let memory = memory.await.expect("nothing closes the semaphore");
            let _permit = self.read_permit().await;
            let page = self.with_documents(page, part.since, memory).await?;
            // The page is empty if all its changes were reports that the repository dropped in the meantime.
            if !page.changes.is_empty() {
                return Ok(page);
            }
            part.since = Since::After(page.next);
        }
    }

    /// Reads a page without documents. If the follower wants documents, reads few summaries first, and more while their documents
    /// fit into the page: the JSON backend has no summaries and reads the documents for them.
    async fn summaries(&self, part: FeedPart) -> Result<FeedPage> {
        let FeedPart { since, limit, bytes, documents } = part;
        let mut count = if documents { limit.min(FIRST_SUMMARIES) } else { limit };
        let mut page = FeedPage::of(&self.repository.change_summaries(since, count).await?);
        let mut is_end = page.changes.len() < count as usize;
        while !is_end && page.size() < bytes && page.changes.len() < limit as usize {
            count = (4 * count).min(limit - page.changes.len() as u32);
            let more = FeedPage::of(&self.repository.change_summaries(Since::After(page.next), count).await?);
            is_end = more.changes.len() < count as usize;
            page.next = more.next;
            page.changes.extend(more.changes);
        }
        Ok(page)
    }

    async fn with_documents(&self, page: FeedPage, since: Since, memory: OwnedSemaphorePermit) -> Result<FeedPage> {
        let feed = self.repository.changes(since, page.changes.len() as u32).await?;
        Ok(page.with_documents(feed, memory))
    }

    async fn read_permit(&self) -> SemaphorePermit<'_> {
        self.read_permits.acquire().await.expect("nothing closes the semaphore")
    }

    /// Reports whether the flow was deleted before this restore.
    ///
    /// # Errors
    /// Returns the errors of the repository.
    pub(super) async fn was_deleted(&self, change: &FeedChange) -> Result<bool> {
        let _permit = self.read_permit().await;
        self.was_deleted_before(change).await
    }

    async fn was_deleted_before(&self, change: &FeedChange) -> Result<bool> {
        let before = self.repository.history(change.flow_id, Some(change.revision), 1).await?;
        Ok(before.first().is_some_and(|before| before.operation == Operation::Delete))
    }

    /// Subscribes to `Recent`, and starts the task if it does not run.
    pub(super) fn join(self: &Arc<Self>) -> watch::Receiver<Recent> {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = self.recent.subscribe();
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(Arc::clone(self).run()));
        }
        recent
    }

    /// Follows the end of the feed until there are no followers.
    async fn run(self: Arc<Self>) {
        let mut following = pin!(self.follow_end());
        loop {
            let idle = async {
                self.recent.closed().await;
                sleep(IDLE_TIME).await;
            };
            tokio::select! {
                () = &mut following => return,
                () = idle => {}
            }
            // Under the lock, so that a new follower finds either this task or none.
            let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            if self.recent.receiver_count() == 0 {
                self.recent.send_replace(Recent::default());
                *task = None;
                return;
            }
        }
    }

    async fn follow_end(&self) {
        let mut since = Since::Now;
        loop {
            // If a panic ended the task, all streams would wait forever.
            match AssertUnwindSafe(self.step(since)).catch_unwind().await {
                Ok(Ok(next)) => {
                    since = Since::After(next);
                    continue;
                }
                Ok(Err(RepositoryError::Gone)) => since = Since::Now,
                Ok(Err(error)) => tracing::debug!(%error, "cannot read the change feed"),
                Err(_) => tracing::error!("the reader of the change feed has panicked and restarts"),
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Starts at the end of the feed, or waits for the next changes and appends them to `Recent`.
    async fn step(&self, since: Since) -> Result<FeedCursor> {
        let Since::After(cursor) = since else {
            let cursor = self.repository.change_summaries(since, 0).await?.next;
            self.recent.send_modify(|recent| recent.restart(cursor));
            return Ok(cursor);
        };
        self.repository.changed(cursor).await;
        let page = self.read_for_all(since).await?;
        let next = page.next;
        self.recent.send_if_modified(|recent| {
            let has_changes = !page.changes.is_empty();
            recent.push(page);
            has_changes
        });
        sleep(GATHER_TIME).await;
        Ok(next)
    }

    /// Reads the next page, with documents if a follower wants them and the budget allows it.
    async fn read_for_all(&self, since: Since) -> Result<FeedPage> {
        let documents = self.documents_wanted.load(Ordering::Relaxed) > 0;
        let mut page = self.summaries(FeedPart { since, limit: TASK_LIMIT, bytes: TASK_BYTES, documents }).await?;
        if documents && !page.changes.is_empty() {
            let bytes = page.shorten(TASK_BYTES).min(DOCUMENT_BUDGET);
            if let Ok(memory) = Arc::clone(&self.document_kibibytes).try_acquire_many_owned(kibibytes(bytes)) {
                page = self.with_documents(page, since, memory).await?;
            }
        }
        for change in &mut page.changes {
            if change.operation == Operation::Restore {
                // If this fails, a follower that needs the answer reads it itself.
                change.was_deleted = self.was_deleted_before(change).await.ok();
            }
        }
        Ok(page)
    }
}
