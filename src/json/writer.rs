//! Saving: who has the writer is the only one who writes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Access, access};

use super::journal::{self, Base, Journal};
use super::log::Log;
use super::segment::Segment;
use super::state::{Deletion, Made, State};
use crate::disk::Disk;
use crate::disk::durable::Identity;
use crate::disk::lock::{Lock, LockError, is_read_only};
use crate::flow::FlowId;
use crate::repository::{self, Applied, ChangeList, RepositoryError, Stamp};

/// What readers see: the flows, and how they came to be.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) state: State,
    pub(super) log: Log,
}

/// `flows.json` as it is on the disk, as far as we know.
#[derive(Debug)]
pub(super) struct Written {
    /// Of the content last read or written; `None` for no file.
    pub(super) identity: Option<Identity>,
    /// Its flows.
    pub(super) state: State,
    /// The last change that it has.
    pub(super) seq: u64,
    /// Whether it lacks nothing but changes behind that one.
    pub(super) is_whole: bool,
}

/// The files as this process has left them, and the right to write them.
#[derive(Debug)]
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
    /// Or why nothing can be written.
    lock: Result<Lock, String>,
    journal: JournalPlace,
    pub(super) written: Written,
    /// Changes found at the start that could not be written down yet.
    pending: Vec<Made>,
}

/// The journal, or what it will begin with once there is something to write.
#[derive(Debug)]
pub(super) enum JournalPlace {
    There(Journal),
    ToCome(Base),
}

/// What came of the calls of a batch, and what readers are to see from now on, if it is something new.
pub(super) struct Committed {
    pub(super) results: Vec<repository::Result<Vec<Applied>>>,
    pub(super) view: Option<View>,
    /// How many of the calls were saved, with one sync for all of them.
    pub(super) saved: usize,
    /// Why nothing was saved, if something was to be.
    pub(super) failure: Option<Failure>,
}

impl Writer {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        lock: Result<Lock, String>,
        journal: JournalPlace,
        written: Written,
    ) -> Self {
        Self { disk, path, lock, journal, written, pending: Vec::new() }
    }

    /// Makes the changes of some calls, one call after the other, and saves all of them with one sync. What needs no
    /// save writes nothing.
    pub(super) fn commit(&mut self, view: &View, calls: &[(Arc<dyn ChangeList>, Stamp)]) -> Committed {
        // A change that could not be saved may be on the disk all the same. As long as it may, nobody is told what follows
        // from its absence.
        if let JournalPlace::There(journal) = &mut self.journal
            && let Err(error) = journal.undo_failure()
        {
            let failure = self.failure(&error);
            let results = calls.iter().map(|_| Err(failure.clone().into())).collect();
            return Committed { results, view: None, saved: 0, failure: Some(failure) };
        }
        let mut state = view.state.clone();
        let mut made = Vec::new();
        let mut first_saved = calls.len();
        let mut results = Vec::with_capacity(calls.len());
        for (index, (changes, stamp)) in calls.iter().enumerate() {
            results.push(state.apply(&**changes, stamp).map(|plan| {
                state = plan.state;
                if !plan.made.is_empty() {
                    first_saved = first_saved.min(index);
                    made.push(plan.made);
                }
                plan.applied
            }));
        }
        if made.is_empty() {
            return Committed { results, view: None, saved: 0, failure: None };
        }
        let count = made.len();
        let saved = self.check_writable().and_then(|()| self.append(made).map_err(|error| self.failure(&error)));
        if let Err(failed) = saved {
            // What came behind the first save was decided on flows that are not there now.
            for result in results.iter_mut().skip(first_saved) {
                *result = Err(failed.clone().into());
            }
            return Committed { results, view: None, saved: 0, failure: Some(failed) };
        }
        let view = View { state, log: self.log(&view.log) };
        Committed { results, view: Some(view), saved: count, failure: None }
    }

    /// Writes down changes that somebody else has made to the file.
    pub(super) fn write_down(&mut self, found: Vec<Made>, gone: &[(FlowId, Deletion)]) -> Result<(), Failure> {
        if found.is_empty() && gone.is_empty() {
            return Ok(());
        }
        self.pending.extend(found);
        self.check_writable()?;
        self.append(Vec::new()).and_then(|()| self.note(gone)).map_err(|error| self.failure(&error))
    }

    /// Appends these calls, and before them what is pending.
    fn append(&mut self, calls: Vec<Vec<Made>>) -> io::Result<()> {
        let pending = self.pending.iter().map(|made| vec![made.clone()]);
        let calls: Vec<_> = pending.chain(calls).collect();
        let before = self.journal()?.last();
        self.journal()?.append(&calls)?;
        if self.written.is_whole && !self.pending.is_empty() {
            self.written.seq = before + self.pending.len() as u64;
        }
        self.pending.clear();
        Ok(())
    }

    /// Notes in the journal how far the file goes.
    pub(super) fn note(&mut self, gone: &[(FlowId, Deletion)]) -> io::Result<()> {
        let seq = self.written.seq;
        self.journal()?.note(seq, gone)
    }

    /// Leaves the files as they are to be found when nobody writes them.
    pub(super) fn leave(mut self) {
        if let JournalPlace::There(journal) = &mut self.journal
            && let Err(error) = journal.trim()
        {
            // The next start cuts off what it finds behind the last line.
            tracing::debug!(%error, "zeros are left at the end of the journal");
        }
    }

    /// Makes the journal where there is none yet.
    fn journal(&mut self) -> io::Result<&mut Journal> {
        if let JournalPlace::ToCome(base) = &self.journal {
            let path = journal::path_beside(&self.path);
            let prepared = Journal::begin(&self.disk, &path, base)?;
            let start = prepared.length();
            let journal = Journal::put(&self.disk, &path, prepared, start, base.after)?;
            self.journal = JournalPlace::There(journal);
        }
        match &mut self.journal {
            JournalPlace::There(journal) => Ok(journal),
            JournalPlace::ToCome(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Takes care that lock and journal are where others look for them. Where somebody else has taken their place, nothing
    /// is written any more.
    pub(super) fn keep_in_place(&mut self) -> io::Result<()> {
        if self.lock.as_ref().is_ok_and(|lock| !lock.is_in_place()) {
            match Lock::take(&self.path) {
                Ok(lock) => self.lock = Ok(lock),
                Err(LockError::Held(_)) => {
                    self.lock = Err("its lock was removed, and another process has taken it".to_owned());
                }
                // Nobody else has it as far as can be told; the next look tries again.
                Err(LockError::ReadOnly(error) | LockError::Failed(error)) => return Err(error),
            }
        }
        if self.lock.is_ok()
            && let JournalPlace::There(journal) = &mut self.journal
            && !journal.put_back()?
        {
            self.lock = Err("another process has replaced its journal; restart Strom".to_owned());
        }
        match &self.lock {
            Ok(_) => Ok(()),
            Err(reason) => Err(io::Error::other(reason.clone())),
        }
    }

    /// The number of the last change that is on the disk.
    pub(super) fn last(&self) -> u64 {
        match &self.journal {
            JournalPlace::There(journal) => journal.last(),
            JournalPlace::ToCome(base) => base.after,
        }
    }

    /// The changes in the journal, where there is one.
    pub(super) fn journal_segment(&self) -> Option<Segment> {
        match &self.journal {
            JournalPlace::There(journal) => Some(journal.segment()),
            JournalPlace::ToCome(_) => None,
        }
    }

    /// Goes on with this journal, which has everything that the old one had behind its base.
    pub(super) fn replace_journal(&mut self, journal: Journal) {
        self.journal = JournalPlace::There(journal);
    }

    /// The log with what has been appended.
    pub(super) fn log(&self, before: &Log) -> Log {
        Log { last: self.last(), journal: self.journal_segment(), ..before.clone() }
    }

    /// A rename asks for the permissions of the directory alone; whoever made the file read-only meant the flows.
    pub(super) fn check_writable(&self) -> Result<(), Failure> {
        if let Err(reason) = &self.lock {
            return Err(Failure::ReadOnly(reason.clone()));
        }
        let Ok(metadata) = self.path.metadata() else { return Ok(()) };
        let denied = metadata.permissions().readonly() || access(&self.path, Access::WRITE_OK).is_err();
        if denied { Err(Failure::ReadOnly(self.path.display().to_string())) } else { Ok(()) }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        let reason = format!("{}: {error}", journal::path_beside(&self.path).display());
        if is_read_only(error) { Failure::ReadOnly(reason) } else { Failure::Failed(reason) }
    }
}

/// Why a save failed, for everybody who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    #[error("the storage is read-only: {0}")]
    ReadOnly(String),
    #[error("{0}")]
    Failed(String),
}

/// A full disk may have room again, and a journal that was spoiled is written anew with the next save.
impl From<Failure> for RepositoryError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::ReadOnly(reason) => Self::ReadOnly(reason),
            Failure::Failed(reason) => Self::Unavailable { reason, retry_after: Duration::from_secs(5), is_open: true },
        }
    }
}
