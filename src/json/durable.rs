//! The one way a file gets onto the disk: whole or not at all, and still there after a power cut.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use tempfile::NamedTempFile;

/// Which content of a path this is, as far as the file system tells: two programs that replace or edit the file give
/// it two identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Why a file was not replaced.
#[derive(Debug)]
pub(super) enum ReplaceError {
    /// It is as it was.
    Untouched(io::Error),
    /// It is as it was, and that is not what the caller has seen.
    Diverged,
    /// The new content is in place, but may be gone after a power cut.
    Unsure(Identity, io::Error),
}

/// Replaces the content of `path`, or makes the file: temporary file beside it, mode and owner of the old one, sync,
/// rename, sync of the directory. `expected` is the old content's identity, `None` for no file. The path is no symbolic
/// link; the caller has resolved it.
///
/// A new file is for its owner alone, since documents hold passphrases.
pub(super) fn replace(path: &Path, content: &[u8], expected: Option<Identity>) -> Result<Identity, ReplaceError> {
    let (written, directory) = write_beside(path, content).map_err(ReplaceError::Untouched)?;
    let identity = written.as_file().metadata().map_err(ReplaceError::Untouched)?;
    // As late as can be: what another program does after this line is not seen.
    if identity_at(path).map_err(ReplaceError::Untouched)? != expected {
        return Err(ReplaceError::Diverged);
    }
    // Dropped on failure, the temporary file removes itself.
    written.persist(path).map_err(|failed| ReplaceError::Untouched(failed.error))?;
    let identity = Identity::of(&identity);
    match directory.sync_all() {
        // Some file systems cannot sync a directory and keep their renames in order without it.
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(ReplaceError::Unsure(identity, error)),
        _ => Ok(identity),
    }
}

/// The identity of what is at the path now, `None` for nothing.
pub(super) fn identity_at(path: &Path) -> io::Result<Option<Identity>> {
    match path.metadata() {
        Ok(metadata) => Ok(Some(Identity::of(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The synced temporary file, and the directory that it is in.
fn write_beside(path: &Path, content: &[u8]) -> io::Result<(NamedTempFile, File)> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let opened = File::open(directory)?;
    let mut temporary = tempfile::Builder::new().prefix(&format!(".{name}.")).suffix(".tmp").tempfile_in(directory)?;
    temporary.write_all(content)?;
    match path.metadata() {
        Ok(old) => keep_mode_and_owner(temporary.as_file(), &old)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    temporary.as_file().sync_all()?;
    Ok((temporary, opened))
}

/// The owner goes first, since a change of owner may clear mode bits. Only root may give a file away, so each of owner
/// and group is kept where that is allowed.
fn keep_mode_and_owner(file: &File, old: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if new.gid() != old.gid() {
        let _ = fchown(file, None, Some(old.gid()));
    }
    if new.uid() != old.uid() {
        let _ = fchown(file, Some(old.uid()), None);
    }
    file.set_permissions(Permissions::from_mode(old.mode() & 0o777))
}

#[cfg(test)]
mod tests {
    use super::{ReplaceError, identity_at, replace};

    #[test]
    fn only_the_content_that_was_seen_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let first = replace(&path, b"1", None).unwrap();
        assert_eq!(identity_at(&path).unwrap(), Some(first));
        assert!(matches!(replace(&path, b"2", None), Err(ReplaceError::Diverged)));
        replace(&path, b"22", Some(first)).unwrap();
        assert!(matches!(replace(&path, b"3", Some(first)), Err(ReplaceError::Diverged)));
        assert_eq!(std::fs::read(&path).unwrap(), b"22");
        assert_eq!(directory.path().read_dir().unwrap().count(), 1, "no temporary file stays");
    }
}
