//! [`PostgresRepository`]: each method of the trait calls the statement of the same name.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::stream::BoxStream;

use super::connection::{DatabaseUrl, Pool, probe_during_outages};
use super::flows::{self, GroupCommit, Save};
use super::history::{self, Notifications, Pace};
use super::schema::{Started, Startup};
use super::settings::Settings;
use super::watch::{find_faults, watch_schema};
use crate::background::{Background, End};
use crate::flow::{Flow, FlowId, Head};
use crate::repository::{
    Applied, Change, ChangeList, Feed, FeedCursor, FeedLag, FlowRepository, Health, ListQuery, Measurement, OpenError,
    Page, Record, RepositoryError, Result, Retention, Revision, Since, Stamp, Status, Stored,
};
use crate::retention_clock::RetentionClock;

/// Time limit for a health check: a little longer than the time limit for a connection.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// The usual size of a document. A list of changes may be on a disk, so its documents are not measured.
const USUAL_BYTES: usize = 2_000;

/// Flows in a PostgreSQL database. Uses at most five connections, migrations included.
#[derive(Debug)]
pub struct PostgresRepository {
    pub(super) pool: Arc<Pool>,
    group_commit: Arc<GroupCommit>,
    location: String,
    read_only: bool,
    retention: Retention,
    notifications: Arc<Notifications>,
    clock: Arc<RetentionClock>,
    background: Background,
}

impl PostgresRepository {
    /// Opens the database with the default settings: migrates the schema if necessary, on a connection that is closed
    /// before the pool opens.
    ///
    /// # Errors
    /// [`OpenError`] if no server is reachable, the user has no access, the encoding is not UTF-8, a foreign table
    /// `flows` exists, a migration fails, or the schema is damaged. The database is then unchanged.
    pub async fn open(url: &DatabaseUrl) -> std::result::Result<Self, OpenError> {
        Self::open_with(url, Settings::default()).await
    }

    /// Opens the database with these settings. With [`Settings::read_only`], the schema must be up to date already.
    ///
    /// # Errors
    /// As [`open`](Self::open). With [`Settings::open_unreachable`], an unreachable server is not an error.
    pub async fn open_with(url: &DatabaseUrl, settings: Settings) -> std::result::Result<Self, OpenError> {
        let (read_only, retention) = (settings.read_only, settings.retention);
        let startup = Startup::new(url, &settings);
        let (server, outage) = match startup.run(startup.servers.connect_timeout()).await {
            Ok(Started { server, .. }) => (Some(server), None),
            Err(failure) if settings.open_unreachable && failure.is_outage() => (None, Some(failure.to_string())),
            Err(failure) => return Err(failure.into()),
        };
        let pool = Arc::new(Pool::new(startup.servers.clone(), server, outage));
        let notifications = Arc::<Notifications>::default();
        let clock = Arc::<RetentionClock>::default();
        let background = start_tasks(&pool, startup, &notifications, (!read_only).then_some((retention, &clock)));
        let group_commit = Arc::new(GroupCommit::new(Arc::clone(&pool), Arc::clone(&notifications)));
        let location = url.to_string();
        Ok(Self { pool, group_commit, location, read_only, retention, notifications, clock, background })
    }

    /// Deletes expired changes at once, without waiting for the background task. For tests.
    #[doc(hidden)]
    pub async fn apply_retention(&self) -> Result<()> {
        history::Round::new().delete_expired(&self.pool, self.retention, &self.clock, Pace::Immediate).await
    }
}

/// Starts the background tasks. A read-only instance has no retention: it may use a standby, which can neither delete nor
/// notify.
fn start_tasks(
    pool: &Arc<Pool>,
    startup: Startup,
    notifications: &Arc<Notifications>,
    retention: Option<(Retention, &Arc<RetentionClock>)>,
) -> Background {
    let background = Background::default();
    let (of_probe, startup) = (Arc::clone(pool), Arc::new(startup));
    background
        .spawn("probe of the database", move || probe_during_outages(Arc::clone(&of_probe), Arc::clone(&startup)));
    let (of_watch, read_only) = (Arc::clone(pool), retention.is_none());
    background.spawn("verification of the schema", move || watch_schema(Arc::clone(&of_watch), read_only));
    let Some((retention, clock)) = retention else { return background };
    let (of_retention, clock) = (Arc::clone(pool), Arc::clone(clock));
    background.spawn("retention", move || {
        history::delete_expired_periodically(Arc::clone(&of_retention), retention, Arc::clone(&clock))
    });
    let (of_sender, sender) = (Arc::clone(pool), Arc::clone(notifications));
    background.spawn("notifications", move || Arc::clone(&sender).notify_others(Arc::clone(&of_sender)));
    let (of_lists, changes) = (Arc::clone(pool), notifications.local_changes());
    background.spawn("pending lists", move || flows::clean_pending_lists(Arc::clone(&of_lists), changes.clone()));
    // Both tasks need a session of their own, which a pooler per transaction does not provide.
    if !pool.servers.is_behind_pooler() {
        let of_index = Arc::clone(pool);
        background
            .spawn("trigram index", move || flows::build_trigram_index(Arc::clone(&of_index)).map(|()| End::Done));
        let (of_listener, listener) = (Arc::clone(pool), Arc::clone(notifications));
        background.spawn("listener", move || Arc::clone(&listener).listen(Arc::clone(&of_listener)));
    }
    background
}

#[async_trait]
impl FlowRepository for PostgresRepository {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        self.pool.read(move |connection| flows::get(connection, id).boxed()).await
    }

    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
        flows::get_each(Arc::clone(&self.pool), ids)
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        let query = query.clone();
        self.pool.read(move |connection| flows::list(connection, query.clone()).boxed()).await
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        let query = query.clone();
        self.pool.read(move |connection| flows::summaries(connection, query.clone()).boxed()).await
    }

    /// A list with a single save joins the group commit. Every other list runs in a task of its own: a caller that
    /// drops the future must not cancel an open transaction, because the next user of the connection would work inside
    /// it.
    async fn apply(&self, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        if self.read_only {
            return Err(RepositoryError::ReadOnlyInstance);
        }
        if let Some(Change::Put(flow, precondition)) = only_change(&changes).await? {
            return self.group_commit.save(Save { flow, precondition, stamp }).await;
        }
        let (pool, notifications) = (Arc::clone(&self.pool), Arc::clone(&self.notifications));
        let task = tokio::spawn(async move {
            let bytes = changes.len() * USUAL_BYTES;
            let applied = flows::apply(&pool, changes, stamp).await;
            notifications.announce_local_changes(bytes);
            applied
        });
        task.await.map_err(|panicked| RepositoryError::Failed(panicked.into()))?
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        flows::snapshot(Arc::clone(&self.pool))
    }

    async fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>> {
        self.pool.read(move |connection| history::history(connection, id, before, limit).boxed()).await
    }

    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>> {
        self.pool.read(move |connection| history::revision(connection, id, revision).boxed()).await
    }

    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>> {
        history::histories(Arc::clone(&self.pool))
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        self.pool.read(|connection| history::deleted(connection).boxed()).await
    }

    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>> {
        self.pool.read(move |connection| history::changes(connection, since, limit).boxed()).await
    }

    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>> {
        self.pool.read(move |connection| history::summaries(connection, since, limit).boxed()).await
    }

    async fn changed(&self, after: FeedCursor) {
        history::changed(&self.pool, self.notifications.wait(), after).await;
    }

    async fn health(&self) -> Health {
        let check = find_faults(&self.pool, self.read_only);
        let (status, mut faults) = match tokio::time::timeout(HEALTH_TIMEOUT, check).await {
            // The breaker is open if the schema is damaged.
            Ok(Ok(faults)) => (self.pool.breaker.reason().map_or(Status::Ready, Status::Unavailable), faults),
            Ok(Err(error)) => (Status::Unavailable(error.to_string()), Vec::new()),
            Err(_) => (Status::Unavailable(format!("no answer within {} s", HEALTH_TIMEOUT.as_secs())), Vec::new()),
        };
        faults.extend(self.clock.fault());
        faults.extend(self.background.faults());
        Health {
            kind: "postgresql",
            location: self.location.clone(),
            status,
            for_the_last: self.pool.state_age(),
            read_only: self.read_only,
            faults,
        }
    }

    fn measurements(&self) -> Vec<Measurement> {
        self.pool.measurements()
    }

    async fn feed_lag(&self) -> Result<FeedLag> {
        self.pool.read(|connection| history::feed_lag(connection).boxed()).await
    }

    async fn close(&self) -> Result<()> {
        self.background.shut_down().await;
        self.pool.close().await;
        Ok(())
    }
}

/// Returns the change of a list with a single change. A list that is not in memory may read it from a disk.
async fn only_change(changes: &Arc<dyn ChangeList>) -> Result<Option<Change>> {
    if changes.len() != 1 {
        return Ok(None);
    }
    let read = match changes.as_slice() {
        Some(changes) => return Ok(changes.first().cloned()),
        None => {
            let changes = Arc::clone(changes);
            tokio::task::spawn_blocking(move || changes.change(0)).await
        }
    };
    let read = read.map_err(|panicked| RepositoryError::Failed(panicked.into()))?;
    read.map(Some).map_err(|error| RepositoryError::Failed(Box::new(error)))
}
