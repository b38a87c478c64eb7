//! The files next to `flows.json`.

use std::path::{Path, PathBuf};

use crate::disk::paths::existing_path;

/// `<file>.journal`.
pub(crate) fn journal_path(file: &Path) -> PathBuf {
    with_suffix(file, ".journal")
}

/// `<file>.history`.
pub(crate) fn history_path(file: &Path) -> PathBuf {
    with_suffix(file, ".history")
}

/// The files of a store, next to its path and next to the target of a symbolic link. They need not exist.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    let real = existing_path(path).unwrap_or_else(|_| path.to_owned());
    let of = |path: PathBuf| ["", ".journal", ".history", ".lock"].map(|suffix| with_suffix(&path, suffix));
    [path.to_owned(), real].into_iter().flat_map(of).collect()
}

/// The path with this suffix appended to the file name.
pub(crate) fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether a store may exist: its file, or the journal or history from which it can be restored. Creates nothing.
pub(crate) fn may_exist(path: &Path) -> bool {
    // Journal and history are next to the target of a symbolic link, so a dangling link counts as a store.
    let paths = [path.to_owned(), journal_path(path), history_path(path)];
    paths.iter().any(|path| path.symlink_metadata().is_ok())
}
