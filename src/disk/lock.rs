//! One process at a time: an advisory lock beside the file.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::durable::{Place, give_to_owner_of_directory};

/// Holds `<file>.lock` until it is dropped. The lock file stays: to remove it would let two processes hold two locks
/// of one name. The lock itself goes with its process, so one that was killed is no obstacle.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

/// By name, since to close the file is not enough while a child of this process is being started: until it is another
/// program it has the file, too.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Why there is no lock.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another one holds it, the process of this id as far as is known.
    Held(Option<u32>),
    /// The directory or the lock file cannot be written, so this process cannot write the flows either. So it is on a full
    /// disk, if there never was a lock.
    ReadOnly(io::Error),
    /// Something else.
    Failed(io::Error),
}

impl Lock {
    pub(crate) fn take(path: &Path) -> Result<Self, LockError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(lock_path(path))
            .map_err(|error| {
                let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                if is_full || is_read_only(&error) { LockError::ReadOnly(error) } else { LockError::Failed(error) }
            })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(owner(&mut file))),
            Err(TryLockError::Error(error)) => return Err(LockError::Failed(error)),
        }
        let written = give_to_owner_of_directory(&file, path).and_then(|()| write_owner(&mut file));
        if let Err(error) = written {
            tracing::warn!(%error, "who has the lock could not be written into it");
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// For who only looks and writes nothing, no lock either: keeps away whoever would write as long as it is held, and lets
    /// others look. `None` where there is no lock file, so nobody has the flows yet; see [`exists`](Self::exists).
    pub(crate) fn look(path: &Path) -> Result<Option<Self>, LockError> {
        let mut file = match File::open(lock_path(path)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if is_read_only(&error) => return Err(LockError::ReadOnly(error)),
            Err(error) => return Err(LockError::Failed(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self { file, path: path.to_owned() })),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(owner(&mut file))),
            Err(TryLockError::Error(error)) => Err(LockError::Failed(error)),
        }
    }

    /// Whether anybody has ever had a lock there.
    pub(crate) fn exists(path: &Path) -> bool {
        lock_path(path).symlink_metadata().is_ok()
    }

    /// Whether the lock is where others look for it, as far as can be told. Who finds a lock file and takes it for an old
    /// one may remove it.
    pub(crate) fn is_in_place(&self) -> bool {
        Place::of(&self.file, &lock_path(&self.path)).unwrap_or(Place::Same) == Place::Same
    }
}

/// The file itself behind symbolic links, so that one file has one lock by whatever name. The directory is made when
/// it is missing, for its owner alone.
pub(crate) fn real_path(path: &Path) -> io::Result<PathBuf> {
    let path = behind_links(path)?;
    if let Some(directory) = path.parent()
        && !directory.exists()
    {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    canonical(&path)
}

/// As [`real_path`], and makes nothing.
pub(crate) fn existing_path(path: &Path) -> io::Result<PathBuf> {
    canonical(&behind_links(path)?)
}

fn behind_links(path: &Path) -> io::Result<PathBuf> {
    const MAX_LINKS: usize = 40;
    let mut path = std::path::absolute(path)?;
    for _ in 0..MAX_LINKS {
        let directory = path.parent().ok_or(io::ErrorKind::IsADirectory)?;
        match path.read_link() {
            Ok(target) => path = directory.join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// With a directory that has no symbolic links in it.
fn canonical(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let directory = path.parent().ok_or(io::ErrorKind::IsADirectory)?;
    Ok(directory.canonicalize()?.join(name))
}

/// Whether the operating system forbids the write.
pub(crate) fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn owner(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Only for people and messages; what counts is the lock.
fn write_owner(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}
