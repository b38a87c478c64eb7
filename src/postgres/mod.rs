//! The PostgreSQL backend.
//!
//! One method of the trait is one statement, in a file of its own name; every statement is a macro that the compiler
//! checks against the committed `.sqlx`. The database does what must hold for every writer (migrations/): columns agree
//! with the document, revisions count, names fold. What is *not* here: SQL put together from strings, and transactions
//! that a caller could hold open.

mod apply;
mod breaker;
mod error;
mod get;
mod list;
mod migrate;
mod pool;
mod row;
mod snapshot;
mod url;

pub use url::DatabaseUrl;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::stream::BoxStream;

use crate::flow::{Flow, FlowId, Head};
use crate::repository::{
    Applied, Change, Feed, FeedCursor, FlowRepository, Health, ListQuery, OpenError, Page, Record, RepositoryError,
    Result, Revision, Since, Stamp, Status, Stored,
};
use pool::Pool;

/// How long a question for the health may take: a little longer than it takes to find that no connection is to be had.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// Flows in a PostgreSQL database: at most five connections, migrations included.
#[derive(Debug)]
pub struct PostgresRepository {
    pool: Arc<Pool>,
    location: String,
}

impl PostgresRepository {
    /// Brings the schema up to date, on a connection that is closed before the pool opens, and opens the pool.
    ///
    /// # Errors
    /// [`OpenError`]: no answer, no access, a database that is not in UTF-8, a foreign table `flows`, a migration that
    /// failed. The database is then as it was.
    pub async fn open(url: &DatabaseUrl) -> std::result::Result<Self, OpenError> {
        migrate::run(url).await?;
        Ok(Self { pool: Pool::new(url), location: url.to_string() })
    }

    /// Puts every connection back while a transaction is open on it, as a cancelled `BEGIN` would. For tests: no call
    /// may ever work inside of it.
    #[cfg(feature = "testkit")]
    #[doc(hidden)]
    pub async fn leave_transactions_open(&self) -> Result<()> {
        let mut all = Vec::new();
        for _ in 0..pool::MAX_CONNECTIONS {
            let mut connection = self.pool.acquire().await?;
            get::begin(&mut connection.inner).await?;
            all.push(connection);
        }
        Ok(())
    }
}

#[async_trait]
impl FlowRepository for PostgresRepository {
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>> {
        self.pool.read(move |connection| get::one(connection, id).boxed()).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>> {
        let query = query.clone();
        self.pool.read(move |connection| list::flows(connection, query.clone()).boxed()).await
    }

    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>> {
        let query = query.clone();
        self.pool.read(move |connection| list::summaries(connection, query.clone()).boxed()).await
    }

    /// In a task of its own: a caller who goes away must not cancel a transaction that has begun, or its connection
    /// would return to the pool inside of it and the next user's work would be rolled back with it.
    async fn apply(&self, changes: Vec<Change>, stamp: Stamp) -> Result<Vec<Applied>> {
        let pool = Arc::clone(&self.pool);
        let task = tokio::spawn(async move { apply::apply(&pool, changes, stamp).await });
        task.await.map_err(|panicked| RepositoryError::Failed(panicked.into()))?
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>> {
        snapshot::stream(Arc::clone(&self.pool))
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
        let asking = self.pool.read(|connection| get::nothing(connection).boxed());
        let status = match tokio::time::timeout(HEALTH_TIMEOUT, asking).await {
            Ok(Ok(())) => Status::Ready,
            Ok(Err(error)) => Status::Unavailable(error.to_string()),
            Err(_) => Status::Unavailable(format!("no answer within {} s", HEALTH_TIMEOUT.as_secs())),
        };
        let for_the_last = self.pool.since();
        Health { kind: "postgresql", location: self.location.clone(), status, for_the_last, faults: Vec::new() }
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
