//! How the store works beside its file.

use std::time::Duration;

use crate::repository::Retention;

/// How the store works beside its file. The default is what `strom` uses.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How much history is kept.
    pub retention: Retention,
    /// A journal of more bytes than this is moved to the history.
    pub journal_bytes: u64,
    /// The file is written when nothing has been saved for so long.
    pub quiet: Duration,
    /// And under load after so long, or twenty times the time that writing it takes.
    pub interval: Duration,
    /// How often the file is looked at for edits by others.
    pub poll: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            journal_bytes: 8 * 1024 * 1024,
            quiet: Duration::from_millis(300),
            interval: Duration::from_secs(10),
            poll: Duration::from_millis(500),
        }
    }
}
