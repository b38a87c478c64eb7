//! Keeps the copy up to date: reads everything once, then change by change.

use std::collections::HashSet;
use std::io;
use std::mem;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::file::CopyFile;
use super::selection::Selection;
use super::shared::Shared;
use super::view::{Moment, View};
use crate::flow::{Flow, FlowId};
use crate::repository::{FeedCursor, Operation, Record, RepositoryError, Result, Since, Stored, Version};

/// The number of changes to read at once. All their documents are in memory.
const PAGE: u32 = 50;
/// The pause after reading the end of the feed, which lets changes accumulate.
const REST: Duration = Duration::from_millis(100);
/// The pause after the first error. Each further error doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Follows a storage. Only the follower changes the copy.
#[derive(Debug)]
pub(super) struct Follower {
    shared: Arc<Shared>,
    selection: Selection,
    /// The position in the feed. `None` if everything must be read again.
    cursor: Option<FeedCursor>,
    /// A cursor, and a time whose changes all come before it.
    fence: Option<(FeedCursor, Moment)>,
    file: Option<CopyFile>,
    /// Flows that readers see and that are not in the file.
    unsaved: HashSet<FlowId>,
    /// The state of the file.
    saved: Option<DateTime<Utc>>,
    last_save: Option<Instant>,
    is_save_failing: bool,
    is_unreachable: bool,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, file: Option<CopyFile>) -> Self {
        let selection = Selection::new(shared.settings.bytes);
        let saved = shared.view().map(|view| view.as_of.at);
        Self {
            shared,
            selection,
            cursor: None,
            fence: None,
            file,
            unsaved: HashSet::new(),
            saved,
            last_save: None,
            is_save_failing: false,
            is_unreachable: false,
        }
    }

    /// Runs until it is told to stop or the sender is dropped, then saves.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let step = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                step = self.step() => step,
            };
            let rest = step.err().map(|error| pause.max(self.failed(error)));
            pause = if rest.is_some() { LONGEST_PAUSE.min(2 * pause) } else { FIRST_PAUSE };
            if self.is_save_due() {
                self.save().await;
            }
            if let Some(rest) = rest {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => break,
                    () = sleep(rest) => {}
                }
            }
        }
        if self.is_anything_unsaved() {
            self.save().await;
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
            Some(View { flows, is_complete, as_of }) => tracing::warn!(
                reason,
                flows = flows.size(),
                complete = is_complete,
                as_of = %as_of.at,
                "the storage is unavailable; serving the last-known copy"
            ),
            None => tracing::warn!(reason, "the storage is unavailable, and no last-known copy exists"),
        }
    }

    /// Reads everything, or the changes since the last step. Waits if there are none.
    async fn step(&mut self) -> Result<()> {
        let Some(cursor) = self.cursor else { return self.begin().await };
        let asked = Moment::now();
        let feed = self.shared.repository.changes(Since::After(cursor), PAGE).await?;
        let is_quiet = feed.changes.is_empty();
        for record in feed.changes {
            self.take(record).await?;
        }
        self.cursor = Some(feed.next);
        let (fence, moment) = *self.fence.get_or_insert((feed.newest, asked));
        if feed.next >= feed.newest {
            self.fence = None;
            self.publish(asked);
        } else if feed.next >= fence {
            self.fence = Some((feed.newest, asked));
            self.publish(moment);
        }
        if self.selection.could_be_complete() {
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
        let asked = Moment::now();
        let mut selection = Selection::new(self.shared.settings.bytes);
        let mut everything = self.shared.repository.snapshot();
        while let Some(stored) = everything.next().await {
            let stored = stored?;
            selection.put(before.as_ref().and_then(|before| same(before, &stored)).unwrap_or(stored));
        }
        let gone = self.selection.flows().keys().chain(before.iter().flat_map(|before| before.flows.keys()));
        self.unsaved.extend(gone);
        self.selection = selection;
        self.cursor = Some(cursor);
        self.fence = None;
        self.publish(asked);
        Ok(())
    }

    /// Applies a change to the copy. A change that the copy contains already has no effect.
    async fn take(&mut self, record: Record<Flow>) -> Result<()> {
        let id = record.item.id();
        let known = self.selection.flows().get(&id).map(|stored| stored.version.clone());
        match known {
            Some(version) if record.revision < version.revision => {}
            Some(_) if record.operation == Operation::Delete => self.selection.remove(id),
            Some(version) if record.operation == Operation::State => {
                self.selection.put(Stored { item: record.item, version });
            }
            Some(Version { created_at, .. }) => {
                let Record { item, revision, at, author, .. } = record;
                let version = Version { revision, created_at, updated_at: at, author };
                self.selection.put(Stored { item, version });
            }
            // The feed does not contain the time of creation.
            None => match self.shared.repository.get(id).await? {
                Some(stored) => self.selection.put(stored),
                None => self.selection.remove(id),
            },
        }
        Ok(())
    }

    /// Publishes the state of the storage at this time.
    fn publish(&mut self, as_of: Moment) {
        if mem::replace(&mut self.is_unreachable, false) {
            tracing::info!("the storage is available again; no longer serving the last-known copy");
        }
        self.unsaved.extend(self.selection.take_touched());
        let is_complete = self.selection.is_complete();
        self.shared.publish(View { flows: self.selection.flows().clone(), is_complete, as_of });
    }

    fn is_anything_unsaved(&self) -> bool {
        self.shared.view().is_some_and(|view| Some(view.as_of.at) != self.saved)
    }

    fn is_save_due(&self) -> bool {
        let settings = &self.shared.settings;
        let interval = if self.unsaved.is_empty() { settings.save_age } else { settings.save };
        self.last_save.is_none_or(|last| last.elapsed() >= interval) && self.is_anything_unsaved()
    }

    async fn save(&mut self) {
        let (Some(mut file), Some(view)) = (self.file.take(), self.shared.view()) else { return };
        let as_of = view.as_of.at;
        let unsaved = mem::take(&mut self.unsaved);
        let saving = spawn_blocking(move || {
            let saved = file.save(&view, &unsaved);
            (file, saved)
        });
        let saved = match saving.await {
            Ok((file, saved)) => {
                self.file = Some(file);
                saved
            }
            // The file went with the thread, so the supervisor starts the follower again.
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(aborted) => Err(io::Error::other(aborted)),
        };
        // A failed save counts as well, so that a full disk is not retried constantly. The next save rewrites the
        // file.
        self.last_save = Some(Instant::now());
        match saved {
            Ok(()) => (self.saved, self.is_save_failing) = (Some(as_of), false),
            Err(error) if mem::replace(&mut self.is_save_failing, true) => {
                tracing::debug!(%error, "still cannot save the last-known copy");
            }
            Err(error) => tracing::warn!(%error, "cannot save the last-known copy; it exists only in memory"),
        }
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
