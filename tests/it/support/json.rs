//! A JSON file in a directory of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use strom::FlowRepository;
use strom::json::JsonRepository;
use strom::repository::OpenError;
use strom::testkit::samples::time;
use tempfile::TempDir;

use super::Opened;

/// An empty repository.
pub(crate) async fn open() -> Opened<File> {
    let file = File::new();
    Opened { repository: file.open().await, _place: file }
}

/// A place for a file, and what tests do to it behind the repository's back.
pub(crate) struct File {
    directory: TempDir,
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flows.json");
        Self { directory, path }
    }

    pub(crate) fn holding(text: &str) -> Self {
        let file = Self::new();
        file.write(text);
        file
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) async fn open(&self) -> Arc<dyn FlowRepository> {
        Arc::new(self.try_open().await.unwrap())
    }

    pub(crate) async fn try_open(&self) -> Result<JsonRepository, OpenError> {
        JsonRepository::open(&self.path, time(0)).await
    }

    pub(crate) fn read(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }

    pub(crate) fn write(&self, text: impl AsRef<[u8]>) {
        std::fs::write(&self.path, text).unwrap();
    }

    /// The names in the directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = self.directory().read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
