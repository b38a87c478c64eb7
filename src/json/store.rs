//! The state that readers, writers and upkeep share.

use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::spawn_blocking;

use super::mutex::lock;
use super::paths::history_path;
use super::recovery::Opened;
use super::settings::Settings;
use super::upkeep::{Faults, FileMemory, Meters, Schedule, Topic, Upkeep};
use super::view::View;
use super::writer::{Committed, Failure, Writer};
use crate::background::Failures;
use crate::disk::Disk;
use crate::repository::{Applied, ChangeList, FeedCursor, RepositoryError, Result, Stamp};
use crate::retention_clock::RetentionClock;

/// An open store.
#[derive(Debug)]
pub(crate) struct Store {
    /// The path as the operator wrote it.
    pub(crate) named: PathBuf,
    /// The path without symbolic links.
    pub(crate) path: PathBuf,
    /// Whether the store was opened read-only. It has no writer then.
    pub(crate) read_only: bool,
    pub(crate) settings: Settings,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) faults: Faults,
    pub(crate) meters: Meters,
    pub(crate) clock: RetentionClock,
    /// The background tasks that have failed.
    pub(crate) failures: Failures,
    /// The state that readers see. `None` after the close. The lock is only held to read or replace the `Arc`.
    view: RwLock<Option<Arc<View>>>,
    waiting: Mutex<Waiting>,
    /// Allows one write at a time. `None` after the close and in a read-only store.
    pub(crate) writer: tokio::sync::Mutex<Option<Writer>>,
    pub(crate) upkeep: Mutex<Upkeep>,
    /// Allows one compaction of the history at a time.
    pub(crate) compacting: Mutex<()>,
    pub(crate) schedule: Schedule,
    pub(crate) wake: Arc<Notify>,
    /// Whether the next round of upkeep checks the files, even if it is early.
    pub(crate) must_look: AtomicBool,
    /// The number of the last change.
    last: watch::Sender<u64>,
    since: Mutex<Instant>,
    /// The time at which the store was opened.
    opened_at: (DateTime<Utc>, Instant),
}

/// Calls that wait to be saved.
#[derive(Debug, Default)]
struct Waiting {
    calls: Vec<Call>,
    /// Whether a thread will save them.
    is_served: bool,
    /// Whether further calls are rejected.
    is_closed: bool,
}

#[derive(Debug)]
struct Call {
    changes: Arc<dyn ChangeList>,
    stamp: Stamp,
    answer: oneshot::Sender<Result<Vec<Applied>>>,
}

/// A thread that saves waiting calls.
struct Saver {
    store: Arc<Store>,
    is_done: bool,
}

impl Saver {
    fn serve_all(mut self) {
        while self.store.serve() {}
        self.is_done = true;
    }
}

/// Fails the waiting calls if the thread panics or never starts.
impl Drop for Saver {
    fn drop(&mut self) {
        if !self.is_done {
            let mut waiting = lock(&self.store.waiting);
            waiting.calls.clear();
            waiting.is_served = false;
        }
    }
}

impl Store {
    pub(crate) fn new(opened: Opened, settings: Settings, disk: Arc<dyn Disk>) -> Self {
        let Opened { named, path, at, writer, view, history, mut versions, faults } = opened;
        let now = Instant::now();
        let written = writer.as_ref().map(|writer| &writer.written);
        let is_whole = written.is_none_or(|written| written.is_whole && written.seq == view.log.last);
        let seq = written.map_or(view.log.last, |written| written.seq);
        let in_file = written.map_or(&view.state, |written| &written.state).clone();
        versions.earlier.extend(is_whole.then_some(view.log.last));
        let memory = FileMemory::new(versions, view.log.last, in_file);
        Self {
            named,
            path,
            read_only: writer.is_none(),
            settings,
            disk,
            faults,
            meters: Meters::starting(seq),
            clock: RetentionClock::default(),
            failures: Failures::default(),
            last: watch::Sender::new(view.log.last),
            view: RwLock::new(Some(Arc::new(view))),
            waiting: Mutex::default(),
            writer: tokio::sync::Mutex::new(writer),
            upkeep: Mutex::new(Upkeep::new(history, memory)),
            compacting: Mutex::default(),
            schedule: Schedule::starting(is_whole),
            wake: Arc::default(),
            must_look: AtomicBool::new(false),
            since: Mutex::new(now),
            opened_at: (at, now),
        }
    }

    pub(crate) fn view(&self) -> Option<Arc<View>> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn open_view(&self) -> Result<Arc<View>> {
        self.view().ok_or_else(closed)
    }

    /// Publishes a view to readers. The caller holds the writer.
    pub(crate) fn publish(&self, view: View) {
        let last = view.log.last;
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(view));
        self.last.send_replace(last);
    }

    /// Runs `work` with the writer, unless the store is closed. Waits for the current write.
    pub(crate) fn with_writer<T>(&self, work: impl FnOnce(&mut Writer) -> T) -> Option<T> {
        self.writer.blocking_lock().as_mut().map(work)
    }

    /// Adds a call to the queue. One thread saves all waiting calls together and continues until the queue is empty,
    /// so that calls that arrive during a sync share the next one. Dropping the future does not cancel the call.
    pub(crate) async fn apply(self: &Arc<Self>, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        if self.read_only {
            return Err(RepositoryError::ReadOnlyInstance);
        }
        // The time of a change is what the clock of its caller shows.
        self.clock.observe(stamp.at);
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
            let saver = Saver { store: Arc::clone(self), is_done: false };
            spawn_blocking(move || saver.serve_all());
        }
        // The sender is dropped if the store is closed.
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Saves the waiting calls. Returns whether there were any.
    fn serve(&self) -> bool {
        let mut writer = self.writer.blocking_lock();
        let calls = {
            let mut waiting = lock(&self.waiting);
            waiting.is_served = !waiting.calls.is_empty();
            mem::take(&mut waiting.calls)
        };
        let Some(view) = self.view().filter(|_| !calls.is_empty()) else { return !calls.is_empty() };
        // After a panic the content of the disk is unknown, and the store stays closed to writes.
        let Some(mut owned) = writer.take() else { return true };
        let (calls, answers): (Vec<_>, Vec<_>) =
            calls.into_iter().map(|call| ((call.changes, call.stamp), call.answer)).unzip();
        let Committed { results, view, saved, bytes, is_reports, failure } = owned.commit(&view, &calls);
        *writer = Some(owned);
        if let Some(view) = view {
            self.publish(view);
            self.meters.saved(saved);
            self.faults.clear(Topic::Save);
            self.lacks(bytes, is_reports);
        }
        match failure {
            Some(Failure::Misplaced { reason, .. }) => {
                self.set_location(Some(format!("{}: {reason}", self.path.display())));
                self.look_now();
            }
            Some(failure) => self.faults.set(Topic::Save, vec![failure.to_string()]),
            None => {}
        }
        drop(writer);
        for (answer, result) in answers.into_iter().zip(results) {
            // The caller may have dropped its future.
            let _ = answer.send(result);
        }
        true
    }

    /// Records that the file lacks something.
    pub(crate) fn mark_unwritten(&self) {
        self.lacks(0, false);
    }

    /// Records that the file lacks saves of this many bytes.
    fn lacks(&self, bytes: u64, is_reports: bool) {
        if self.schedule.add(bytes, is_reports) {
            self.wake.notify_one();
        }
    }

    /// Sets or ends the reason why the files cannot be written in their place.
    pub(crate) fn set_location(&self, fault: Option<String>) {
        let was_ready = !self.faults.has(Topic::Location);
        let is_ready = fault.is_none();
        self.faults.set(Topic::Location, fault.into_iter().collect());
        if was_ready != is_ready {
            *lock(&self.since) = Instant::now();
        }
    }

    /// Lets upkeep check the files now.
    fn look_now(&self) {
        self.must_look.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Returns the current time, as far as the time of the opening was right.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let (at, since) = self.opened_at;
        TimeDelta::from_std(since.elapsed()).ok().and_then(|elapsed| at.checked_add_signed(elapsed)).unwrap_or(at)
    }

    /// Reports the number of damaged lines of the history.
    pub(crate) fn report_history(&self, damaged: io::Result<usize>) {
        let fault = match damaged {
            Ok(0) => return self.faults.clear(Topic::History),
            Ok(count) => {
                format!("{count} lines are unreadable; these revisions are lost, the current flows are not affected")
            }
            Err(error) => format!("it cannot be read: {error}"),
        };
        let path = history_path(&self.path);
        self.faults.set(Topic::History, vec![format!("{}: {fault}", path.display())]);
    }

    pub(crate) async fn changed(&self, after: FeedCursor) {
        let mut last = self.last.subscribe();
        let is_there = |last: &u64| *last > after.number;
        // A call with any other cursor returns an error at once.
        let is_ours = self.view().is_some_and(|view| view.log.contains(after));
        if is_ours {
            let _ = last.wait_for(|last| is_there(last)).await;
        }
    }

    /// Rejects further calls. Calls that already wait are still saved.
    pub(crate) fn reject_calls(&self) {
        lock(&self.waiting).is_closed = true;
    }

    /// Whether the store is closed or being closed.
    pub(crate) fn is_closing(&self) -> bool {
        lock(&self.waiting).is_closed
    }

    /// Marks the store as closed for readers.
    pub(crate) fn hide(&self) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = None;
        *lock(&self.since) = Instant::now();
        // Wakes the callers that wait for changes. Their next call finds the store closed.
        self.last.send_replace(u64::MAX);
    }

    /// Returns for how long the store has been in its current state.
    pub(crate) fn since(&self) -> Duration {
        lock(&self.since).elapsed()
    }
}

fn closed() -> RepositoryError {
    let retry_after = Duration::from_secs(1);
    RepositoryError::Unavailable { reason: "the store is closed".into(), retry_after, outcome_unknown: false }
}
