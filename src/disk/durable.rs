//! The one way a whole file gets onto the disk: entirely or not at all, and still there after a power cut.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Disk;

/// Which content of a path this is, as far as the file system tells: two programs that replace or edit the file give
/// it two identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// Of what is at the path now, `None` for nothing.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        match path.metadata() {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What is at the place of a file that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The file.
    Same,
    /// Nothing: somebody has removed it, and it is gone for good when it is closed.
    Empty,
    /// Another one: somebody has replaced it.
    Other,
}

impl Place {
    pub(crate) fn of(file: &File, path: &Path) -> io::Result<Self> {
        let open = file.metadata()?;
        match path.metadata() {
            Ok(there) if (there.dev(), there.ino()) == (open.dev(), open.ino()) => Ok(Self::Same),
            Ok(_) => Ok(Self::Other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Empty),
            Err(error) => Err(error),
        }
    }
}

/// A file that will take the place of another: beside it, written and synced, and removed if it never comes to that.
#[derive(Debug)]
pub(crate) struct Prepared {
    disk: Arc<dyn Disk>,
    target: PathBuf,
    /// `None` as soon as it is in its place.
    temporary: Option<PathBuf>,
    file: File,
    length: u64,
}

impl Prepared {
    /// Writes a new content for `target`, which is no symbolic link; the caller has resolved it. It keeps the mode and
    /// owner of the old one; a new file is for its owner alone, since documents hold passphrases.
    pub(crate) fn write(
        disk: &Arc<dyn Disk>,
        target: &Path,
        print: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Self> {
        let (temporary, file) = create_beside(&**disk, target)?;
        let mut prepared =
            Self { disk: Arc::clone(disk), target: target.to_owned(), temporary: Some(temporary), file, length: 0 };
        match target.metadata() {
            Ok(old) => keep_mode_and_owner(&prepared.file, &old)?,
            // Made by root, it must not keep out those who own the directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                give_to_owner_of_directory(&prepared.file, target)?;
            }
            Err(error) => return Err(error),
        }
        prepared.append(print)?;
        Ok(prepared)
    }

    /// Writes more, and syncs it.
    pub(crate) fn append(&mut self, print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut out = Output::new(&*self.disk, &self.file, self.length);
        print(&mut out)?;
        self.length = out.finish()?;
        self.disk.sync(&self.file)
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// What it will be known by.
    pub(crate) fn identity(&self) -> io::Result<Identity> {
        Ok(Identity::of(&self.file.metadata()?))
    }

    /// Puts it in its place, which a power cut may undo until the [directory is synced](sync_directory_of). After an error
    /// the place has its old content.
    pub(crate) fn put(mut self) -> io::Result<File> {
        if let Some(temporary) = &self.temporary {
            self.disk.rename(temporary, &self.target)?;
        }
        self.temporary = None;
        self.file.try_clone()
    }
}

/// Makes it last that a file is in this place.
pub(crate) fn sync_directory_of(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.sync_directory(path.parent().unwrap_or(Path::new("/")))
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Left behind, it is removed by the next start.
            let _ = self.disk.remove(temporary);
        }
    }
}

/// Buffers, and syncs on the way: the rest of a large file must not hold up somebody else's sync at the end.
pub(crate) struct Output<'a> {
    disk: &'a dyn Disk,
    file: &'a File,
    offset: u64,
    buffer: Vec<u8>,
    unsynced: usize,
    /// Whether a sync on the way has failed.
    pub(crate) sync_failed: bool,
}

const BUFFER: usize = 1 << 18;
const SYNC_EVERY: usize = 1 << 23;

impl<'a> Output<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, file: &'a File, offset: u64) -> Self {
        Self { disk, file, offset, buffer: Vec::new(), unsynced: 0, sync_failed: false }
    }

    /// Writes what is left, unsynced, and tells where it ends.
    pub(crate) fn finish(&mut self) -> io::Result<u64> {
        self.write_buffer()?;
        Ok(self.offset)
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.disk.write(self.file, self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.unsynced += self.buffer.len();
        self.buffer.clear();
        if self.unsynced >= SYNC_EVERY {
            self.unsynced = 0;
            self.disk.sync(self.file).inspect_err(|_| self.sync_failed = true)?;
        }
        Ok(())
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.write_buffer()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `.<name>.strom-<process>-<number>.tmp`.
fn create_beside(disk: &dyn Disk, target: &Path) -> io::Result<(PathBuf, File)> {
    let prefix = prefix(target);
    let mut number = 0;
    loop {
        let path = target.with_file_name(format!("{prefix}{}-{number}.tmp", std::process::id()));
        match disk.create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            created => return Ok((path, created?)),
        }
    }
}

fn prefix(target: &Path) -> String {
    format!(".{}.strom-", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what a process that was killed has left beside these targets, which are in one directory. Whoever calls has
/// the lock.
pub(crate) fn remove_leftovers(disk: &dyn Disk, targets: &[&Path]) -> io::Result<()> {
    let prefixes: Vec<_> = targets.iter().map(|target| prefix(target)).collect();
    let directory = targets.first().and_then(|target| target.parent()).unwrap_or(Path::new("/"));
    for entry in directory.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".tmp") && prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            disk.remove(&entry.path())?;
        }
    }
    Ok(())
}

/// The owner goes first, since a change of owner may clear mode bits.
fn keep_mode_and_owner(file: &File, old: &Metadata) -> io::Result<()> {
    give_to_owner_of(file, old)?;
    file.set_permissions(Permissions::from_mode(old.mode() & 0o777))
}

/// Gives a new file to whom its directory belongs.
pub(crate) fn give_to_owner_of_directory(file: &File, path: &Path) -> io::Result<()> {
    give_to_owner_of(file, &path.parent().unwrap_or(Path::new("/")).metadata()?)
}

/// Only root may give a file away, so each of owner and group is kept where that is allowed.
fn give_to_owner_of(file: &File, old: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if new.gid() != old.gid() {
        let _ = fchown(file, None, Some(old.gid()));
    }
    if new.uid() != old.uid() {
        let _ = fchown(file, Some(old.uid()), None);
    }
    Ok(())
}
