//! Resolves paths, and recognises what an error says about them.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Resolves symbolic links, so that a file has one lock under any name. Creates the directory for its owner only if it
/// is missing.
pub(crate) fn real_path(path: &Path) -> io::Result<PathBuf> {
    let path = behind_links(path)?;
    if let Some(directory) = path.parent()
        && !directory.exists()
    {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    canonical(&path)
}

/// Like [`real_path`], but creates nothing.
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

/// Resolves symbolic links in the directory.
fn canonical(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let directory = path.parent().ok_or(io::ErrorKind::IsADirectory)?;
    Ok(directory.canonicalize()?.join(name))
}

/// Whether the operating system forbids the write.
pub(crate) fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Whether nothing is at a path.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
