//! Keeps the copy as the storage is: everything once, then change by change.

use std::collections::HashSet;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::file::CopyFile;
use super::selection::Selection;
use super::view::{Moment, View};
use crate::flow::{Flow, FlowId};
use crate::repository::{FeedCursor, Operation, Record, RepositoryError, Result, Since, Stored, Version};

/// How many changes are read at once: their documents are all in memory for a moment.
const PAGE: u32 = 50;
/// When there is nothing new, changes gather for so long.
const REST: Duration = Duration::from_millis(100);
/// How long to wait after an error; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Follows a storage and is the only one who changes the copy.
#[derive(Debug)]
pub(super) struct Follower {
    shared: Arc<Shared>,
    selection: Selection,
    /// Where the feed goes on. None when everything has to be read anew.
    place: Option<FeedCursor>,
    /// A moment of which the changes are known to end there.
    fence: Option<(FeedCursor, Moment)>,
    file: Option<CopyFile>,
    /// What readers see and the file does not have.
    unsaved: HashSet<FlowId>,
    /// As of when the file is.
    saved: Option<DateTime<Utc>>,
    last_save: Option<Instant>,
    is_save_failing: bool,
    is_away: bool,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, file: Option<CopyFile>) -> Self {
        let selection = Selection::new(shared.settings.bytes);
        let saved = shared.view().map(|view| view.as_of.at);
        Self {
            shared,
            selection,
            place: None,
            fence: None,
            file,
            unsaved: HashSet::new(),
            saved,
            last_save: None,
            is_save_failing: false,
            is_away: false,
        }
    }

    /// Goes on until it is told to stop, or nobody is left to tell it; then saves once more.
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

    /// Notes an error, and how long the storage wants to be left alone.
    fn failed(&mut self, error: RepositoryError) -> Duration {
        tracing::debug!(%error, "the last known flows could not be brought up to date");
        match error {
            RepositoryError::Unavailable { reason, retry_after, .. } => {
                self.went_away(&reason);
                return retry_after;
            }
            RepositoryError::Busy(_) => {}
            // There is no going on from here.
            _ => self.place = None,
        }
        Duration::ZERO
    }

    fn went_away(&mut self, reason: &str) {
        if mem::replace(&mut self.is_away, true) {
            return;
        }
        match self.shared.view() {
            Some(View { flows, is_complete, as_of }) => tracing::warn!(
                reason,
                flows = flows.size(),
                complete = is_complete,
                as_of = %as_of.at,
                "the storage is away; the last known flows are served"
            ),
            None => tracing::warn!(reason, "the storage is away, and there are no last known flows"),
        }
    }

    /// Reads everything, or what has changed since. Waits a while when nothing has.
    async fn step(&mut self) -> Result<()> {
        let Some(place) = self.place else { return self.begin().await };
        let asked = Moment::now();
        let feed = self.shared.repository.changes(Since::After(place), PAGE).await?;
        let is_quiet = feed.changes.is_empty();
        for record in feed.changes {
            self.take(record).await?;
        }
        self.place = Some(feed.next);
        let (fence, moment) = *self.fence.get_or_insert((feed.newest, asked));
        if feed.next >= feed.newest {
            self.fence = None;
            self.publish(asked);
        } else if feed.next >= fence {
            self.fence = Some((feed.newest, asked));
            self.publish(moment);
        }
        if self.selection.could_be_complete() {
            self.place = None;
        } else if is_quiet {
            let changed = timeout(self.shared.settings.look, self.shared.repository.changed(feed.next));
            // At least the rest: who is woken for nothing must not ask on and on.
            let _ = tokio::join!(changed, sleep(REST));
        }
        Ok(())
    }

    /// Reads everything. The place comes first, so that what changes meanwhile is read twice and not missed.
    async fn begin(&mut self) -> Result<()> {
        let place = self.shared.repository.changes(Since::Now, 0).await?.next;
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
        self.place = Some(place);
        self.fence = None;
        self.publish(asked);
        Ok(())
    }

    /// Does to the copy what was done to the storage. A change that it has already does nothing.
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
            // When it was created is not in the feed.
            None => match self.shared.repository.get(id).await? {
                Some(stored) => self.selection.put(stored),
                None => self.selection.remove(id),
            },
        }
        Ok(())
    }

    /// Shows readers what the storage had at a moment.
    fn publish(&mut self, as_of: Moment) {
        if mem::replace(&mut self.is_away, false) {
            tracing::info!("the storage is back; the last known flows are not served any more");
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
            Err(panicked) => Err(io::Error::other(panicked)),
        };
        // Also of one that failed, or a full disk would be asked all the time. The next one then writes the file whole.
        self.last_save = Some(Instant::now());
        match saved {
            Ok(()) => (self.saved, self.is_save_failing) = (Some(as_of), false),
            Err(error) if mem::replace(&mut self.is_save_failing, true) => {
                tracing::debug!(%error, "the last known flows still cannot be saved");
            }
            Err(error) => tracing::warn!(%error, "the last known flows cannot be saved; they are in memory alone"),
        }
    }
}

/// The flow that readers have, when it is the same: so reading anew does not take the memory twice.
fn same(before: &View, stored: &Stored<Flow>) -> Option<Stored<Flow>> {
    let known = before.flows.get(&stored.item.id())?;
    let is_same = known.version == stored.version
        && known.item.head() == stored.item.head()
        && known.item.document().get() == stored.item.document().get();
    is_same.then(|| known.clone())
}
