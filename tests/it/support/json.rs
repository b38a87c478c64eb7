//! A JSON file in a directory of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use strom::FlowRepository;
use strom::json::{JsonRepository, Settings};
use strom::repository::{OpenError, Retention};
use strom::testkit::faults::{self, FaultyDisk};
use strom::testkit::samples::time;
use tempfile::TempDir;

use super::Opened;

/// An empty repository.
pub(crate) async fn open() -> Opened<File> {
    let file = File::new();
    Opened { repository: file.open().await, _place: file }
}

/// An empty repository that keeps so much.
pub(crate) async fn open_keeping(retention: Retention) -> (Arc<JsonRepository>, File) {
    let file = File::new();
    let settings = Settings { retention, ..lazy() };
    (Arc::new(JsonRepository::open_with(&file.path, time(0), settings).await.unwrap()), file)
}

/// Keeps everything, and does soon what the default does later.
pub(crate) fn hasty() -> Settings {
    Settings {
        retention: Retention { revisions: 50, age: TimeDelta::days(100_000) },
        journal_bytes: 2_000,
        quiet: Duration::from_millis(10),
        interval: Duration::from_millis(200),
        poll: Duration::from_millis(20),
    }
}

/// As [`hasty`], but writes the file at the close alone and does not look at it before.
pub(crate) fn lazy() -> Settings {
    let hour = Duration::from_secs(3_600);
    Settings { journal_bytes: u64::MAX, quiet: hour, interval: hour, poll: hour, ..hasty() }
}

/// Waits until it is so, but not for ever.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < Duration::from_secs(20), "never came to be: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What the store says somebody should look at.
pub(crate) async fn faults(store: &dyn FlowRepository) -> String {
    store.health().await.faults.join("\n")
}

/// A file with these texts as its flows.
pub(crate) fn file_of(flows: &[&str]) -> String {
    format!("{{\n  \"version\": 1,\n  \"flows\": [\n    {}\n  ]\n}}\n", flows.join(",\n    "))
}

/// A place for a file, and what tests do to it behind the repository's back.
pub(crate) struct File {
    directory: TempDir,
    /// For what a power cut brings back.
    kept: TempDir,
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flows.json");
        Self { directory, kept: tempfile::tempdir().unwrap(), path }
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

    /// On a disk that never syncs, unless it is told to do worse.
    pub(crate) async fn open_with(&self, settings: Settings) -> Arc<dyn FlowRepository> {
        self.open_on(&self.disk(), settings).await.unwrap()
    }

    pub(crate) async fn open_on(
        &self,
        disk: &Arc<FaultyDisk>,
        settings: Settings,
    ) -> Result<Arc<dyn FlowRepository>, OpenError> {
        faults::open(&self.path, time(0), settings, disk).await
    }

    /// A disk to open it on.
    pub(crate) fn disk(&self) -> Arc<FaultyDisk> {
        FaultyDisk::new(tempfile::tempdir_in(&self.kept).unwrap().keep())
    }

    /// What stands beside it under its name and this ending: `journal`, `history`, `lock`.
    pub(crate) fn beside(&self, ending: &str) -> PathBuf {
        self.path.with_added_extension(ending)
    }

    /// Every file but the lock, byte for byte.
    /// The lines of the journal, without the zeros that stand behind them while it is written.
    pub(crate) fn journal(&self) -> Vec<u8> {
        let mut journal = std::fs::read(self.beside("journal")).unwrap();
        journal.truncate(journal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        journal
    }

    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let names = self.names().into_iter().filter(|name| !name.ends_with(".lock"));
        names.map(|name| (name.clone(), std::fs::read(self.directory().join(name)).unwrap())).collect()
    }

    /// What a crash at this moment would leave, in another place.
    pub(crate) fn as_after_a_crash(&self) -> Self {
        let copy = Self::new();
        for (name, bytes) in self.contents() {
            std::fs::write(copy.directory().join(name), bytes).unwrap();
        }
        copy
    }

    /// Where disks keep what a power cut brings back.
    pub(crate) fn kept(&self) -> &Path {
        self.kept.path()
    }

    /// Leaves everything on the disk, for somebody to look at.
    pub(crate) fn keep(self) -> PathBuf {
        self.directory.keep()
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
