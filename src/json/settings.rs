//! Settings of the JSON backend.

use std::time::Duration;

use crate::repository::Retention;

/// How the JSON backend maintains its files. The defaults suit a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// How much history the store retains.
    pub retention: Retention,
    /// The size in bytes above which a checkpoint moves the changes of the journal to the history.
    pub journal_bytes: u64,
    /// The time without a save after which a checkpoint writes the file. Checkpoints write at most 1 MB per second on average, or
    /// 20 times the changed bytes if that is more, so a large file is written later.
    pub quiet: Duration,
    /// The longest time between a save and the checkpoint that includes it. A slow checkpoint extends it to 20 times its own
    /// duration, and the limit of [`quiet`](Self::quiet) applies.
    pub interval: Duration,
    /// The shortest time between a checkpoint and the next one if the file lacks only reports.
    pub report_interval: Duration,
    /// How often the store checks the file for edits by other programs.
    pub poll: Duration,
    /// How long opening the store waits for another process that has it open.
    pub lock_wait: Duration,
    /// The URL at which this process serves the flows. The lock file names it to other processes.
    pub url: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            journal_bytes: 8 * 1024 * 1024,
            quiet: Duration::from_millis(300),
            interval: Duration::from_secs(10),
            report_interval: Duration::from_secs(60),
            poll: Duration::from_millis(500),
            lock_wait: Duration::from_secs(5),
            url: None,
        }
    }
}

impl Settings {
    /// Sets [`retention`](Self::retention).
    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// Sets [`journal_bytes`](Self::journal_bytes).
    #[must_use]
    pub fn with_journal_bytes(self, journal_bytes: u64) -> Self {
        Self { journal_bytes, ..self }
    }

    /// Sets [`quiet`](Self::quiet).
    #[must_use]
    pub fn with_quiet(self, quiet: Duration) -> Self {
        Self { quiet, ..self }
    }

    /// Sets [`interval`](Self::interval).
    #[must_use]
    pub fn with_interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Sets [`report_interval`](Self::report_interval).
    #[must_use]
    pub fn with_report_interval(self, report_interval: Duration) -> Self {
        Self { report_interval, ..self }
    }

    /// Sets [`poll`](Self::poll).
    #[must_use]
    pub fn with_poll(self, poll: Duration) -> Self {
        Self { poll, ..self }
    }

    /// Sets [`lock_wait`](Self::lock_wait).
    #[must_use]
    pub fn with_lock_wait(self, lock_wait: Duration) -> Self {
        Self { lock_wait, ..self }
    }

    /// Sets [`url`](Self::url).
    #[must_use]
    pub fn with_url(self, url: Option<String>) -> Self {
        Self { url, ..self }
    }
}
