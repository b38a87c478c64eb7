//! The connections: at most five, never handed out inside somebody else's transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPoolOptions;
use sqlx::{ConnectOptions, PgConnection, PgPool, Postgres};
use tracing::log::LevelFilter;

use super::DatabaseUrl;
use super::breaker::Breaker;
use super::error::{self, Error, unavailable};
use crate::repository::{RepositoryError, Result};

/// All that one instance may hold, whatever for.
pub(super) const MAX_CONNECTIONS: u32 = 5;
/// How long a caller waits for a free connection, or for a new one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the return of a database is looked for.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// A pool that knows whether its database is there.
#[derive(Debug)]
pub(super) struct Pool {
    pool: PgPool,
    breaker: Breaker,
    in_use: AtomicU32,
}

impl Pool {
    /// A pool that connects when it is first used.
    pub(super) fn new(url: &DatabaseUrl) -> Arc<Self> {
        let options = url.options().clone().log_slow_statements(LevelFilter::Warn, Duration::from_secs(1));
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(|connection, _| prepare_session(connection).boxed())
            // Instead of the ping, at the same price; see there.
            .test_before_acquire(false)
            .before_acquire(|connection, _| leave_no_transaction(connection).boxed())
            .connect_lazy_with(options.log_statements(LevelFilter::Off));
        Arc::new(Self { pool, breaker: Breaker::new(), in_use: AtomicU32::new(0) })
    }

    /// Runs a statement that can be run twice.
    ///
    /// A connection whose cached plan no longer fits the table is closed, and the statement run once more on another.
    pub(super) async fn read<T>(
        self: &Arc<Self>,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync,
    ) -> Result<T> {
        match self.run(&statement).await {
            Err(error) if error.is_stale_plan() => Ok(self.run(&statement).await?),
            result => Ok(result?),
        }
    }

    /// Runs a statement once, and does not give its connection back when its plans are stale.
    pub(super) async fn run<T>(
        self: &Arc<Self>,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync,
    ) -> error::Result<T> {
        let mut connection = self.acquire().await?;
        let result = statement(&mut connection.inner).await;
        if result.as_ref().is_err_and(Error::is_stale_plan) {
            connection.inner.close_on_drop();
        }
        result
    }

    /// A connection, or the reason why there is none: the database is away, or we have all connections in use.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Connection> {
        if let Some(reason) = self.breaker.reason() {
            return Err(unavailable(reason));
        }
        match self.pool.acquire().await {
            Ok(inner) => {
                self.in_use.fetch_add(1, Ordering::Relaxed);
                Ok(Connection { inner, pool: Arc::clone(self) })
            }
            Err(sqlx::Error::PoolTimedOut) if self.in_use.load(Ordering::Relaxed) >= MAX_CONNECTIONS => {
                Err(RepositoryError::Busy(format!("all {MAX_CONNECTIONS} connections are in use")))
            }
            Err(sqlx::Error::PoolTimedOut) => {
                let reason = format!("no connection within {} s", ACQUIRE_TIMEOUT.as_secs());
                self.database_is_away(&reason);
                Err(unavailable(reason))
            }
            Err(error) => {
                let error = RepositoryError::from(Error::from(error));
                if error.is_retryable() && !self.pool.is_closed() {
                    self.database_is_away(&error.to_string());
                }
                Err(error)
            }
        }
    }

    /// For how long the database has been there, or away.
    pub(super) fn since(&self) -> Duration {
        self.breaker.since()
    }

    /// Waits for connections in use and closes all.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Lets calls fail at once until a probe in the background gets a connection.
    fn database_is_away(self: &Arc<Self>, reason: &str) {
        if !self.breaker.open(reason) {
            return;
        }
        tracing::warn!(reason, "the database is away");
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            while !pool.pool.is_closed() {
                tokio::time::sleep(PROBE_INTERVAL).await;
                if pool.pool.acquire().await.is_ok() {
                    tracing::info!("the database is back");
                    return pool.breaker.close();
                }
            }
        });
    }
}

/// A connection in use.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) inner: PoolConnection<Postgres>,
    pool: Arc<Pool>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.pool.in_use.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Plans are made for the values at hand; the list statement depends on it (list.rs).
/// Source: <https://www.postgresql.org/docs/current/runtime-config-query.html#GUC-PLAN-CACHE-MODE>.
async fn prepare_session(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT set_config('plan_cache_mode', 'force_custom_plan', FALSE)").fetch_one(connection).await?;
    Ok(())
}

/// Fails, and so has the connection closed, when it is dead or still inside a transaction whose `BEGIN` was sent by
/// somebody who went away. A bare `ROLLBACK` would do as well, but outside a transaction it writes a warning into the
/// server's log each time; a block that rolls back is silent there, and an error inside a transaction.
async fn leave_no_transaction(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query!("DO $$ BEGIN ROLLBACK; END $$").execute(connection).await?;
    Ok(true)
}
