//! Saves changes. Only the holder of the writer writes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Access, access};

use super::history::Log;
use super::hold::Hold;
use super::journal::{Base, Journal, JournalEntry, Segment, Tombstone};
use super::paths::journal_path;
use super::view::{View, Written};
use crate::disk::Disk;
use crate::disk::durable::check_replaces;
use crate::disk::paths::is_read_only;
use crate::disk::place::Misplaced;
use crate::flow::FlowId;
use crate::repository::{self, Applied, ChangeList, Operation, RepositoryError, Stamp};

/// The files as this process left them, and the right to write them.
#[derive(Debug)]
pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    pub(crate) path: PathBuf,
    /// The locks, or the reason why the files cannot be written.
    hold: Result<Hold, String>,
    journal: JournalState,
    pub(crate) written: Written,
    /// Changes found at the start that are not in the journal yet.
    pending: Vec<JournalEntry>,
}

/// The journal, or the base of a journal that the first save creates.
#[derive(Debug)]
pub(crate) enum JournalState {
    Open(Journal),
    Pending(Base),
}

/// The results of a batch of calls, and the view to publish if anything changed.
pub(crate) struct Committed {
    pub(crate) results: Vec<repository::Result<Vec<Applied>>>,
    pub(crate) view: Option<View>,
    /// The number of calls that the one sync has saved.
    pub(crate) saved: usize,
    /// The number of bytes that it has appended to the journal.
    pub(crate) bytes: u64,
    /// Whether all changes are reports.
    pub(crate) is_reports: bool,
    /// Why the save failed.
    pub(crate) failure: Option<Failure>,
}

impl Committed {
    /// Returns the results of calls that have saved nothing.
    fn nothing(results: Vec<repository::Result<Vec<Applied>>>, failure: Option<Failure>) -> Self {
        Self { results, view: None, saved: 0, bytes: 0, is_reports: false, failure }
    }
}

impl Writer {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        hold: Result<Hold, String>,
        journal: JournalState,
        written: Written,
    ) -> Self {
        Self { disk, path, hold, journal, written, pending: Vec::new() }
    }

    /// Applies the calls in order and saves all of them with one sync. Writes nothing if nothing changes.
    pub(crate) fn commit(&mut self, view: &View, calls: &[(Arc<dyn ChangeList>, Stamp)]) -> Committed {
        // A failed save may still be on the disk. Until it is undone, no caller may receive a result that assumes its
        // absence.
        if let Err(failure) = self.restore_in_place().and_then(|()| self.undo_failure()) {
            let results = calls.iter().map(|_| Err(failure.clone().into())).collect();
            return Committed::nothing(results, Some(failure));
        }
        let mut state = view.state.clone();
        let mut next = self.next();
        let mut entries_per_call = Vec::new();
        let mut first_saved = calls.len();
        let mut results = Vec::with_capacity(calls.len());
        for (index, (changes, stamp)) in calls.iter().enumerate() {
            results.push(state.apply(&**changes, stamp, next).map(|plan| {
                state = plan.state;
                next += plan.entries.len() as u64;
                if !plan.entries.is_empty() {
                    first_saved = first_saved.min(index);
                    entries_per_call.push(plan.entries);
                }
                plan.applied
            }));
        }
        if entries_per_call.is_empty() {
            return Committed::nothing(results, None);
        }
        let count = entries_per_call.len();
        let is_reports = entries_per_call.iter().flatten().all(|entry| entry.meta.operation == Operation::State);
        let before = self.journal_end();
        let saved =
            self.check_writable().and_then(|()| self.append(entries_per_call).map_err(|error| self.failure(&error)));
        if let Err(failed) = saved {
            // Later calls assumed the changes that were not saved.
            for result in results.iter_mut().skip(first_saved) {
                *result = Err(failed.clone().into());
            }
            return Committed::nothing(results, Some(failed));
        }
        let view = View { state, log: self.log(&view.log) };
        let bytes = self.journal_end() - before;
        Committed { results, view: Some(view), saved: count, bytes, is_reports, failure: None }
    }

    /// Appends changes that were found in the file.
    pub(crate) fn append_found(
        &mut self,
        entries: Vec<JournalEntry>,
        tombstones: &[(FlowId, Tombstone)],
    ) -> Result<(), Failure> {
        if entries.is_empty() && tombstones.is_empty() {
            return Ok(());
        }
        self.pending.extend(entries);
        self.check_writable()?;
        self.restore_in_place()?;
        self.append(Vec::new()).and_then(|()| self.note(&[], tombstones)).map_err(|error| self.failure(&error))
    }

    /// Appends these calls after the pending changes.
    fn append(&mut self, calls: Vec<Vec<JournalEntry>>) -> io::Result<()> {
        let pending = self.pending.iter().map(|entry| vec![entry.clone()]);
        let calls: Vec<_> = pending.chain(calls).collect();
        let before = self.journal()?.last();
        self.append_to_journal(|journal, hold| journal.append(&calls, || hold.check()))?;
        if self.written.is_whole && !self.pending.is_empty() {
            self.written.seq = before + self.pending.len() as u64;
        }
        self.pending.clear();
        Ok(())
    }

    /// Records in the journal which changes the file contains, and may have contained earlier.
    pub(crate) fn note(&mut self, earlier: &[u64], tombstones: &[(FlowId, Tombstone)]) -> io::Result<()> {
        let seq = self.written.seq;
        self.journal()?.note(seq, earlier, tombstones)
    }

    /// Runs `append` with a check for the moment between the sync and the acknowledgement.
    fn append_to_journal(&mut self, append: impl FnOnce(&mut Journal, &Hold) -> io::Result<()>) -> io::Result<()> {
        self.journal()?;
        match (&mut self.journal, &self.hold) {
            (JournalState::Open(journal), Ok(hold)) => append(journal, hold),
            (_, Err(reason)) => Err(io::Error::other(reason.clone())),
            (JournalState::Pending(_), _) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn undo_failure(&mut self) -> Result<(), Failure> {
        match &mut self.journal {
            JournalState::Open(journal) => journal.undo_failure().map_err(|error| self.failure(&error)),
            JournalState::Pending(_) => Ok(()),
        }
    }

    /// Writes to the journal, to find out whether saves work again.
    pub(crate) fn probe(&mut self) -> Result<(), Failure> {
        self.check_writable()?;
        self.restore_in_place()?;
        self.undo_failure()?;
        let seq = self.written.seq;
        let probed = match self.pending.is_empty() {
            true => self.append_to_journal(|journal, hold| journal.probe(seq, || hold.check())),
            false => self.append(Vec::new()),
        };
        probed.map_err(|error| self.failure(&error))
    }

    /// Leaves the files as another program should find them.
    pub(crate) fn leave(mut self) {
        // A file that is not in its place may belong to another process.
        if self.hold.as_ref().is_ok_and(|hold| hold.check().is_ok())
            && let JournalState::Open(journal) = &mut self.journal
            && let Err(error) = journal.check().and_then(|()| journal.trim())
        {
            // The next start removes what follows the last line.
            tracing::debug!(%error, "cannot remove the zeros at the end of the journal");
        }
    }

    /// Returns the journal, and creates it if it does not exist yet.
    fn journal(&mut self) -> io::Result<&mut Journal> {
        if let JournalState::Pending(base) = &self.journal {
            let path = journal_path(&self.path);
            let prepared = Journal::begin(&self.disk, &path, base)?;
            let start = prepared.length();
            let journal = Journal::put(&self.disk, &path, prepared, start, base.after, None)?;
            self.replace_journal(journal)?;
        }
        match &mut self.journal {
            JournalState::Open(journal) => Ok(journal),
            JournalState::Pending(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Ensures that all paths lead to the files of this process. Recreates a lock file or a journal that was removed from
    /// its directory: nothing is lost then. Does nothing if this process holds no lock.
    pub(crate) fn restore_in_place(&mut self) -> Result<(), Failure> {
        let Ok(hold) = &mut self.hold else { return Ok(()) };
        let restored = hold.restore(&self.path).and_then(|()| match &mut self.journal {
            JournalState::Open(journal) => {
                journal.restore()?;
                hold.lock_journal(&self.path, journal.inode()?)
            }
            JournalState::Pending(_) => check_replaces(&journal_path(&self.path), None),
        });
        restored.map_err(|error| Failure::Misplaced { reason: error.to_string(), outcome_unknown: false })
    }

    /// Whether the journal that this process writes can no longer be reached by its path.
    pub(crate) fn has_lost_its_journal(&self) -> bool {
        matches!(&self.journal, JournalState::Open(journal) if journal.check().is_err())
    }

    /// Locks the file if it has several names.
    pub(crate) fn lock_linked_file(&mut self) {
        if let Ok(hold) = &mut self.hold {
            hold.lock_linked_file(&self.path);
        }
    }

    /// Whether this process holds the locks. It does not if it could not take them at the start.
    pub(crate) fn is_held(&self) -> bool {
        self.hold.is_ok()
    }

    /// Returns the number of the last synced change.
    pub(crate) fn last(&self) -> u64 {
        match &self.journal {
            JournalState::Open(journal) => journal.last(),
            JournalState::Pending(base) => base.after,
        }
    }

    /// Returns the number of the next change. Changes that wait to be appended come before it.
    pub(crate) fn next(&self) -> u64 {
        self.last() + self.pending.len() as u64 + 1
    }

    /// Returns the changes in the journal, if it exists.
    pub(crate) fn journal_segment(&self) -> Option<Segment> {
        match &self.journal {
            JournalState::Open(journal) => Some(journal.segment()),
            JournalState::Pending(_) => None,
        }
    }

    fn journal_end(&self) -> u64 {
        self.journal_segment().map_or(0, |journal| journal.end)
    }

    /// Replaces the journal with one that contains everything after the base of the old one.
    pub(crate) fn replace_journal(&mut self, journal: Journal) -> io::Result<()> {
        let inode = journal.inode();
        self.journal = JournalState::Open(journal);
        match &mut self.hold {
            Ok(hold) => hold.lock_journal(&self.path, inode?),
            Err(_) => Ok(()),
        }
    }

    /// Returns the log including what was appended.
    pub(crate) fn log(&self, before: &Log) -> Log {
        Log { last: self.last(), journal: self.journal_segment(), ..before.clone() }
    }

    /// Checks the permissions of the file. A rename requires only those of the directory, but a read-only file means
    /// read-only flows.
    pub(crate) fn check_writable(&self) -> Result<(), Failure> {
        if let Err(reason) = &self.hold {
            return Err(Failure::ReadOnly(reason.clone()));
        }
        let Ok(metadata) = self.path.metadata() else { return Ok(()) };
        let denied = metadata.permissions().readonly() || access(&self.path, Access::WRITE_OK).is_err();
        if denied { Err(Failure::ReadOnly(self.path.display().to_string())) } else { Ok(()) }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        if Misplaced::is(error) {
            return Failure::Misplaced { reason: error.to_string(), outcome_unknown: true };
        }
        let reason = format!("{}: {error}", journal_path(&self.path).display());
        if is_read_only(error) { Failure::ReadOnly(reason) } else { Failure::Failed(reason) }
    }
}

/// Why a save failed. Every waiting caller receives it.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the storage is read-only: {0}")]
    ReadOnly(String),
    #[error("{0}")]
    Failed(String),
    /// The path of the store leads to other files than those that this process has opened.
    #[error("{reason}")]
    Misplaced { reason: String, outcome_unknown: bool },
}

/// The caller may retry: a full disk may have space again, and the next save repairs the journal.
impl From<Failure> for RepositoryError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::ReadOnly(reason) => Self::ReadOnly(reason),
            Failure::Failed(reason) => {
                Self::Unavailable { reason, retry_after: Duration::from_secs(5), outcome_unknown: true }
            }
            Failure::Misplaced { reason, outcome_unknown } => {
                Self::Unavailable { reason, retry_after: Duration::from_secs(5), outcome_unknown }
            }
        }
    }
}
