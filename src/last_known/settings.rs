//! Settings of the last-known copy.

use std::path::PathBuf;
use std::time::Duration;

/// The size of a last-known copy, and the intervals of its updates and saves. The defaults suit a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Maximum size of the documents in bytes, in memory and in the file. Flows with `auto_restart` do not count: the copy
    /// always contains them.
    pub bytes: u64,
    /// The directory of the file. Without one, the copy exists in memory only. The file name contains a hash of the location
    /// of the storage, so that several storages can share a directory.
    pub directory: Option<PathBuf>,
    /// How often the copy reads the feed of a storage that does not notify it of changes.
    pub look: Duration,
    /// The shortest time between two saves of changed flows. A change is in the file after this time and the duration of
    /// two saves. After a failed save, [`save_age`](Self::save_age) applies.
    pub save: Duration,
    /// The shortest time between two saves if no flow has changed. The flows can look this much older than they are to the
    /// next process.
    pub save_age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bytes: 64 * 1024 * 1024,
            directory: None,
            look: Duration::from_secs(2),
            save: Duration::from_millis(250),
            save_age: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// Sets [`bytes`](Self::bytes).
    #[must_use]
    pub fn with_bytes(self, bytes: u64) -> Self {
        Self { bytes, ..self }
    }

    /// Sets [`directory`](Self::directory).
    #[must_use]
    pub fn with_directory(self, directory: Option<PathBuf>) -> Self {
        Self { directory, ..self }
    }

    /// Sets [`look`](Self::look).
    #[must_use]
    pub fn with_look(self, look: Duration) -> Self {
        Self { look, ..self }
    }

    /// Sets [`save`](Self::save).
    #[must_use]
    pub fn with_save(self, save: Duration) -> Self {
        Self { save, ..self }
    }

    /// Sets [`save_age`](Self::save_age).
    #[must_use]
    pub fn with_save_age(self, save_age: Duration) -> Self {
        Self { save_age, ..self }
    }
}
