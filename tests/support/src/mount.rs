//! Mounts, for tests that may make them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mount. Dropping it unmounts it.
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts an in-memory file system of this size. Returns `None` if the test must not mount file systems.
    pub fn memory(path: &Path, size: &str) -> Option<Self> {
        Self::new(path, &["-t", "tmpfs", "-o", &format!("size={size}"), "strom-test"])
    }

    /// Mounts a file or directory at another path.
    pub fn bind(from: &Path, path: &Path) -> Option<Self> {
        Self::new(path, &["--bind", from.to_str()?])
    }

    fn new(path: &Path, arguments: &[&str]) -> Option<Self> {
        let mounted = Command::new("mount").args(arguments).arg(path).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(path.to_owned()))
    }

    /// Makes the file system read-only (`ro`) or writable (`rw`).
    ///
    /// # Panics
    /// If the mount cannot be changed.
    pub fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
