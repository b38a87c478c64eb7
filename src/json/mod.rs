//! The JSON backend: one file that people can read and edit, with the durability of a database.
//!
//! | file | what |
//! |---|---|
//! | `state` | the flows in memory, and what changes make of them; `crate::listing` makes lists of them |
//! | `writer`, `journal` | a save: one append, one sync, whatever the number of flows |
//! | `file`, `file_reader`, `splitter` | what the file says |
//! | `upkeep`, `file`, `history` | what follows later: `flows.json`, the older changes |
//! | `open`, `recovery`, `replay`, `reconcile` | the start, in every condition |
//! | `log`, `histories`, `segment`, `line` | reading history and feed |
//! | `faults`, `measurements` | what somebody should look at |
//! | `append_file` | what the journal adds to `crate::disk`, the way there |
//!
//! All flows are in memory; reads never touch the disk, except for history and feed, and never wait for a write. A change
//! is computed on a copy of the state that shares all but what is new, appended to the journal, and only then shown to
//! readers. Savers who come while another one syncs are saved together, with one sync.
//!
//! `flows.json` is written when the store falls quiet, at a bounded age under load and at the end. Journal and file
//! together are the store: [`FlowRepository::apply`] has returned means that the journal is on the disk. `reconcile` tells
//! what an edit of the file by somebody else means; while running it is found by looking at the file now and then.
//!
//! What a start finds, and what it does:
//!
//! | found | done |
//! |---|---|
//! | no file, no journal | an empty store; nothing is written before something is saved |
//! | no directory | made, for its owner alone |
//! | a symbolic link | stays one; everything else is beside the file that it leads to |
//! | a file and neither journal nor history | its flows are new, created by `file` |
//! | no file, or an empty one, and a journal or a history | all flows put together from there, and reported |
//! | an empty file and nothing else; no JSON; no file of flows; a newer version | refused, nothing touched |
//! | a flow that cannot be stored, or an id twice | quarantined: reported, kept in the file to the letter |
//! | a byte order mark, other line ends | read |
//! | a file that somebody has edited, or an older Strom written anew | see `reconcile`, which works flow by flow |
//! | a torn end of the journal | cut off: nobody was told that it was saved |
//! | any other damage of the journal | reported; the good part is kept, the damaged file put aside; the feed begins anew |
//! | a history that is missing, damaged or short | reported; what it had is lost, the flows are not; the feed begins anew |
//! | a file or directory that cannot be written | read only |
//! | a full disk | everything can be read; saves fail until there is room |
//! | another process | refused, by its number |
//! | a temporary file of a process that was killed | removed |
//!
//! Who only looks is shown what a start would make of all that, and nothing is written, made or put aside.
//!
//! While running, an edit of the file is found and treated alike; one that cannot be read is reported and left alone, and
//! the file is not written until it is corrected. A file, a journal or a lock that somebody has removed is put back. Where
//! another process has put its own there, nothing is written any more.
//!
//! What it does not keep when it writes the file: access control lists and extended attributes.

mod append_file;
mod faults;
mod file;
mod file_reader;
mod histories;
mod history;
mod journal;
mod line;
mod log;
mod measurements;
mod open;
mod reconcile;
mod recovery;
mod replay;
mod segment;
mod settings;
mod shared;
mod splitter;
mod state;
mod upkeep;
mod watch;
mod writer;

pub use settings::Settings;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::future::ready;
use futures::stream::{self, BoxStream};
use tokio::task::{JoinError, spawn, spawn_blocking};

use self::open::Opened;
use self::shared::Shared;
use self::writer::View;
use crate::disk::{Disk, RealDisk};
use crate::flow::{Flow, FlowId, Head};
use crate::listing;
use crate::repository::{
    Applied, Change, ChangeList, Feed, FeedCursor, FlowRepository, Health, ListQuery, Measurement, OpenError, Page,
    Record, RepositoryError, Result, Revision, Since, Stamp, Status, Stored,
};

/// Whether a store may be there: its file, or the journal or history that it is put together from. Looks, and makes nothing.
pub(crate) fn may_exist(path: &Path) -> bool {
    // A symbolic link that leads nowhere may have them beside what it leads to.
    let paths = [path.to_owned(), journal::path_beside(path), history::path_beside(path)];
    paths.iter().any(|path| path.symlink_metadata().is_ok())
}

/// Flows in one JSON file, and a journal beside it.
#[derive(Debug)]
pub struct JsonRepository(Arc<Shared>);

impl JsonRepository {
    /// Opens the file, or a place where there is none yet: it is made with the first save, its directory at once. `now`
    /// is the time of what is found changed without a time of its own.
    ///
    /// # Errors
    /// [`OpenError`] when another process has it open, when it cannot be read, or when it is no file of flows; it is
    /// left as it is.
    pub async fn open(path: &Path, now: DateTime<Utc>) -> std::result::Result<Self, OpenError> {
        Self::open_with(path, now, Settings::default()).await
    }

    /// As [`open`](Self::open), with other settings than the default.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(
        path: &Path,
        now: DateTime<Utc>,
        settings: Settings,
    ) -> std::result::Result<Self, OpenError> {
        Self::open_on(path, now, settings, Arc::new(RealDisk)).await
    }

    /// Opens the file to look at it: nothing is written or made, neither the lock nor what a crash or an edit would have a
    /// start write, and every change is refused. It shows the moment of the opening.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn look(path: &Path, now: DateTime<Utc>) -> std::result::Result<Self, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let opened = open_by(open::look, path, now, &disk).await?;
        Ok(Self(Arc::new(Shared::new(opened, Settings::default(), disk))))
    }

    /// As [`open_with`](Self::open_with), on this disk.
    pub(crate) async fn open_on(
        path: &Path,
        now: DateTime<Utc>,
        settings: Settings,
        disk: Arc<dyn Disk>,
    ) -> std::result::Result<Self, OpenError> {
        let opened = open_by(open::open, path, now, &disk).await?;
        let shared = Arc::new(Shared::new(opened, settings, disk));
        spawn(watch::watch(Arc::downgrade(&shared)));
        Ok(Self(shared))
    }

    /// Lets go of what the retention does not ask for, at once instead of when it is half of the history. For tests.
    #[cfg(feature = "testkit")]
    #[doc(hidden)]
    pub async fn apply_retention(&self) -> Result<()> {
        let shared = Arc::clone(&self.0);
        let done = spawn_blocking(move || shared::lock(&shared.upkeep).apply_retention(&shared)).await;
        done.map_or_else(broken_off, |done| done.map_err(|error| RepositoryError::Failed(Box::new(error))))
    }

    async fn list_as<T: Send + 'static>(&self, query: &ListQuery, show: fn(&Stored<Flow>) -> T) -> Result<Page<T>> {
        let query = query.clone();
        // Containment reads every document, which is too long for a thread that serves others.
        self.read(move |view| Ok(listing::list(view.state.flows(), &query)?.map(show))).await
    }

    async fn read<T: Send + 'static>(&self, work: impl FnOnce(&View) -> Result<T> + Send + 'static) -> Result<T> {
        let view = self.0.open_view()?;
        spawn_blocking(move || work(&view)).await.unwrap_or_else(broken_off)
    }
}

#[async_trait]
impl FlowRepository for JsonRepository {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        Ok(self.0.open_view()?.state.get(id).map(|entry| entry.stored.clone()))
    }

    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
        match self.0.open_view() {
            Ok(view) => stream::iter(ids)
                .filter_map(move |id| ready(view.state.get(id).map(|entry| Ok(entry.stored.clone()))))
                .boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        self.list_as(query, Stored::clone).await
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        self.list_as(query, Stored::to_head).await
    }

    async fn apply(&self, changes: Vec<Change>, stamp: Stamp) -> Result<Vec<Applied>> {
        self.0.apply(Arc::new(changes), stamp).await
    }

    async fn apply_all(&self, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        self.0.apply(changes, stamp).await
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        let all = ListQuery::default();
        let listed =
            self.0.open_view().and_then(|view| Ok(listing::list(view.state.flows(), &all)?.map(Stored::clone)));
        match listed {
            Ok(page) => stream::iter(page.items).map(Ok).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>> {
        self.read(move |view| view.log.history(id, before, limit)).await
    }

    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>> {
        self.read(move |view| view.log.revision(id, revision)).await
    }

    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>> {
        match self.0.open_view() {
            Ok(view) => histories::stream(view.log.clone()),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        self.read(|view| view.log.deleted(view.state.deleted())).await
    }

    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>> {
        self.read(move |view| view.log.changes(since, limit, |flow| flow)).await
    }

    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>> {
        self.read(move |view| view.log.changes(since, limit, |flow| flow.head().clone())).await
    }

    async fn changed(&self, after: FeedCursor) {
        self.0.changed(after).await;
    }

    async fn health(&self) -> Health {
        let status = match self.0.open_view() {
            Ok(_) => Status::Ready,
            Err(error) => Status::Unavailable(error.to_string()),
        };
        let location = self.0.path.display().to_string();
        Health {
            kind: "json",
            location,
            status,
            for_the_last: self.0.since(),
            read_only: self.0.read_only,
            faults: self.0.faults.all(),
        }
    }

    fn measurements(&self) -> Vec<Measurement> {
        self.0.measurements()
    }

    /// Writes the file, if anything is missing in it.
    async fn close(&self) {
        let shared = Arc::clone(&self.0);
        if let Err(error) = spawn_blocking(move || shared.close()).await {
            tracing::error!(%error, "the store was not closed as it should be; its journal has everything");
        }
    }
}

/// How a file is opened.
type Way = fn(&Path, DateTime<Utc>, Arc<dyn Disk>) -> std::result::Result<Opened, OpenError>;

/// Reading the files is too long for a thread that serves others.
async fn open_by(
    way: Way,
    path: &Path,
    now: DateTime<Utc>,
    disk: &Arc<dyn Disk>,
) -> std::result::Result<Opened, OpenError> {
    let location = path.display().to_string();
    let (path, disk) = (path.to_owned(), Arc::clone(disk));
    spawn_blocking(move || way(&path, now, disk)).await.unwrap_or_else(|error| {
        Err(OpenError {
            location,
            problem: format!("the reading of the file was broken off: {error}"),
            remedy: "Try again; if it happens again, report it.".into(),
        })
    })
}

fn broken_off<T>(error: JoinError) -> Result<T> {
    Err(RepositoryError::Failed(Box::new(error)))
}
