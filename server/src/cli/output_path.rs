//! The path of a file that a command writes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use strom_store::storage::Storage;
use tempfile::NamedTempFile;

use super::failure::Failure;
use crate::config::resolve;

/// The suffixes of the files next to a `flows.json`.
const SUFFIXES: [&str; 3] = [".journal", ".history", ".lock"];

/// Returns the path of an output, or `None` for `-`, which is stdout.
///
/// # Errors
/// For a URL, and for a file of one of these storages or of any other JSON store.
pub(super) fn output_path(path: &Path, storages: &[&Storage]) -> Result<Option<PathBuf>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(None);
    }
    let path = resolve(path)?;
    let used = storages.iter().flat_map(|storage| storage.files()).any(|file| is_same_file(&path, &file));
    if used || is_in_store(&path) {
        return Err(Failure::StoreFile(path.display().to_string()));
    }
    Ok(Some(path))
}

/// Checks before any work that a new file can be created.
///
/// # Errors
/// If the path exists or its directory cannot be written.
pub(super) fn check_new_file(path: &Path) -> std::io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => return Err(std::io::ErrorKind::IsADirectory.into()),
        Ok(_) => return Err(std::io::ErrorKind::AlreadyExists.into()),
        Err(_) => {}
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    NamedTempFile::new_in(directory).map(drop)
}

/// Whether both paths lead to the same file: by symbolic links, by hard links, or by another spelling.
pub(super) fn is_same_file(a: &Path, b: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    real_path(a) == real_path(b) || identity(a).is_some_and(|file| Some(file) == identity(b))
}

/// Whether the path is a file of a JSON store, which has a journal or a lock.
fn is_in_store(path: &Path) -> bool {
    let path = real_path(path);
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let base = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    let has = |suffix: &&str| path.with_file_name(format!("{base}{suffix}")).exists();
    [".journal", ".lock"].iter().any(has)
}

/// Resolves symbolic links, also in the directory of a file that does not exist.
fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let in_directory = || Some(absolute.parent()?.canonicalize().ok()?.join(absolute.file_name()?));
    absolute.canonicalize().ok().or_else(in_directory).unwrap_or_else(|| absolute.clone())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use strom_store::storage::Storage;

    use super::{check_new_file, output_path};

    #[test]
    fn files_of_a_store_are_rejected_under_every_name() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        let storage = Storage::Json(at("flows.json"));
        let rejected = |path: &Path| output_path(path, &[&storage]).is_err();
        for name in ["flows.json", "flows.json.journal", "flows.json.history", "flows.json.lock"] {
            assert!(rejected(&at(name)), "{name} does not exist yet");
            assert!(rejected(&at("sub").join("..").join(name)), "{name}");
            fs::write(at(name), name).unwrap();
            symlink(at(name), at("sub").join(name)).unwrap();
            fs::hard_link(at(name), at(&format!("hard-{name}"))).unwrap();
            assert!(rejected(&at(name)) && rejected(&at("sub").join(name)) && rejected(&at(&format!("hard-{name}"))));
        }
        let database = Storage::parse("postgresql://strom@db/strom").unwrap();
        assert!(output_path(&at("flows.json"), &[&database]).is_err(), "it is a store all the same");
        assert_eq!(output_path(&at("flows.gz"), &[&storage]).unwrap(), Some(at("flows.gz")));
        assert_eq!(output_path(Path::new("-"), &[&storage]).unwrap(), None);
    }

    #[test]
    fn new_files_need_a_free_name_in_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "").unwrap();
        assert!(check_new_file(&at("new")).is_ok() && !at("new").exists());
        for name in ["file", ".", "missing/new", "file/new"] {
            assert!(check_new_file(&at(name)).is_err(), "{name}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "the check leaves nothing behind");
    }
}
