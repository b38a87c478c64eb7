//! The handle to a last-known copy.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, spawn, spawn_blocking};

use super::file::{self, CopyFile};
use super::follower::Follower;
use super::recorder::Recorder;
use super::saver::Saver;
use super::settings::Settings;
use super::shared::Shared;
use super::view::{Coverage, View};
use crate::background::{End, Failures, supervise};
use crate::disk::{Disk, RealDisk};
use crate::repository::FlowRepository;

/// A handle to a copy of the flows of a repository. When the last clone is dropped, the copy stops following.
#[derive(Debug, Clone)]
pub struct LastKnown(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    /// True stops the follower. Dropping the sender does the same.
    stop: watch::Sender<bool>,
    failures: Failures,
    follower: Mutex<Option<JoinHandle<()>>>,
}

/// The contents of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// The number of flows.
    pub flows: usize,
    /// Whether these are all flows of the storage.
    pub is_complete: bool,
    /// The time at which the storage contained these flows.
    pub as_of: DateTime<Utc>,
}

impl LastKnown {
    /// Follows this repository. Does not wait for it: until it responds, the copy contains what an earlier process has
    /// saved for the same storage. Logs and ignores a file that is not valid.
    pub async fn follow(repository: Arc<dyn FlowRepository>, settings: Settings) -> Self {
        Self::follow_on(repository, settings, Arc::new(RealDisk)).await
    }

    /// Like [`follow`](Self::follow), on this disk.
    pub(crate) async fn follow_on(
        repository: Arc<dyn FlowRepository>,
        settings: Settings,
        disk: Arc<dyn Disk>,
    ) -> Self {
        let location = repository.health().await.location;
        let path = settings.directory.as_ref().map(|directory| file::path_in(directory, &location));
        let view = match path.clone() {
            Some(path) => read(path, location.clone(), settings.bytes).await,
            None => None,
        };
        let shared = Arc::new(Shared::new(repository, location, settings, view));
        let (stop, stopped) = watch::channel(false);
        let failures = Failures::default();
        let follower = supervise("last-known copy", failures.clone(), {
            let shared = Arc::clone(&shared);
            move || {
                let file = path.clone().map(|path| CopyFile::new(Arc::clone(&disk), path, &shared.location));
                follow_and_save(Arc::clone(&shared), file, stopped.clone()).map(|()| End::Done)
            }
        });
        Self(Arc::new(Handle { shared, stop, failures, follower: Mutex::new(Some(spawn(follower))) }))
    }

    /// Returns the repository that the copy follows.
    pub fn followed(&self) -> &Arc<dyn FlowRepository> {
        &self.0.shared.repository
    }

    /// Returns a repository that makes changes in this one, which must be the followed repository or a decorator of it.
    /// The copy contains each acknowledged change when its call returns, and never goes back to an older revision.
    #[must_use]
    pub fn recorded(&self, repository: Arc<dyn FlowRepository>) -> Arc<dyn FlowRepository> {
        Arc::new(Recorder::new(repository, Arc::clone(&self.0.shared)))
    }

    /// Returns the state of the copy.
    pub(super) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Returns what the copy contains, or `None` before the first response of the storage.
    pub fn extent(&self) -> Option<Extent> {
        let View { flows, coverage, as_of } = self.0.shared.view()?;
        let is_complete = coverage == Coverage::Complete;
        (coverage != Coverage::Changes).then(|| Extent { flows: flows.size(), is_complete, as_of: as_of.at })
    }

    /// Returns the maximum age of the copy at this time. Later reads return nothing older.
    pub fn age(&self, now: DateTime<Utc>) -> Option<Duration> {
        self.0.shared.view().map(|view| view.as_of.age(now))
    }

    /// Returns why the copy is not up to date although the storage responds.
    pub fn faults(&self) -> Vec<String> {
        self.0.failures.faults()
    }

    /// Stops following and saves the copy. It stays readable, and the repository stays open.
    pub async fn stop(&self) {
        self.0.stop.send_replace(true);
        let follower = self.0.follower.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(follower) = follower
            && let Err(error) = follower.await
        {
            tracing::error!(%error, "the task that updates the last-known copy has ended unexpectedly");
        }
    }
}

/// Follows the repository until the signal to stop, and saves the copy in the meantime and afterwards.
async fn follow_and_save(shared: Arc<Shared>, file: Option<CopyFile>, stopped: watch::Receiver<bool>) {
    let (following, followed) = oneshot::channel();
    let follower = Follower::new(Arc::clone(&shared));
    let follow = async {
        follower.run(stopped).await;
        drop(following);
    };
    tokio::join!(follow, Saver::new(shared, file).run(followed));
}

async fn read(path: PathBuf, location: String, bytes: u64) -> Option<View> {
    let shown = path.display().to_string();
    let read = spawn_blocking(move || file::read(&path, &location, bytes)).await;
    read.unwrap_or_else(|panicked| Err(panicked.to_string())).unwrap_or_else(|problem| {
        tracing::warn!(path = shown, problem, "the file of the last-known copy is invalid and is ignored");
        None
    })
}
