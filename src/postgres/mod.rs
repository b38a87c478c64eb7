//! The PostgreSQL backend.
//!
//! One method of the trait is one statement, in a file of its own name; every statement is a macro that the compiler
//! checks against the committed `.sqlx`. The database does what must hold for every writer (migrations/): columns agree
//! with the document, revisions count, names fold. What is *not* here: SQL put together from strings, and transactions
//! that a caller could hold open.

mod adopt;
mod apply;
mod background;
mod breaker;
mod changes;
mod connection;
mod error;
mod get;
mod history;
mod indexes;
mod lag;
mod list;
mod migrate;
mod migrations;
mod name_parts;
mod notifications;
mod open_error;
mod pending;
mod ping;
mod pool;
mod ready;
mod record;
mod recovery;
mod retention;
mod row;
mod saves;
mod servers;
mod session;
mod settings;
mod snapshot;
mod start;
mod tls;
mod together;
mod url;

pub use migrations::{Migration, MigrationState, MigrationStatus, migrations};
pub use settings::Settings;
pub use start::migrate;
pub use url::DatabaseUrl;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::stream::BoxStream;

use crate::flow::{Flow, FlowId, Head};
use crate::repository::{
    Applied, Change, ChangeList, Feed, FeedCursor, FeedLag, FlowRepository, Health, ListQuery, Measurement, OpenError,
    Page, Record, RepositoryError, Result, Revision, Since, Stamp, Status, Stored,
};
use background::Background;
use notifications::Notifications;
use pool::Pool;
use saves::Saves;
use start::{Start, Started};
use together::Save;

/// How long a question for the health may take: a little longer than it takes to find that no connection is to be had.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// Flows in a PostgreSQL database: at most five connections, migrations included.
#[derive(Debug)]
pub struct PostgresRepository {
    pool: Arc<Pool>,
    saves: Arc<Saves>,
    location: String,
    read_only: bool,
    notifications: Arc<Notifications>,
    background: Background,
    #[cfg(feature = "testkit")]
    retention: crate::repository::Retention,
}

impl PostgresRepository {
    /// Looks whether the schema is up to date, brings it there if not, on a connection that is closed before the pool
    /// opens, and opens the pool.
    ///
    /// # Errors
    /// [`OpenError`]: no answer, no access, a database that is not in UTF-8, a foreign table `flows`, a migration that
    /// failed. The database is then as it was.
    pub async fn open(url: &DatabaseUrl) -> std::result::Result<Self, OpenError> {
        Self::open_with(url, Settings::default()).await
    }

    /// As [`open`](Self::open), with other settings than the default. Read-only, it leaves the schema as it is, which then
    /// has to be as new as this program.
    ///
    /// # Errors
    /// As [`open`](Self::open), but where it [opens while away](Settings::opens_while_away) not for want of an answer.
    pub async fn open_with(url: &DatabaseUrl, settings: Settings) -> std::result::Result<Self, OpenError> {
        let read_only = settings.read_only;
        let start = Start::new(url, &settings);
        let (server, away) = match start.run(start.servers.connect_timeout()).await {
            Ok(Started { server, .. }) => (Some(server), None),
            Err(failure) if settings.opens_while_away && failure.is_absence() => (None, Some(failure.to_string())),
            Err(failure) => return Err(failure.into()),
        };
        let pool = Arc::new(Pool::new(start.servers.clone(), server, away));
        let notifications = Arc::<Notifications>::default();
        let background = Background::default();
        background.spawn(recovery::watch(Arc::clone(&pool), start));
        // Who only reads may be on a standby, which neither deletes nor takes part in notifications.
        if !read_only {
            background.spawn(retention::keep(Arc::clone(&pool), settings.retention));
            background.spawn(Arc::clone(&notifications).tell(Arc::clone(&pool)));
            background.spawn(pending::keep_short(Arc::clone(&pool), notifications.made()));
        }
        // A pooler that hands out a connection for each transaction lets nobody listen.
        if !read_only && !pool.servers.is_pooled() {
            background.spawn(name_parts::index(Arc::clone(&pool)));
            background.spawn(Arc::clone(&notifications).listen(Arc::clone(&pool)));
        }
        let saves = Arc::new(Saves::new(Arc::clone(&pool), Arc::clone(&notifications)));
        Ok(Self {
            pool,
            saves,
            location: url.to_string(),
            read_only,
            notifications,
            background,
            #[cfg(feature = "testkit")]
            retention: settings.retention,
        })
    }

    /// Puts every connection back while a transaction is open on it, as a cancelled `BEGIN` would. For tests: no call
    /// may ever work inside of it.
    #[cfg(feature = "testkit")]
    #[doc(hidden)]
    pub async fn leave_transactions_open(&self) -> Result<()> {
        let mut all = Vec::new();
        for _ in 0..pool::MAX_CONNECTIONS {
            let mut connection = self.pool.acquire().await?;
            get::begin(&mut connection).await?;
            all.push(connection);
        }
        Ok(())
    }

    /// Lets go of what the retention does not ask for, at once instead of in a while. For tests.
    #[cfg(feature = "testkit")]
    #[doc(hidden)]
    pub async fn apply_retention(&self) -> Result<()> {
        retention::round(&self.pool, self.retention, None, retention::Pace::AtOnce).await.map(drop)
    }
}

#[async_trait]
impl FlowRepository for PostgresRepository {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        self.pool.read(move |connection| get::one(connection, id).boxed()).await
    }

    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
        snapshot::some(Arc::clone(&self.pool), ids)
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        let query = query.clone();
        self.pool.read(move |connection| list::flows(connection, query.clone()).boxed()).await
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        let query = query.clone();
        self.pool.read(move |connection| list::summaries(connection, query.clone()).boxed()).await
    }

    async fn apply(&self, changes: Vec<Change>, stamp: Stamp) -> Result<Vec<Applied>> {
        if let [Change::Put(flow, precondition)] = &changes[..]
            && !self.read_only
        {
            let (flow, precondition) = (flow.clone(), *precondition);
            return self.saves.make(Save { flow, precondition, stamp }).await;
        }
        self.apply_all(Arc::new(changes), stamp).await
    }

    /// In a task of its own: a caller who goes away must not cancel a transaction that has begun, or its connection
    /// would return to the pool inside of it and the next user's work would be rolled back with it.
    async fn apply_all(&self, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        if self.read_only {
            return Err(RepositoryError::ReadOnlyInstance);
        }
        let (pool, notifications) = (Arc::clone(&self.pool), Arc::clone(&self.notifications));
        let task = tokio::spawn(async move {
            let applied = apply::apply(&pool, changes, stamp).await;
            notifications.changes_made();
            applied
        });
        task.await.map_err(|panicked| RepositoryError::Failed(panicked.into()))?
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        snapshot::all(Arc::clone(&self.pool))
    }

    async fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>> {
        self.pool.read(move |connection| history::history(connection, id, before, limit).boxed()).await
    }

    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>> {
        self.pool.read(move |connection| history::revision(connection, id, revision).boxed()).await
    }

    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>> {
        snapshot::histories(Arc::clone(&self.pool))
    }

    async fn deleted(&self) -> Result<Vec<Record<Head>>> {
        self.pool.read(|connection| history::deleted(connection).boxed()).await
    }

    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>> {
        self.pool.read(move |connection| changes::changes(connection, since, limit).boxed()).await
    }

    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>> {
        self.pool.read(move |connection| changes::summaries(connection, since, limit).boxed()).await
    }

    async fn changed(&self, after: FeedCursor) {
        changes::changed(&self.pool, self.notifications.wait(), after).await;
    }

    async fn health(&self) -> Health {
        let asking = self.pool.read(|connection| get::nothing(connection).boxed());
        let status = match tokio::time::timeout(HEALTH_TIMEOUT, asking).await {
            Ok(Ok(())) => Status::Ready,
            Ok(Err(error)) => Status::Unavailable(error.to_string()),
            Err(_) => Status::Unavailable(format!("no answer within {} s", HEALTH_TIMEOUT.as_secs())),
        };
        Health {
            kind: "postgresql",
            location: self.location.clone(),
            status,
            for_the_last: self.pool.since(),
            read_only: self.read_only,
            faults: Vec::new(),
        }
    }

    fn measurements(&self) -> Vec<Measurement> {
        self.pool.measurements()
    }

    async fn feed_lag(&self) -> Result<FeedLag> {
        self.pool.read(|connection| lag::feed_lag(connection).boxed()).await
    }

    async fn close(&self) {
        self.background.end().await;
        self.pool.close().await;
    }
}
