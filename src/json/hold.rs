//! The right to write the files of a store.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::paths::{history_path, journal_path};
use crate::disk::Disk;
use crate::disk::durable::probe_directory;
use crate::disk::lock::{FileLock, Lock, LockError};
use crate::disk::place::{Inode, Place};

/// The locks of a store, and the place for which they are valid.
#[derive(Debug)]
pub(crate) struct Hold {
    place: Place,
    lock: Lock,
    /// A lock on the journal itself. If a user removes the lock file, another process can create and lock a new one,
    /// but still cannot open the store.
    journal: Option<FileLock>,
    /// A lock on the file itself while it has several names (hard links), because each name has its own lock file.
    linked: Option<FileLock>,
    url: Option<String>,
}

impl Hold {
    /// Takes the locks, and checks that files can be created, renamed and written. `named` is the path as the operator
    /// wrote it, `real` the same path without symbolic links.
    pub(crate) fn take(disk: &dyn Disk, named: &Path, real: &Path, url: Option<&str>) -> Result<Self, LockError> {
        let place = Place::of(named, real)?;
        let lock = Lock::take(real, url)?;
        let journal = FileLock::take(&journal_path(real))?;
        let linked = lock_linked(real)?;
        probe_directory(disk, real)?;
        for path in [journal_path(real), history_path(real)] {
            if let Err(error) = File::options().read(true).write(true).open(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())).into());
            }
        }
        let hold = Self { place, lock, journal, linked, url: url.map(str::to_owned) };
        hold.check()?;
        Ok(hold)
    }

    /// Fails unless the path of the store and the lock file are in their place.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.place.check()?;
        self.lock.check()
    }

    /// Takes the lock again if the lock file was removed or replaced. Then as [`check`](Self::check).
    pub(crate) fn restore(&mut self, real: &Path) -> io::Result<()> {
        self.place.check()?;
        if self.lock.check().is_err() {
            self.lock = Lock::take(real, self.url.as_deref())?;
        }
        Ok(())
    }

    /// Locks the journal, which this process may have replaced. `journal` is the file that it writes.
    pub(crate) fn lock_journal(&mut self, real: &Path, journal: Inode) -> io::Result<()> {
        if self.journal.as_ref().is_none_or(|lock| lock.inode != journal) {
            self.journal = FileLock::take(&journal_path(real))?;
        }
        Ok(())
    }

    /// Locks the file if it has got another name since it was opened or written.
    pub(crate) fn lock_linked_file(&mut self, real: &Path) {
        let inode = Inode::at(real).ok().flatten();
        if self.linked.as_ref().map(|lock| lock.inode) != inode {
            self.linked = None;
            self.linked = lock_linked(real).ok().flatten();
        }
    }
}

fn lock_linked(real: &Path) -> Result<Option<FileLock>, LockError> {
    match real.metadata() {
        Ok(metadata) if metadata.is_file() && metadata.nlink() > 1 => FileLock::take(real),
        _ => Ok(None),
    }
}
