//! The JSON file as a repository.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::ready;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use tokio::task::{spawn, spawn_blocking};

use super::blocking::blocking;
use super::recovery::{self, Opened};
use super::settings::Settings;
use super::store::Store;
use super::upkeep::Topic;
use super::view::View;
use super::{history, upkeep};
use crate::background::{End, supervise};
use crate::disk::{Disk, RealDisk};
use crate::flow::{Flow, FlowId, Head};
use crate::listing;
use crate::repository::{
    Applied, Author, ChangeList, Feed, FeedCursor, FlowRepository, Health, ListQuery, Measurement, OpenError, Page,
    Record, Result, Revision, Since, Stamp, Status, Stored, Version,
};

/// Flows in one JSON file, with a journal next to it.
#[derive(Debug)]
pub struct JsonRepository(Arc<Store>);

impl JsonRepository {
    /// Opens the file. If it does not exist, creates its directory now and the file with the first save. `now` becomes
    /// the time of changes that were found without a time of their own.
    ///
    /// # Errors
    /// [`OpenError`] if another process has the file open, if it cannot be read, or if it is not a file of flows. The
    /// file is unchanged.
    pub async fn open(path: &Path, now: DateTime<Utc>) -> std::result::Result<Self, OpenError> {
        Self::open_with(path, now, Settings::default()).await
    }

    /// Like [`open`](Self::open), with these settings.
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

    /// Opens the file for reading. Writes nothing: no lock, and no recovery after a crash or an edit. Rejects every
    /// change. Shows the flows at the time of the opening. Works while another process has the file open, and does not
    /// hinder it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_read_only(path: &Path, now: DateTime<Utc>) -> std::result::Result<Self, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let opening = Arc::clone(&disk);
        let opened = open_by(path, move |path| recovery::open_read_only(path, now, opening)).await?;
        Ok(Self(Arc::new(Store::new(opened, Settings::default(), disk))))
    }

    /// Like [`open_with`](Self::open_with), on this disk.
    pub(crate) async fn open_on(
        path: &Path,
        now: DateTime<Utc>,
        settings: Settings,
        disk: Arc<dyn Disk>,
    ) -> std::result::Result<Self, OpenError> {
        let (opening, its_settings) = (Arc::clone(&disk), settings.clone());
        let opened = open_by(path, move |path| recovery::open(path, now, opening, &its_settings)).await?;
        let store = Arc::new(Store::new(opened, settings, disk));
        // The time of an edit is that of the file, which other programs set.
        let is_saved = |version: &&Version| version.author != Author::file();
        let latest = store.view().and_then(|view| {
            let versions = view.state.flows().map(|stored| &stored.version);
            versions.filter(is_saved).map(|version| version.updated_at).max()
        });
        store.clock.start(now, latest);
        let (weak, failures) = (Arc::downgrade(&store), store.failures.clone());
        spawn(supervise("upkeep of the file", failures, move || upkeep::watch(weak.clone()).map(|()| End::Done)));
        Ok(Self(store))
    }

    /// Removes what the retention does not keep, without waiting until it is half of the history. For tests.
    #[cfg(feature = "testkit")]
    #[doc(hidden)]
    pub async fn apply_retention(&self) -> Result<()> {
        let store = Arc::clone(&self.0);
        let apply = move || {
            upkeep::apply_retention(&store).map_err(|error| crate::repository::RepositoryError::Failed(Box::new(error)))
        };
        blocking(apply).await
    }

    async fn list_as<T: Send + 'static>(&self, query: &ListQuery, show: fn(&Stored<Flow>) -> T) -> Result<Page<T>> {
        let query = query.clone();
        // Containment reads every document, which takes too long for a thread of the runtime.
        self.read(move |view| Ok(listing::list(view.state.flows(), &query)?.map(show))).await
    }

    async fn read<T: Send + 'static>(&self, work: impl FnOnce(&View) -> Result<T> + Send + 'static) -> Result<T> {
        let view = self.0.open_view()?;
        blocking(move || work(&view)).await
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

    async fn apply(&self, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
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
            Ok(view) => history::stream(view.log.clone()),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        self.read(|view| view.log.deleted(view.state.deleted())).await
    }

    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>> {
        self.read(move |view| view.log.changes(&view.state, since, limit, |flow| flow)).await
    }

    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>> {
        self.read(move |view| view.log.changes(&view.state, since, limit, |flow| flow.head().clone())).await
    }

    async fn changed(&self, after: FeedCursor) {
        self.0.changed(after).await;
    }

    async fn health(&self) -> Health {
        let status = match self.0.open_view() {
            // Reads work, but the process cannot save anything.
            Ok(_) => self.0.faults.first(Topic::Location).map_or(Status::Ready, Status::Unavailable),
            Err(error) => Status::Unavailable(error.to_string()),
        };
        let location = self.0.path.display().to_string();
        let mut faults = self.0.faults.all();
        faults.extend(self.0.clock.fault());
        faults.extend(self.0.failures.faults());
        Health { kind: "json", location, status, for_the_last: self.0.since(), read_only: self.0.read_only, faults }
    }

    fn measurements(&self) -> Vec<Measurement> {
        self.0.measurements()
    }

    /// Writes the file if it is not up to date.
    async fn close(&self) -> Result<()> {
        let store = Arc::clone(&self.0);
        blocking(move || upkeep::close(&store)).await
    }
}

/// Runs `open` on a thread for blocking work.
async fn open_by(
    path: &Path,
    open: impl FnOnce(&Path) -> std::result::Result<Opened, OpenError> + Send + 'static,
) -> std::result::Result<Opened, OpenError> {
    let location = path.display().to_string();
    let path = path.to_owned();
    spawn_blocking(move || open(&path)).await.unwrap_or_else(|error| {
        Err(OpenError {
            location,
            problem: format!("reading the file was aborted: {error}"),
            remedy: "Try again. If the error occurs again, report it.".into(),
        })
    })
}
