//! The ways to the disk. Everything that is done to it goes through [`Disk`], so that a test can stop it at any point.

pub(crate) mod durable;
pub(crate) mod lock;
pub(crate) mod sealed;

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// The calls that change a disk, or that make a change last. Reading is not among them.
pub(crate) trait Disk: Debug + Send + Sync + 'static {
    /// Makes a file that is not there yet, for its owner alone.
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
    }

    /// Writes all of the bytes at this place of a file. The files that are synced only ever grow.
    fn write(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    /// Returns when what was written to the file is on the disk.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Cuts a file off at this length.
    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    /// Puts a file in the place of another, or where there is none.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Returns when the names in the directory are on the disk.
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        match File::open(path)?.sync_all() {
            // Some file systems cannot sync a directory and keep their renames in order without it.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        }
    }
}

/// The disk that there is.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {}
