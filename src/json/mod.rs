//! The JSON backend: one file that people can read and edit.
//!
//! All flows are in memory; reads never touch the disk and never wait for a write. A change is computed on a copy of the
//! state, saved, and only then shown to readers. A save rewrites the whole file (`durable`), so its cost grows with the
//! number of flows. `Writer::save` is the one place that knows this: a journal beside the file will take its place there,
//! and the rewriting of the file will become its checkpoint.
//!
//! What it refuses: a second process (`lock`), a file that it does not understand entirely (`file`), and to overwrite
//! what another program has written meanwhile ([`RepositoryError::Diverged`]). What it does not keep on a rewrite:
//! access control lists and extended attributes of the file.
//!
//! A file that was changed while no Strom ran is taken as it is, its changes made by the author `file` at the time of the
//! file's last modification. Opening writes their revisions into the file's bookkeeping and leaves every other byte of
//! its members alone; where nothing was changed it writes nothing.

mod bookkeeping;
pub(crate) mod disk;
mod durable;
mod file;
mod listing;
mod lock;
mod matching;
mod open;
mod state;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::Mutex;
use tokio::task::{spawn, spawn_blocking};

use self::state::{Entry, State};
use self::writer::Writer;
use crate::flow::{Flow, FlowId, Head};
use crate::repository::{
    Applied, Change, Feed, FeedCursor, FlowRepository, Health, ListQuery, OpenError, Page, Record, RepositoryError,
    Result, Retention, Revision, Since, Stamp, Status, Stored,
};

/// How the store beside the file works. The default is what `strom` uses.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How much history is kept.
    pub retention: Retention,
    /// A journal of more bytes than this is moved to the history.
    pub journal_bytes: u64,
    /// The file is written when nothing has been saved for so long.
    pub quiet: Duration,
    /// And at the latest after so long, or twenty times the time that writing it takes.
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

/// Flows in one JSON file.
#[derive(Debug)]
pub struct JsonRepository(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// What readers see; `None` after the close. Held only to take or put the `Arc`.
    state: RwLock<Option<Arc<State>>>,
    /// One write at a time. `None` after the close.
    writer: Mutex<Option<Writer>>,
    since: RwLock<Instant>,
}

impl JsonRepository {
    /// Opens the file, or a place where there is none yet: it is made with the first save, its directory at once. `now`
    /// is the time of what is found changed in a file without a time of its own.
    ///
    /// # Errors
    /// [`OpenError`] when another process has it open, when it cannot be read, or when it is not entirely what a file
    /// of flows has to be; it is left as it is.
    pub async fn open(path: &Path, now: DateTime<Utc>) -> std::result::Result<Self, OpenError> {
        let path = path.to_owned();
        let location = path.display().to_string();
        let opened = spawn_blocking(move || open::open(&path, now)).await;
        let (writer, state) = opened.unwrap_or_else(|error| {
            Err(OpenError {
                location,
                problem: format!("the reading of the file was broken off: {error}"),
                remedy: "Try again; if it happens again, report it.".into(),
            })
        })?;
        Ok(Self(Arc::new(Shared {
            path: writer.path().to_owned(),
            state: RwLock::new(Some(Arc::new(state))),
            writer: Mutex::new(Some(writer)),
            since: RwLock::new(Instant::now()),
        })))
    }

    /// As [`open`](Self::open), with other settings than the default and on this disk.
    pub(crate) async fn open_on(
        path: &Path,
        now: DateTime<Utc>,
        _settings: Settings,
        _disk: Arc<dyn disk::Disk>,
    ) -> std::result::Result<Self, OpenError> {
        Self::open(path, now).await
    }

    async fn list_entries(&self, query: &ListQuery) -> Result<Page<Arc<Entry>>> {
        let (state, query) = (self.0.state()?, query.clone());
        // Containment reads every document, which is too long for a thread that serves others.
        spawn_blocking(move || listing::list(&state, &query)).await.unwrap_or_else(broken_off)
    }
}

impl Shared {
    fn state(&self) -> Result<Arc<State>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)
    }

    fn show(&self, state: Option<Arc<State>>) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    async fn apply(self: Arc<Self>, changes: Vec<Change>, stamp: Stamp) -> Result<Vec<Applied>> {
        let mut writer = self.writer.lock().await;
        // The thread has the writer while it writes. Should it panic, nobody knows what is on the disk, and the store
        // stays closed to writes.
        let Some(mut owned) = writer.take() else { return Err(closed()) };
        let state = self.state()?;
        let written = spawn_blocking(move || {
            let result = owned.apply(&state, changes, &stamp);
            (owned, result)
        });
        let (owned, written) = written.await.map_err(|error| RepositoryError::Failed(Box::new(error)))?;
        *writer = Some(owned);
        if let Some(state) = written.state {
            self.show(Some(Arc::new(state)));
        }
        written.result
    }
}

#[async_trait]
impl FlowRepository for JsonRepository {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        Ok(self.0.state()?.get(id).cloned())
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        let page = self.list_entries(query).await?;
        let items = page.items.iter().map(|entry| entry.stored.clone()).collect();
        Ok(Page { items, next: page.next, total: page.total })
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        let page = self.list_entries(query).await?;
        let head =
            |Stored { item, version }: &Stored<Flow>| Stored { item: item.head().clone(), version: version.clone() };
        let items = page.items.iter().map(|entry| head(&entry.stored)).collect();
        Ok(Page { items, next: page.next, total: page.total })
    }

    /// In a task of its own, which goes on when the caller goes away.
    async fn apply(&self, changes: Vec<Change>, stamp: Stamp) -> Result<Vec<Applied>> {
        spawn(Arc::clone(&self.0).apply(changes, stamp)).await.unwrap_or_else(broken_off)
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        let listed = self.0.state().and_then(|state| listing::list(&state, &ListQuery::default()));
        match listed {
            Ok(page) => stream::iter(page.items).map(|entry| Ok(entry.stored.clone())).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn history(&self, _: FlowId, _: Option<Revision>, _: u32) -> Result<Vec<Record<Head>>> {
        Err(RepositoryError::Failed("not yet".into()))
    }

    async fn revision(&self, _: FlowId, _: Revision) -> Result<Option<Record<Flow>>> {
        Err(RepositoryError::Failed("not yet".into()))
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        Err(RepositoryError::Failed("not yet".into()))
    }

    async fn changes(&self, _: Since, _: u32) -> Result<Feed<Flow>> {
        Err(RepositoryError::Failed("not yet".into()))
    }

    async fn change_summaries(&self, _: Since, _: u32) -> Result<Feed<Head>> {
        Err(RepositoryError::Failed("not yet".into()))
    }

    async fn changed(&self, _: FeedCursor) {}

    async fn health(&self) -> Health {
        let status = match self.0.state() {
            Ok(_) => Status::Ready,
            Err(error) => Status::Unavailable(error.to_string()),
        };
        let since = *self.0.since.read().unwrap_or_else(PoisonError::into_inner);
        let location = self.0.path.display().to_string();
        Health { kind: "json", location, status, for_the_last: since.elapsed(), faults: Vec::new() }
    }

    async fn close(&self) {
        // Waits for the write under way; those that wait behind it find the store closed.
        let writer = self.0.writer.lock().await.take();
        if self.0.state().is_ok() {
            self.0.show(None);
            *self.0.since.write().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        drop(writer);
    }
}

fn closed() -> RepositoryError {
    RepositoryError::Unavailable { reason: "the store is closed".into(), retry_after: Duration::from_secs(1) }
}

fn broken_off<T>(error: tokio::task::JoinError) -> Result<T> {
    Err(RepositoryError::Failed(Box::new(error)))
}
