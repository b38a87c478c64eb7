//! One reader of the feed for all that follow it: a thousand open streams cost the storage what one costs.
//!
//! | file | what |
//! |---|---|
//! | `page` | changes as they are sent |
//! | `recent` | the most recent piece of the feed |
//! | `follower` | one stream's way along it |
//!
//! A task stands at the end of the feed as long as anybody follows, and puts what comes into [`Recent`], which is bounded
//! in changes and bytes. A follower whose place is in there takes what follows from there. One that resumes, or was too
//! slow, reads the repository until it has caught up; all of them together in so few [`TURNS`] that the storage's five
//! connections stay with those who read and save flows.
//!
//! Why nobody misses a change or gets one twice:
//!
//! - `Recent` is a contiguous piece of the feed: the task begins it at a place that the repository gave, and puts behind it
//!   what the repository said follows the last one. What it lets go it lets go at its beginning.
//! - A follower goes on from its place alone, which is the `next` of the page it had before. Where the place is the beginning
//!   of `Recent` or one of its changes, the changes behind it in there are those behind it in the feed: what is behind a
//!   place does not depend on who asks. (A report that the repository has dropped since may be among them. It was there
//!   when it was read; who copies the documents ends with the same copy.)
//! - Any other place is the repository's matter: it says what follows, or that it is gone. So also after a start, and when
//!   the feed is not the one it was: then the task begins anew, and no place is found in there.
//! - Who is at the end waits for `Recent` to change, and looked at it before it asked the repository. What that did not
//!   have yet stands behind where the task was, so it will come by there and wake him.
//!
//! Documents are read only while some follower wants them, as many at a time as [`Part::bytes`] allows: summaries are read
//! first, and tell the sizes. All documents that are held for streams, here and by slow readers, take up [`ROOM`]. When
//! that is full, whoever needs more waits, and `Recent` goes without.

mod follower;
mod page;
mod recent;

pub(super) use follower::Follower;
pub(super) use page::{Change, Page};

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::room::kibibytes;
use crate::repository::{FeedCursor, FlowRepository, Operation, RepositoryError, Result, Since};
use recent::Recent;

/// So many reads of the feed run at a time, besides the task's own.
const TURNS: usize = 2;
/// How long a request waits for its turn before it is told that it is one too many.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of all the documents that streams hold.
const ROOM: u64 = 256 << 20;
/// The most changes that the task reads at once.
const AT_ONCE: u32 = 500;
/// And the bytes of their documents.
const AT_ONCE_BYTES: u64 = 8 << 20;
/// So many changes are looked at first, where documents are wanted.
const AHEAD: u32 = 4;
/// How long changes gather under load, so that a thousand streams are woken fifty times a second at most.
const GATHER: Duration = Duration::from_millis(20);
/// How soon a storage that is away is asked again.
const RETRY: Duration = Duration::from_secs(2);
/// How long the task goes on for nobody: who polls comes again.
const LINGER: Duration = Duration::from_secs(5);

/// Which part of the feed is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) since: Since,
    /// Changes of a page, at most.
    pub(super) limit: u32,
    /// Bytes of a page's documents, at most; but one change has room always.
    pub(super) bytes: u64,
    /// Whether each change carries its flow.
    pub(super) documents: bool,
}

/// Follows the feed of one repository for all who are interested.
#[derive(Debug)]
pub(super) struct Hub {
    repository: Arc<dyn FlowRepository>,
    recent: watch::Sender<Recent>,
    /// The task, while there is one.
    task: Mutex<Option<JoinHandle<()>>>,
    turns: Semaphore,
    room: Arc<Semaphore>,
    /// How many followers want documents.
    documents_wanted: AtomicUsize,
}

impl Hub {
    /// Of this repository. Asks nothing of it before somebody follows.
    pub(super) fn new(repository: Arc<dyn FlowRepository>) -> Arc<Self> {
        Arc::new(Self {
            repository,
            recent: watch::Sender::default(),
            task: Mutex::default(),
            turns: Semaphore::new(TURNS),
            room: Arc::new(Semaphore::new(kibibytes(ROOM) as usize)),
            documents_wanted: AtomicUsize::new(0),
        })
    }

    /// Begins to follow the feed from a place, and brings the first page, which may be empty.
    ///
    /// # Errors
    /// As [`read_in_time`](Self::read_in_time).
    pub(super) async fn follow(self: &Arc<Self>, part: Part) -> Result<(Follower, Page)> {
        Follower::begin(Arc::clone(self), part).await
    }

    /// As [`read`](Self::read), for a request that has to be answered.
    ///
    /// # Errors
    /// Those of the repository, and [`RepositoryError::Busy`] when it is not its turn for too long.
    pub(super) async fn read_in_time(&self, part: Part) -> Result<Page> {
        let busy = |_| RepositoryError::Busy("too many read the change feed at once".into());
        timeout(PATIENCE, self.read(part)).await.map_err(busy)?
    }

    /// One page of the repository's own, when it is our turn. Empty only at the end of the feed.
    async fn read(&self, mut part: Part) -> Result<Page> {
        loop {
            let turn = self.turn().await;
            let mut page = self.summaries(part).await?;
            if !part.documents || page.changes.is_empty() {
                return Ok(page);
            }
            // Who waits for room has no turn, or those who need none would wait for him.
            drop(turn);
            let bytes = page.shorten(part.bytes).min(ROOM);
            let room = Arc::clone(&self.room).acquire_many_owned(kibibytes(bytes)).await.expect("it is never closed");
            let _turn = self.turn().await;
            let page = self.with_documents(page, part.since, room).await?;
            // All of them may have been reports that have gone meanwhile.
            if !page.changes.is_empty() {
                return Ok(page);
            }
            part.since = Since::After(page.next);
        }
    }

    /// The page without documents. Where documents are wanted few are asked for first, and more as long as there may be
    /// room: a file has no summaries and reads the documents for them.
    async fn summaries(&self, part: Part) -> Result<Page> {
        let Part { since, limit, bytes, documents } = part;
        let mut ahead = if documents { limit.min(AHEAD) } else { limit };
        let mut page = Page::of(&self.repository.change_summaries(since, ahead).await?);
        let mut is_all = page.changes.len() < ahead as usize;
        while !is_all && page.size() < bytes && page.changes.len() < limit as usize {
            ahead = (4 * ahead).min(limit - page.changes.len() as u32);
            let more = Page::of(&self.repository.change_summaries(Since::After(page.next), ahead).await?);
            is_all = more.changes.len() < ahead as usize;
            page.next = more.next;
            page.changes.extend(more.changes);
        }
        Ok(page)
    }

    async fn with_documents(&self, page: Page, since: Since, room: OwnedSemaphorePermit) -> Result<Page> {
        let feed = self.repository.changes(since, page.changes.len() as u32).await?;
        Ok(page.with_documents(feed, room))
    }

    async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("it is never closed")
    }

    /// Whether a flow was deleted before this change to it, which restored it.
    ///
    /// # Errors
    /// Those of the repository.
    pub(super) async fn was_deleted(&self, change: &Change) -> Result<bool> {
        let _turn = self.turn().await;
        self.was_deleted_before(change).await
    }

    async fn was_deleted_before(&self, change: &Change) -> Result<bool> {
        let before = self.repository.history(change.flow_id, Some(change.revision), 1).await?;
        Ok(before.first().is_some_and(|before| before.operation == Operation::Delete))
    }

    /// Takes part in what the task finds, and sees to it that there is one.
    fn join(self: &Arc<Self>) -> watch::Receiver<Recent> {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = self.recent.subscribe();
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(Arc::clone(self).run()));
        }
        recent
    }

    /// Stays at the end of the feed until nobody follows any more.
    async fn run(self: Arc<Self>) {
        let mut keeping_up = pin!(self.keep_up());
        loop {
            let deserted = async {
                self.recent.closed().await;
                sleep(LINGER).await;
            };
            tokio::select! {
                () = &mut keeping_up => return,
                () = deserted => {}
            }
            // Under the lock, so that whoever joins finds either this task or none.
            let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            if self.recent.receiver_count() == 0 {
                self.recent.send_replace(Recent::default());
                *task = None;
                return;
            }
        }
    }

    async fn keep_up(&self) {
        let mut since = Since::Now;
        loop {
            // All streams would wait for ever for one that has panicked.
            match AssertUnwindSafe(self.step(since)).catch_unwind().await {
                Ok(Ok(next)) => {
                    since = Since::After(next);
                    continue;
                }
                Ok(Err(RepositoryError::Gone)) => since = Since::Now,
                Ok(Err(error)) => tracing::debug!(%error, "the change feed cannot be followed"),
                Err(_) => tracing::error!("following the change feed has panicked, and goes on"),
            }
            sleep(RETRY).await;
        }
    }

    /// Begins at the end of the feed; from then on waits for what follows and puts it into `Recent`.
    async fn step(&self, since: Since) -> Result<FeedCursor> {
        let Since::After(place) = since else {
            let place = self.repository.change_summaries(since, 0).await?.next;
            self.recent.send_modify(|recent| recent.begin(place));
            return Ok(place);
        };
        self.repository.changed(place).await;
        let page = self.read_behind(since).await?;
        let next = page.next;
        self.recent.send_if_modified(|recent| {
            let is_news = !page.changes.is_empty();
            recent.push(page);
            is_news
        });
        sleep(GATHER).await;
        Ok(next)
    }

    /// The next page, with documents while somebody wants them and there is room.
    async fn read_behind(&self, since: Since) -> Result<Page> {
        let documents = self.documents_wanted.load(Ordering::Relaxed) > 0;
        let mut page = self.summaries(Part { since, limit: AT_ONCE, bytes: AT_ONCE_BYTES, documents }).await?;
        if documents && !page.changes.is_empty() {
            let bytes = page.shorten(AT_ONCE_BYTES).min(ROOM);
            if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(kibibytes(bytes)) {
                page = self.with_documents(page, since, room).await?;
            }
        }
        for change in &mut page.changes {
            if change.operation == Operation::Restore {
                // Who needs to know and is not told looks himself.
                change.was_deleted = self.was_deleted_before(change).await.ok();
            }
        }
        Ok(page)
    }
}
