//! An advisory lock next to the file, so that one process at a time writes it. Readers need no lock.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::durable::{PathTarget, give_to_owner_of_directory};
use super::paths::{is_missing, is_read_only};
use super::place::{Inode, Misplaced};

/// Holds `<file>.lock` until it is dropped. The lock file stays, because removing it would allow two processes to lock
/// two files of the same name. The kernel releases the lock of a killed process.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

/// Removes the description of the owner and unlocks explicitly. Closing the file is not enough while a child process is
/// being started, because it shares the file until it executes its program.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

/// The holder of a lock, as the lock file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    process: u32,
    /// The host on which the process runs. A directory may be shared by several hosts or containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// The URL at which the process serves the flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl Owner {
    fn this(url: Option<&str>) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { process: std::process::id(), host: Some(host), url: url.map(str::to_owned) }
    }

    /// Reads the description. Older versions wrote only the process id.
    fn read(file: &mut File) -> Option<Self> {
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let plain = || text.trim().parse().ok().map(|process| Self { process, host: None, url: None });
        serde_json::from_str(&text).ok().or_else(plain)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the process {}", self.process)?;
        if let Some(host) = &self.host {
            write!(f, " on the host {host}")?;
        }
        self.url.as_ref().map_or(Ok(()), |url| write!(f, ", which serves {url}"))
    }
}

/// Why the lock could not be taken.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process holds it. Contains its description if known.
    Held(Option<Owner>),
    /// The directory or the lock file cannot be written, so this process cannot write the flows either. Includes a
    /// full disk if the lock file does not exist.
    ReadOnly(io::Error),
    /// Another error.
    Failed(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if is_full || is_read_only(&error) { Self::ReadOnly(error) } else { Self::Failed(error) }
    }
}

impl From<LockError> for io::Error {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held(owner) => Misplaced::error(format!("in use by {}", named(owner.as_ref()))),
            LockError::ReadOnly(error) | LockError::Failed(error) => error,
        }
    }
}

/// Describes the owner of a lock for a message.
pub(crate) fn named(owner: Option<&Owner>) -> String {
    owner.map_or_else(|| "another process".to_owned(), Owner::to_string)
}

impl Lock {
    /// Takes the lock, and writes this process and its URL into the lock file.
    pub(crate) fn take(path: &Path, url: Option<&str>) -> Result<Self, LockError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(lock_path(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(Owner::read(&mut file))),
            Err(TryLockError::Error(error)) => return Err(LockError::Failed(error)),
        }
        let lock = Self { file, path: path.to_owned() };
        // The file may have been removed since it was opened, so that another process locks a new one.
        lock.check()?;
        let written =
            give_to_owner_of_directory(&lock.file, path).and_then(|()| write_owner(&lock.file, &Owner::this(url)));
        if let Err(error) = written {
            tracing::warn!(%error, "cannot write the process id to the lock file");
        }
        Ok(lock)
    }

    /// Fails unless the lock file is in its place.
    pub(crate) fn check(&self) -> io::Result<()> {
        let path = lock_path(&self.path);
        match PathTarget::of(&self.file, &path)? {
            PathTarget::Same => Ok(()),
            PathTarget::Missing => Err(Misplaced::error(format!("{} was removed", path.display()))),
            PathTarget::Other => Err(Misplaced::error(format!("another program has replaced {}", path.display()))),
        }
    }
}

/// A lock on an existing file itself, until it is dropped.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
    pub(crate) inode: Inode,
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl FileLock {
    /// Locks the file. Returns `None` if there is no file, or if the file system does not support such locks.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>, LockError> {
        let file = match File::options().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if is_missing(&error) || is_read_only(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let inode = Inode::of(&file.metadata()?);
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file, inode })),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(None)),
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Writes the owner for messages of other processes. It has no effect on the lock.
fn write_owner(mut file: &File, owner: &Owner) -> io::Result<()> {
    file.set_len(0)?;
    let mut line = serde_json::to_vec(owner)?;
    line.push(b'\n');
    file.write_all(&line)
}
