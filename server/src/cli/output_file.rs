//! Files that a command writes, and that are replaced atomically.
//!
//! A command that is killed leaves its temporary file. The next command that writes to the directory deletes it: the lock of
//! a temporary file ends with the process that has created it.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// The names of temporary files. `strom import` ignores hidden files.
const PREFIX: &str = ".strom-export-";
const SUFFIX: &str = ".tmp";

/// A file that is open for writing.
pub(super) enum OutputFile {
    /// A temporary file in the same directory, and the path that [`replace`] renames it to.
    Temporary(NamedTempFile, PathBuf),
    /// A pipe or a device. It cannot be replaced.
    Direct(File),
}

impl OutputFile {
    /// Opens the file. Deletes temporary files of killed commands.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        delete_leftovers(parent(path));
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                // Replacing the link's target keeps a symbolic link. The new file gets the permissions of the old one.
                let path = path.canonicalize()?;
                let file = create_temporary(parent(&path))?;
                file.as_file().set_permissions(metadata.permissions())?;
                Ok(Self::Temporary(file, path))
            }
            Ok(_) => Ok(Self::Direct(File::options().write(true).open(path)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Self::Temporary(create_temporary(parent(path))?, path.to_owned()))
            }
            Err(error) => Err(error),
        }
    }
}

/// Creates a locked temporary file.
pub(super) fn create_temporary(directory: &Path) -> io::Result<NamedTempFile> {
    loop {
        let file = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(directory)?;
        match file.as_file().try_lock() {
            // Another command may have taken the file for a leftover before it was locked.
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if !file.path().exists() => {}
            // Some file systems have no locks. Leftovers remain there.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

/// Deletes the temporary files of killed commands. Errors are ignored: the files only take space.
pub(super) fn delete_leftovers(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_temporary =
            entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if is_temporary
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Syncs a temporary file and renames it to `path`.
pub(super) fn replace(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(parent(path))?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
