//! Saving: who has the writer is the only one who writes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};

use super::durable::{Identity, ReplaceError, replace};
use super::file;
use super::lock::{Lock, is_read_only};
use super::state::State;
use crate::repository::{Applied, Change, RepositoryError, Result, Stamp};

/// The file as this process has left it, and the right to write it.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    /// Or why nothing can be written.
    lock: std::result::Result<Lock, String>,
    /// Of the content last read or written; `None` for no file.
    identity: Option<Identity>,
}

/// What came of a list of changes.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) result: Result<Vec<Applied>>,
    /// What readers are to see from now on, if it is something new.
    pub(super) state: Option<State>,
}

/// Why a state was not saved.
enum SaveError {
    /// The file is as it was.
    Untouched(RepositoryError),
    /// The file has the new content, but a power cut may take it back.
    Unsure(RepositoryError),
}

impl Writer {
    pub(super) fn new(path: PathBuf, lock: std::result::Result<Lock, String>, identity: Option<Identity>) -> Self {
        Self { path, lock, identity }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the changes and saves what they come to. What needs no save, writes nothing.
    pub(super) fn apply(&mut self, state: &State, changes: Vec<Change>, stamp: &Stamp) -> Written {
        let plan = match state.apply(changes, stamp) {
            Ok(plan) => plan,
            Err(error) => return Written { result: Err(error), state: None },
        };
        let Some(next) = plan.state else { return Written { result: Ok(plan.applied), state: None } };
        match self.save(&next) {
            Ok(()) => Written { result: Ok(plan.applied), state: Some(next) },
            Err(SaveError::Untouched(error)) => Written { result: Err(error), state: None },
            // Readers see what is in the file, as after a restart.
            Err(SaveError::Unsure(error)) => Written { result: Err(error), state: Some(next) },
        }
    }

    /// Writes down which revisions were given to changes that somebody else made. Otherwise a second change of that
    /// kind would get the same revision after the next start, and who has seen the first could overwrite the second
    /// unawares. A file that cannot be written can be read all the same.
    pub(super) fn keep_books(&mut self, read: &[u8], state: &State) {
        let Some(text) = file::with_bookkeeping(read, state) else { return };
        let written = self.check_writable().map_err(SaveError::Untouched).and_then(|()| self.write(&text));
        if let Err(SaveError::Untouched(error) | SaveError::Unsure(error)) = written {
            tracing::warn!(%error, "the revisions of changes made by hand could not be written down");
        }
    }

    fn save(&mut self, state: &State) -> std::result::Result<(), SaveError> {
        self.check_writable().map_err(SaveError::Untouched)?;
        let text = file::print(state).map_err(|refusal| {
            SaveError::Untouched(RepositoryError::Corrupt(format!("a flow cannot be printed: {refusal}")))
        })?;
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> std::result::Result<(), SaveError> {
        match replace(&self.path, text.as_bytes(), self.identity) {
            Ok(identity) => {
                self.identity = Some(identity);
                Ok(())
            }
            Err(ReplaceError::Diverged) => Err(SaveError::Untouched(self.diverged())),
            Err(ReplaceError::Untouched(error)) => Err(SaveError::Untouched(self.write_error(error))),
            Err(ReplaceError::Unsure(identity, error)) => {
                self.identity = Some(identity);
                let reason = format!("{} is written but not synced: {error}", self.path.display());
                Err(SaveError::Unsure(RepositoryError::Unavailable { reason, retry_after: Duration::from_secs(5) }))
            }
        }
    }

    /// A rename asks for the permissions of the directory alone; whoever made the file read-only meant the file.
    fn check_writable(&self) -> Result<()> {
        if let Err(reason) = &self.lock {
            return Err(RepositoryError::ReadOnly(reason.clone()));
        }
        let Ok(metadata) = self.path.metadata() else { return Ok(()) };
        let denied = metadata.permissions().readonly() || access(&self.path, Access::WRITE_OK).is_err();
        if denied { Err(RepositoryError::ReadOnly(self.path.display().to_string())) } else { Ok(()) }
    }

    fn diverged(&self) -> RepositoryError {
        RepositoryError::Diverged(format!(
            "{} is not as this Strom has last seen it. Nothing was overwritten; restart Strom to go on with the file as \
             it is now",
            self.path.display()
        ))
    }

    /// A full disk may have room again; nothing else gets better by itself.
    fn write_error(&self, error: io::Error) -> RepositoryError {
        let said = format!("{}: {error}", self.path.display());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                RepositoryError::Unavailable { reason: said, retry_after: Duration::from_secs(30) }
            }
            _ if is_read_only(&error) => RepositoryError::ReadOnly(said),
            _ => RepositoryError::Failed(Box::new(io::Error::new(error.kind(), said))),
        }
    }
}
