//! Detects that a path leads to another place than before.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::paths::{existing_path, is_missing};

/// The device and the number of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), number: metadata.ino() }
    }

    /// Returns the inode at the path, or `None` if there is none.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        match path.metadata() {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A path leads to another file or directory than the one that this process has opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misplaced(String);

impl Misplaced {
    pub(crate) fn error(reason: impl Into<String>) -> io::Error {
        io::Error::other(Self(reason.into()))
    }

    /// Whether an error has this reason.
    pub(crate) fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|reason| reason.is::<Self>())
    }
}

/// The directory of a file when this process opened it. The same path can lead to another directory later: if a volume
/// is mounted over it, a symbolic link is changed, or the directory is renamed, or removed and created again.
#[derive(Debug)]
pub(crate) struct Place {
    /// The path as the operator wrote it.
    named: PathBuf,
    /// The path without symbolic links.
    real: PathBuf,
    directory: Inode,
    /// Prevents that a later directory gets the same inode.
    _open: Option<File>,
}

impl Place {
    pub(crate) fn of(named: &Path, real: &Path) -> io::Result<Self> {
        let directory = real.parent().unwrap_or(Path::new("/"));
        let open = File::open(directory).ok();
        let metadata = open.as_ref().map_or_else(|| directory.metadata(), File::metadata)?;
        let named = std::path::absolute(named)?;
        Ok(Self { named, real: real.to_owned(), directory: Inode::of(&metadata), _open: open })
    }

    /// Fails unless both paths still lead to the directory.
    pub(crate) fn check(&self) -> io::Result<()> {
        let now = match existing_path(&self.named) {
            Ok(now) => now,
            Err(error) if is_missing(&error) => {
                let directory = self.named.parent().unwrap_or(Path::new("/"));
                return Err(Misplaced::error(format!("the directory {} was removed or renamed", directory.display())));
            }
            Err(error) => return Err(error),
        };
        if now != self.real {
            let now = now.display();
            return Err(Misplaced::error(format!("{} is now a link to {now}", self.named.display())));
        }
        let directory = self.real.parent().unwrap_or(Path::new("/"));
        if Inode::at(directory)? == Some(self.directory) {
            return Ok(());
        }
        let reason = format!("another directory or volume is now at {}", directory.display());
        Err(Misplaced::error(reason))
    }
}

/// Whether something is mounted exactly at this path, as far as the system reports it.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    let Ok(mounts) = fs::read("/proc/self/mountinfo") else { return false };
    let points = mounts.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points.map(unescaped).any(|point| point == path)
}

/// Replaces the octal numbers that stand for spaces and other characters.
fn unescaped(mut text: &[u8]) -> PathBuf {
    let mut path = Vec::new();
    while let Some((first, rest)) = text.split_first() {
        let number = rest.get(..3).filter(|_| *first == b'\\').and_then(|digits| str::from_utf8(digits).ok());
        let byte = number.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        path.push(byte.unwrap_or(*first));
        text = if byte.is_some() { &rest[3..] } else { rest };
    }
    OsString::from_vec(path).into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_mount_point, unescaped};

    #[test]
    fn mount_points_are_compared_without_escapes() {
        assert_eq!(unescaped(br"/data/my\040flows\134x"), Path::new(r"/data/my flows\x"));
        assert_eq!(unescaped(br"/data\04"), Path::new(r"/data\04"));
    }

    #[test]
    fn root_is_a_mount_point_and_a_new_file_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(!is_mount_point(file.path()));
        assert!(!cfg!(target_os = "linux") || is_mount_point(Path::new("/")));
    }
}
