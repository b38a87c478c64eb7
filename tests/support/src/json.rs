//! A JSON file in its own directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use strom_store::FlowRepository;
use strom_store::internals::faulty_disk::{self, FaultyDisk};
use strom_store::internals::samples::time;
use strom_store::json::{JsonRepository, Settings};
use strom_store::repository::{OpenError, Retention};
use tempfile::TempDir;

use super::Opened;

/// Opens an empty repository in a new directory.
pub async fn open() -> Opened<File> {
    let file = File::new();
    Opened { repository: file.open().await, _resources: file }
}

/// Opens an empty repository with this retention.
pub async fn open_keeping(retention: Retention) -> (Arc<JsonRepository>, File) {
    let file = File::new();
    let settings = lazy().with_retention(retention);
    (Arc::new(JsonRepository::open_with(&file.path, time(0), settings).await.unwrap()), file)
}

/// Returns settings that retain everything and run upkeep quickly.
pub fn hasty() -> Settings {
    Settings::default()
        .with_retention(Retention { revisions: 50, age: TimeDelta::days(100_000) })
        .with_journal_bytes(2_000)
        .with_quiet(Duration::from_millis(10))
        .with_interval(Duration::from_millis(200))
        .with_report_interval(Duration::from_millis(200))
        .with_poll(Duration::from_millis(20))
        .with_lock_wait(Duration::ZERO)
}

/// Like [`hasty`], but writes the file at the close only and does not check it before.
pub fn lazy() -> Settings {
    let hour = Duration::from_secs(3_600);
    hasty().with_journal_bytes(u64::MAX).with_quiet(hour).with_interval(hour).with_report_interval(hour).with_poll(hour)
}

/// Returns the faults that the store reports.
pub async fn faults(store: &dyn FlowRepository) -> String {
    store.health().await.faults.join("\n")
}

/// Returns a file with these flow texts.
pub fn file_of(flows: &[&str]) -> String {
    format!("{{\n  \"version\": 1,\n  \"flows\": [\n    {}\n  ]\n}}\n", flows.join(",\n    "))
}

/// A JSON file in a temporary directory, and operations on the file outside the repository.
pub struct File {
    directory: TempDir,
    /// Stores the files that a simulated power cut restores.
    durable: TempDir,
    pub path: PathBuf,
}

impl Default for File {
    fn default() -> Self {
        Self::new()
    }
}

impl File {
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir()).unwrap()
    }

    /// Returns a file in an in-memory file system if the machine has one, for tests that create thousands of files.
    pub fn in_memory() -> Self {
        Self::below(Path::new("/dev/shm")).unwrap_or_else(|_| Self::new())
    }

    fn below(parent: &Path) -> std::io::Result<Self> {
        let directory = tempfile::tempdir_in(parent)?;
        let path = directory.path().join("flows.json");
        Ok(Self { directory, durable: tempfile::tempdir_in(parent)?, path })
    }

    pub fn holding(text: &str) -> Self {
        let file = Self::new();
        file.write(text);
        file
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub async fn open(&self) -> Arc<dyn FlowRepository> {
        Arc::new(self.try_open().await.unwrap())
    }

    /// Opens the file on a disk of its own.
    pub async fn open_with(&self, settings: Settings) -> Arc<dyn FlowRepository> {
        self.open_on(&self.disk(), settings).await.unwrap()
    }

    pub async fn open_on(
        &self,
        disk: &Arc<FaultyDisk>,
        settings: Settings,
    ) -> Result<Arc<dyn FlowRepository>, OpenError> {
        faulty_disk::open(&self.path, time(0), settings, disk).await
    }

    /// Returns a disk for this file.
    pub fn disk(&self) -> Arc<FaultyDisk> {
        FaultyDisk::new(tempfile::tempdir_in(&self.durable).unwrap().keep())
    }

    /// Returns the path with this suffix: `journal`, `history` or `lock`.
    pub fn sibling(&self, ending: &str) -> PathBuf {
        self.path.with_added_extension(ending)
    }

    /// Returns the lines of the journal, without the zeros after them.
    pub fn journal(&self) -> Vec<u8> {
        let mut journal = std::fs::read(self.sibling("journal")).unwrap();
        journal.truncate(journal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        journal
    }

    /// Returns every file except the lock, byte for byte.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let names = self.names().into_iter().filter(|name| !name.ends_with(".lock"));
        let read = |name: String| match std::fs::read(self.directory().join(&name)) {
            Ok(bytes) => Some((name, bytes)),
            // A temporary file that has been renamed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("{name}: {error}"),
        };
        names.filter_map(read).collect()
    }

    /// Copies the files, as a crash at this moment would leave them, to another directory. Reads them until they do not
    /// change in between, because upkeep moves lines from one file to another.
    pub fn as_after_a_crash(&self) -> Self {
        let copy = Self::below(self.directory().parent().unwrap()).unwrap();
        let mut contents = self.contents();
        while let again = self.contents()
            && again != contents
        {
            contents = again;
        }
        for (name, bytes) in contents {
            std::fs::write(copy.directory().join(name), bytes).unwrap();
        }
        copy
    }

    /// Returns the directory for files that a simulated power cut restores.
    pub fn durable(&self) -> &Path {
        self.durable.path()
    }

    /// Keeps all files after the test, for inspection.
    pub fn keep(self) -> PathBuf {
        self.directory.keep()
    }

    pub async fn try_open(&self) -> Result<JsonRepository, OpenError> {
        JsonRepository::open_with(&self.path, time(0), Settings::default().with_lock_wait(Duration::ZERO)).await
    }

    pub fn read(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }

    pub fn write(&self, text: impl AsRef<[u8]>) {
        std::fs::write(&self.path, text).unwrap();
    }

    /// Returns the names in the directory.
    pub fn names(&self) -> Vec<String> {
        let entries = self.directory().read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
