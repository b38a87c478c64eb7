//! The last known flows: a copy of what a storage has, to be read while it is away.
//!
//! A [`LastKnown`] follows a repository by its feed, keeps its flows in memory and, where it is given a directory, in a
//! file, so that also a program which starts while the storage is away can serve them. It says of what age they are and
//! never makes them younger; it is a [`FlowRepository`] that only reads.
//!
//! | file | what |
//! |---|---|
//! | `follower` | brings the copy up to date, and saves it |
//! | `selection` | which flows fit |
//! | `view`, `reading` | what readers see, and when they are refused |
//! | `file`, `line` | the copy on the disk |
//!
//! *Bounded*: flows that start by themselves (`properties.auto_restart`) are always in the copy; the others as far as
//! their documents fit, those that have changed last before the rest. A copy that does not have all flows answers only what
//! it can answer truly: single flows that it has, and lists of the flows that start by themselves.
//!
//! *As of*: the copy is what the storage had at one moment. That moment moves with every look at the feed that shows
//! nothing which the copy lacks; a change that is committed and has to wait in the feed, because an older transaction
//! has not ended, holds it back. For the reader of a file the age may be greater than it was, by the [`Settings`], but
//! not less.
//!
//! What it refuses: writes, history and the feed. And to say that a flow does not exist: it may be new.

mod file;
mod follower;
mod line;
mod reading;
mod selection;
mod view;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn, spawn_blocking};

use self::file::CopyFile;
use self::follower::Follower;
use self::view::View;
use crate::disk::{Disk, RealDisk};
use crate::repository::FlowRepository;

/// What is copied, and how often. The default is what `strom` uses.
#[derive(Debug, Clone)]
pub struct Settings {
    /// So many bytes of documents are kept, in memory and in the file; flows that start by themselves are kept beyond it.
    pub bytes: u64,
    /// Where the file is; without a directory the copy is in memory alone. The file has its name from the location of
    /// the storage, so that several may have their copies in one directory.
    pub directory: Option<PathBuf>,
    /// How often the storage is asked whether something has changed, when it does not say so by itself.
    pub look: Duration,
    /// How soon after the last save changes are saved again.
    pub save: Duration,
    /// How soon it is saved that nothing has changed: so much older the flows may look to the next process.
    pub save_age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bytes: 64 * 1024 * 1024,
            directory: None,
            look: Duration::from_secs(2),
            save: Duration::from_secs(5),
            save_age: Duration::from_secs(30),
        }
    }
}

/// A copy of the flows of a repository. A clone is another handle to it; with the last one it stops following.
#[derive(Debug, Clone)]
pub struct LastKnown(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    /// True tells the follower to stop; so does its end.
    stop: watch::Sender<bool>,
    follower: Mutex<Option<JoinHandle<()>>>,
}

/// What follower and readers have in common.
#[derive(Debug)]
struct Shared {
    repository: Arc<dyn FlowRepository>,
    location: String,
    settings: Settings,
    view: RwLock<Option<View>>,
}

/// What is known of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// How many flows it has.
    pub flows: usize,
    /// Whether these are all.
    pub is_complete: bool,
    /// The storage had these flows at this time.
    pub as_of: DateTime<Utc>,
}

impl LastKnown {
    /// Follows this repository from now on. Does not wait for it: until it answers, the copy is what an earlier process has
    /// left of the same storage. A file that cannot be believed is reported and taken for none.
    pub async fn follow(repository: Arc<dyn FlowRepository>, settings: Settings) -> Self {
        Self::follow_on(repository, settings, Arc::new(RealDisk)).await
    }

    /// As [`follow`](Self::follow), on this disk.
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
        let file = path.map(|path| CopyFile::new(disk, path, &location));
        let shared = Arc::new(Shared { repository, location, settings, view: RwLock::new(view) });
        let (stop, stopped) = watch::channel(false);
        let follower = spawn(Follower::new(Arc::clone(&shared), file).run(stopped));
        Self(Arc::new(Handle { shared, stop, follower: Mutex::new(Some(follower)) }))
    }

    /// The repository that it follows.
    pub fn followed(&self) -> &Arc<dyn FlowRepository> {
        &self.0.shared.repository
    }

    /// What the copy has; nothing before the storage has answered for the first time.
    pub fn extent(&self) -> Option<Extent> {
        let View { flows, is_complete, as_of } = self.0.shared.view()?;
        Some(Extent { flows: flows.size(), is_complete, as_of: as_of.at })
    }

    /// How old the copy is at this time, at most: whoever reads after he has asked sees nothing older.
    pub fn age(&self, now: DateTime<Utc>) -> Option<Duration> {
        self.0.shared.view().map(|view| view.as_of.age(now))
    }

    /// Stops following, and saves the copy. It can still be read. The repository stays open.
    pub async fn stop(&self) {
        self.0.stop.send_replace(true);
        let follower = self.0.follower.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(follower) = follower
            && let Err(error) = follower.await
        {
            tracing::error!(%error, "what followed the storage for the last known flows has ended early");
        }
    }
}

async fn read(path: PathBuf, location: String, bytes: u64) -> Option<View> {
    let shown = path.display().to_string();
    let read = spawn_blocking(move || file::read(&path, &location, bytes)).await;
    read.unwrap_or_else(|panicked| Err(panicked.to_string())).unwrap_or_else(|problem| {
        tracing::warn!(path = shown, problem, "there are no last known flows: the copy is not believed");
        None
    })
}

impl Shared {
    fn view(&self) -> Option<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Some(view);
    }
}
