//! The only way to write a whole file durably: entirely or not at all, and safe from a power cut.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Disk;
use super::paths::is_read_only;
use super::place::{Inode, Misplaced};

/// Identifies one content of a path. A file that another program replaces or edits gets another identity.
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

    /// Returns the identity of the file at the path, or `None` if there is none.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        match path.metadata() {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The current target of the path of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathTarget {
    /// The open file.
    Same,
    /// Nothing: the file was removed, and closing it deletes its content.
    Missing,
    /// Another file: the open file was replaced.
    Other,
}

impl PathTarget {
    pub(crate) fn of(file: &File, path: &Path) -> io::Result<Self> {
        let open = Inode::of(&file.metadata()?);
        Ok(match Inode::at(path)? {
            Some(there) if there == open => Self::Same,
            Some(_) => Self::Other,
            None => Self::Missing,
        })
    }
}

/// Fails if a file at the path would be replaced that is not this one. Call this immediately before the replacement.
pub(crate) fn check_replaces(path: &Path, old: Option<&File>) -> io::Result<()> {
    match old {
        Some(old) if PathTarget::of(old, path)? == PathTarget::Other => {
            Err(Misplaced::error(format!("another program has replaced {}", path.display())))
        }
        None if path.symlink_metadata().is_ok() => {
            Err(Misplaced::error(format!("another program has created {}", path.display())))
        }
        _ => Ok(()),
    }
}

/// A synced temporary file that will replace its target. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Prepared {
    disk: Arc<dyn Disk>,
    target: PathBuf,
    /// `None` once it has replaced the target.
    temporary: Option<PathBuf>,
    file: File,
    length: u64,
}

impl Prepared {
    /// Writes new content for `target`, which must not be a symbolic link. Keeps the mode and owner of the existing
    /// file. A new file is readable by its owner only, because documents contain passphrases.
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
            // If root creates the file, the owner of the directory must be able to read it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                give_to_owner_of_directory(&prepared.file, target)?;
            }
            Err(error) => return Err(error),
        }
        prepared.append(print)?;
        Ok(prepared)
    }

    /// Appends to the file and syncs it.
    pub(crate) fn append(&mut self, print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut out = Output::new(&*self.disk, &self.file, self.length);
        print(&mut out)?;
        self.length = out.finish()?;
        self.disk.sync(&self.file)
    }

    /// Writes and syncs this many zeros after the content. They do not count.
    pub(crate) fn write_ahead(&self, bytes: u64) -> io::Result<()> {
        let zeros = vec![0; usize::try_from(bytes).unwrap_or_default()];
        self.disk.write(&self.file, self.length, &zeros)?;
        self.disk.sync(&self.file)
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the identity that the target will have.
    pub(crate) fn identity(&self) -> io::Result<Identity> {
        Ok(Identity::of(&self.file.metadata()?))
    }

    /// Replaces the target. A power cut may undo this until the [directory is synced](sync_directory_of). After an
    /// error the target is unchanged.
    pub(crate) fn put(mut self) -> io::Result<File> {
        if let Some(temporary) = &self.temporary {
            self.disk.rename(temporary, &self.target)?;
        }
        self.temporary = None;
        self.file.try_clone()
    }
}

/// Syncs the directory of a file, so that the file stays in its place.
pub(crate) fn sync_directory_of(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.sync_directory(path.parent().unwrap_or(Path::new("/")))
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // The next start removes a temporary file that remains.
            let _ = self.disk.remove(temporary);
        }
    }
}

/// A buffered writer that syncs regularly, so that the sync at the end of a large file does not delay other syncs.
pub(crate) struct Output<'a> {
    disk: &'a dyn Disk,
    file: &'a File,
    offset: u64,
    buffer: Vec<u8>,
    unsynced: usize,
    /// Whether a sync before the end has failed.
    pub(crate) sync_failed: bool,
}

const BUFFER: usize = 1 << 18;
const SYNC_EVERY: usize = 1 << 23;

impl<'a> Output<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, file: &'a File, offset: u64) -> Self {
        Self { disk, file, offset, buffer: Vec::new(), unsynced: 0, sync_failed: false }
    }

    /// Writes the rest of the buffer without a sync. Returns the end offset.
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

/// Creates `.<name>.strom-<process>-<number>.tmp`.
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

/// Creates, renames and removes a file next to `target`. Fails if this is not permitted. Another failure, such as a
/// full disk, does not mean that the directory cannot be written.
pub(crate) fn probe_directory(disk: &dyn Disk, target: &Path) -> io::Result<()> {
    let probe = || {
        let (path, _) = create_beside(disk, target)?;
        let renamed = path.with_extension("renamed.tmp");
        let renaming = disk.rename(&path, &renamed);
        disk.remove(if renaming.is_ok() { &renamed } else { &path })?;
        renaming
    };
    match probe() {
        Err(error) if is_read_only(&error) => Err(error),
        _ => Ok(()),
    }
}

fn prefix(target: &Path) -> String {
    format!(".{}.strom-", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes the temporary files of killed processes for these targets, which are in one directory. The caller holds the
/// lock.
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

/// Sets owner and mode. The owner comes first, because changing it may clear mode bits.
fn keep_mode_and_owner(file: &File, old: &Metadata) -> io::Result<()> {
    give_to_owner_of(file, old)?;
    file.set_permissions(Permissions::from_mode(old.mode() & 0o777))
}

/// Gives a new file to the owner of its directory.
pub(crate) fn give_to_owner_of_directory(file: &File, path: &Path) -> io::Result<()> {
    give_to_owner_of(file, &path.parent().unwrap_or(Path::new("/")).metadata()?)
}

/// Sets owner and group as far as permitted. Only root may change the owner.
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
