//! Saves the copy to its file.
//!
//! The saver does not wait for the follower: an acknowledged change must reach the file also when the storage does not
//! answer any more.

use std::io;
use std::mem;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::file::CopyFile;
use super::shared::Shared;
use super::view::Coverage;

/// Saves what readers see.
#[derive(Debug)]
pub(super) struct Saver {
    shared: Arc<Shared>,
    /// `None` without a directory.
    file: Option<CopyFile>,
    /// The time of the state in the file. `None` if the file must be written again.
    saved: Option<DateTime<Utc>>,
    last_save: Option<Instant>,
    is_failing: bool,
}

impl Saver {
    pub(super) fn new(shared: Arc<Shared>, file: Option<CopyFile>) -> Self {
        let saved = shared.view().map(|view| view.as_of.at);
        Self { shared, file, saved, last_save: None, is_failing: false }
    }

    /// Saves changes until the follower has stopped, and then the rest.
    pub(super) async fn run(mut self, mut follower: oneshot::Receiver<()>) {
        loop {
            let due = self.due();
            tokio::select! {
                _ = &mut follower => break,
                () = self.shared.changed.notified() => {}
                () = sleep(due.unwrap_or_default()), if due.is_some() => self.save().await,
            }
        }
        if self.due().is_some() {
            self.save().await;
        }
    }

    /// Returns how long to wait before the next save, or `None` if the file is up to date.
    fn due(&self) -> Option<Duration> {
        self.file.as_ref()?;
        let settings = &self.shared.settings;
        let state = self.shared.state();
        // A file with a part of the flows would look like a copy of the storage.
        let view = state.view().filter(|view| view.coverage != Coverage::Changes)?;
        // A failed save counts as well, so that a full disk is not retried constantly.
        let interval = match state.is_unsaved() {
            true if !self.is_failing => settings.save,
            false if Some(view.as_of.at) == self.saved => return None,
            _ => settings.save_age,
        };
        Some(self.last_save.map_or(Duration::ZERO, |last| interval.saturating_sub(last.elapsed())))
    }

    async fn save(&mut self) {
        let (view, unsaved) = {
            let mut state = self.shared.state();
            let Some(view) = state.view().cloned() else { return };
            (view, state.take_unsaved())
        };
        let Some(mut file) = self.file.take() else { return };
        let as_of = view.as_of.at;
        let saving = spawn_blocking(move || {
            let saved = file.save(&view, &unsaved);
            (file, saved)
        });
        let saved = match saving.await {
            Ok((file, saved)) => {
                self.file = Some(file);
                saved
            }
            // The file went with the thread, so the supervisor starts the saver again.
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(aborted) => Err(io::Error::other(aborted)),
        };
        self.last_save = Some(Instant::now());
        // The save after a failed one writes the whole file.
        self.saved = saved.is_ok().then_some(as_of);
        match saved {
            Ok(()) => self.is_failing = false,
            Err(error) if mem::replace(&mut self.is_failing, true) => {
                tracing::debug!(%error, "still cannot save the last-known copy");
            }
            Err(error) => tracing::warn!(%error, "cannot save the last-known copy; it exists only in memory"),
        }
    }
}
