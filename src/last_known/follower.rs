//! Keeps the copy up to date: reads everything once, then change by change.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::selection::Selection;
use super::shared::Shared;
use super::view::{Coverage, Moment, View};
use crate::flow::Flow;
use crate::repository::{FeedCursor, RepositoryError, Result, Since, Stored};

/// The number of changes to read at once. All their documents are in memory.
const PAGE: u32 = 50;
/// The pause after reading the end of the feed, which lets changes accumulate.
const REST: Duration = Duration::from_millis(100);
/// The pause after the first error. Each further error doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Follows the feed of a storage.
#[derive(Debug)]
pub(super) struct Follower {
    shared: Arc<Shared>,
    /// The position in the feed. `None` if everything must be read again.
    cursor: Option<FeedCursor>,
    /// A cursor, and a time whose changes all come before it.
    fence: Option<(FeedCursor, Moment)>,
    is_unreachable: bool,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, cursor: None, fence: None, is_unreachable: false }
    }

    /// Runs until the signal to stop, or until its sender is dropped.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let step = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                step = self.step() => step,
            };
            let rest = step.err().map(|error| pause.max(self.failed(error)));
            pause = if rest.is_some() { LONGEST_PAUSE.min(2 * pause) } else { FIRST_PAUSE };
            if let Some(rest) = rest {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => break,
                    () = sleep(rest) => {}
                }
            }
        }
    }

    /// Handles an error. Returns how long to wait at least.
    fn failed(&mut self, error: RepositoryError) -> Duration {
        tracing::debug!(%error, "cannot update the last-known copy");
        match error {
            RepositoryError::Unavailable { reason, retry_after, .. } => {
                self.report_outage(&reason);
                return retry_after;
            }
            RepositoryError::Busy(_) => {}
            // The cursor cannot be continued from.
            _ => self.cursor = None,
        }
        Duration::ZERO
    }

    fn report_outage(&mut self, reason: &str) {
        if mem::replace(&mut self.is_unreachable, true) {
            return;
        }
        match self.shared.view() {
            Some(View { flows, coverage, as_of }) => tracing::warn!(
                reason,
                flows = flows.size(),
                complete = coverage == Coverage::Complete,
                as_of = %as_of.at,
                "the storage is unavailable; serving the last-known copy"
            ),
            None => tracing::warn!(reason, "the storage is unavailable, and no last-known copy exists"),
        }
    }

    /// Reads everything, or the changes since the last step. Waits if there are none.
    async fn step(&mut self) -> Result<()> {
        let Some(cursor) = self.cursor else { return self.begin().await };
        let (asked, acknowledged) = (Moment::now(), self.shared.state().acknowledged());
        let feed = self.shared.repository.changes(Since::After(cursor), PAGE).await?;
        let is_quiet = feed.changes.is_empty();
        for record in feed.changes {
            let unknown = self.shared.state().take(record);
            if let Some(id) = unknown {
                let stored = self.shared.repository.get(id).await?;
                self.shared.state().put_read(id, stored);
            }
        }
        self.cursor = Some(feed.next);
        let overdue = self.shared.state().overdue(feed.next, feed.newest, acknowledged);
        for (id, number) in overdue {
            let stored = self.shared.repository.get(id).await?;
            self.shared.state().settle(id, number, stored);
        }
        let (fence, moment) = *self.fence.get_or_insert((feed.newest, asked));
        if feed.next >= feed.newest {
            self.fence = None;
            self.publish(asked);
        } else if feed.next >= fence {
            self.fence = Some((feed.newest, asked));
            self.publish(moment);
        }
        if self.shared.state().could_be_complete() {
            self.cursor = None;
        } else if is_quiet {
            let changed = timeout(self.shared.settings.look, self.shared.repository.changed(feed.next));
            // Waits at least this long, so that spurious wake-ups do not cause a busy loop.
            let _ = tokio::join!(changed, sleep(REST));
        }
        Ok(())
    }

    /// Reads everything. Reads the cursor first, so that concurrent changes are read twice rather than missed.
    async fn begin(&mut self) -> Result<()> {
        let cursor = self.shared.repository.changes(Since::Now, 0).await?.next;
        let before = self.shared.view();
        let (asked, acknowledged) = (Moment::now(), self.shared.state().acknowledged());
        let mut selection = Selection::new(self.shared.settings.bytes);
        let mut everything = self.shared.repository.snapshot();
        while let Some(stored) = everything.next().await {
            let stored = stored?;
            selection.put(before.as_ref().and_then(|before| same(before, &stored)).unwrap_or(stored));
        }
        let replaced = self.shared.state().replace(selection, acknowledged, asked);
        drop(replaced);
        self.cursor = Some(cursor);
        self.fence = None;
        self.publish(asked);
        Ok(())
    }

    /// Publishes the state of the storage at this time.
    fn publish(&mut self, as_of: Moment) {
        if mem::replace(&mut self.is_unreachable, false) {
            tracing::info!("the storage is available again; no longer serving the last-known copy");
        }
        self.shared.publish(as_of);
    }
}

/// Returns the published flow if it is equal, so that reading everything again does not double the memory.
fn same(before: &View, stored: &Stored<Flow>) -> Option<Stored<Flow>> {
    let known = before.flows.get(&stored.item.id())?;
    let is_same = known.version == stored.version
        && known.item.head() == stored.item.head()
        && known.item.document().get() == stored.item.document().get();
    is_same.then(|| known.clone())
}
