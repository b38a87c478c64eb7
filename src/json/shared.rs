//! What readers, savers and upkeep share.

use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot, watch};
use tokio::task::spawn_blocking;

use super::Settings;
use super::faults::{Faults, Topic};
use super::history;
use super::measurements::Meters;
use super::open::Opened;
use super::upkeep::Upkeep;
use super::writer::{Committed, View, Writer};
use crate::disk::Disk;
use crate::repository::{Applied, ChangeList, FeedCursor, RepositoryError, Result, Stamp};

/// An open store.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) path: PathBuf,
    /// Whether it was opened to look: nobody has the writer then.
    pub(super) read_only: bool,
    pub(super) settings: Settings,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) faults: Faults,
    pub(super) meters: Meters,
    /// What readers see; `None` after the close. Held only to take or put the `Arc`.
    view: RwLock<Option<Arc<View>>>,
    waiting: Mutex<Waiting>,
    /// One write at a time. `None` after the close, and where it was opened to look.
    pub(super) writer: tokio::sync::Mutex<Option<Writer>>,
    pub(super) upkeep: Mutex<Upkeep>,
    /// Since when the file lacks something, and when it was last added to.
    unwritten: Mutex<Option<(Instant, Instant)>>,
    pub(super) wake: Arc<Notify>,
    /// The number of the last change.
    last: watch::Sender<u64>,
    since: Mutex<Instant>,
}

/// Calls that wait to be saved.
#[derive(Debug, Default)]
struct Waiting {
    calls: Vec<Call>,
    /// Whether there is a thread that will save them.
    is_served: bool,
    /// Whether no more are taken.
    is_closed: bool,
}

#[derive(Debug)]
struct Call {
    changes: Arc<dyn ChangeList>,
    stamp: Stamp,
    answer: oneshot::Sender<Result<Vec<Applied>>>,
}

/// Who saves the calls that wait.
struct Saver {
    shared: Arc<Shared>,
    is_done: bool,
}

impl Saver {
    fn serve_all(mut self) {
        while self.shared.serve() {}
        self.is_done = true;
    }
}

/// Nobody must wait for one who has panicked or was never begun.
impl Drop for Saver {
    fn drop(&mut self) {
        if !self.is_done {
            let mut waiting = lock(&self.shared.waiting);
            waiting.calls.clear();
            waiting.is_served = false;
        }
    }
}

impl Shared {
    pub(super) fn new(opened: Opened, settings: Settings, disk: Arc<dyn Disk>) -> Self {
        let Opened { path, writer, view, history, faults } = opened;
        let now = Instant::now();
        let written = writer.as_ref().map(|writer| &writer.written);
        let is_whole = written.is_none_or(|written| written.is_whole && written.seq == view.log.last);
        let seq = written.map_or(view.log.last, |written| written.seq);
        Self {
            path,
            read_only: writer.is_none(),
            settings,
            disk,
            faults,
            meters: Meters::starting(seq),
            last: watch::Sender::new(view.log.last),
            view: RwLock::new(Some(Arc::new(view))),
            waiting: Mutex::default(),
            writer: tokio::sync::Mutex::new(writer),
            upkeep: Mutex::new(Upkeep::new(history)),
            unwritten: Mutex::new((!is_whole).then_some((now, now))),
            wake: Arc::default(),
            since: Mutex::new(now),
        }
    }

    pub(super) fn view(&self) -> Option<Arc<View>> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn open_view(&self) -> Result<Arc<View>> {
        self.view().ok_or_else(closed)
    }

    /// Shows this to readers. Whoever calls has the writer.
    pub(super) fn publish(&self, view: View) {
        let last = view.log.last;
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(view));
        self.last.send_replace(last);
    }

    /// Does something with the writer, unless the store is closed. Waits for the write under way.
    pub(super) fn with_writer<T>(&self, work: impl FnOnce(&mut Writer) -> T) -> Option<T> {
        self.writer.blocking_lock().as_mut().map(work)
    }

    /// Joins the calls that wait to be saved. They are saved together by one thread, which goes on as long as there are
    /// any; so whoever comes while it syncs shares the next sync. A caller who goes away cancels nothing.
    pub(super) async fn apply(self: &Arc<Self>, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        if self.read_only {
            return Err(RepositoryError::ReadOnlyInstance);
        }
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut waiting = lock(&self.waiting);
            if waiting.is_closed {
                return Err(closed());
            }
            waiting.calls.push(Call { changes, stamp, answer });
            !mem::replace(&mut waiting.is_served, true)
        };
        if is_first {
            let saver = Saver { shared: Arc::clone(self), is_done: false };
            spawn_blocking(move || saver.serve_all());
        }
        // Nobody answers when the store is closed.
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Saves the calls that wait. Says whether there were any.
    fn serve(&self) -> bool {
        let mut writer = self.writer.blocking_lock();
        let calls = {
            let mut waiting = lock(&self.waiting);
            waiting.is_served = !waiting.calls.is_empty();
            mem::take(&mut waiting.calls)
        };
        let Some(view) = self.view().filter(|_| !calls.is_empty()) else { return !calls.is_empty() };
        // Should it panic, nobody knows what is on the disk, and the store stays closed to writes.
        let Some(mut owned) = writer.take() else { return true };
        let (calls, answers): (Vec<_>, Vec<_>) =
            calls.into_iter().map(|call| ((call.changes, call.stamp), call.answer)).unzip();
        let Committed { results, view, saved, failure } = owned.commit(&view, &calls);
        *writer = Some(owned);
        if let Some(view) = view {
            self.publish(view);
            self.meters.saved(saved);
            self.faults.clear(Topic::Save);
            self.mark_unwritten();
        }
        if let Some(failure) = failure {
            self.faults.set(Topic::Save, vec![failure.to_string()]);
        }
        drop(writer);
        for (answer, result) in answers.into_iter().zip(results) {
            // Whoever does not wait any more is told nothing.
            let _ = answer.send(result);
        }
        true
    }

    /// The file lacks something from now on.
    pub(super) fn mark_unwritten(&self) {
        let now = Instant::now();
        let mut unwritten = lock(&self.unwritten);
        let first = unwritten.map_or(now, |(first, _)| first);
        if unwritten.replace((first, now)).is_none() {
            self.wake.notify_one();
        }
    }

    /// Since when the file lacks something, and when it was last added to.
    pub(super) fn unwritten(&self) -> Option<(Instant, Instant)> {
        *lock(&self.unwritten)
    }

    /// Writes the file, if anything is missing in it.
    pub(super) fn checkpoint(&self) -> bool {
        let before = lock(&self.unwritten).take();
        self.meters.set_writing(before.map(|(first, _)| first));
        let is_written = lock(&self.upkeep).checkpoint(self);
        if let Some((first, last)) = before.filter(|_| !is_written) {
            let mut unwritten = lock(&self.unwritten);
            let last = unwritten.map_or(last, |(_, last)| last);
            *unwritten = Some((first, last));
        }
        self.meters.set_writing(None);
        is_written
    }

    /// Reports how many lines of the history cannot be read.
    pub(super) fn report_history(&self, damaged: io::Result<usize>) {
        let fault = match damaged {
            Ok(0) => return,
            Ok(count) => format!("{count} lines cannot be read; those revisions are lost, the flows are not"),
            Err(error) => format!("it cannot be read: {error}"),
        };
        let path = history::path_beside(&self.path);
        self.faults.set(Topic::History, vec![format!("{}: {fault}", path.display())]);
    }

    pub(super) async fn changed(&self, after: FeedCursor) {
        let mut last = self.last.subscribe();
        let is_there = |last: &u64| *last > after.number;
        // Of any other place asking tells that it is gone.
        let is_ours = self.view().is_some_and(|view| view.log.has(after));
        if is_ours {
            let _ = last.wait_for(|last| is_there(last)).await;
        }
    }

    /// For how long the store has been as it is.
    pub(super) fn since(&self) -> Duration {
        lock(&self.since).elapsed()
    }

    /// Takes no more calls, saves those that wait, and completes the file.
    pub(super) fn close(&self) {
        if self.view().is_none() {
            return;
        }
        // Else those who go on saving could keep the file incomplete for ever.
        lock(&self.waiting).is_closed = true;
        let mut writer = loop {
            let is_written = {
                let mut upkeep = lock(&self.upkeep);
                upkeep.look(self, true);
                upkeep.checkpoint(self)
            };
            let writer = self.writer.blocking_lock();
            // A call that had been waiting may have been saved while the file was written.
            let lacks = writer.as_ref().is_some_and(|writer| writer.written.seq < writer.last());
            if !is_written || !lacks {
                break writer;
            }
        };
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = None;
        *lock(&self.since) = Instant::now();
        // Wakes those who wait for changes; asking, they find the store closed.
        self.last.send_replace(u64::MAX);
        if let Some(writer) = writer.take() {
            writer.leave();
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn closed() -> RepositoryError {
    let retry_after = Duration::from_secs(1);
    RepositoryError::Unavailable { reason: "the store is closed".into(), retry_after, is_open: false }
}
