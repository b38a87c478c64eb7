//! Checks connections out of the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgListener;
use tokio::time::sleep;

use super::checkout::{Connection, Permit};
use super::hooks;
use super::idle::TrackedConnection;
use super::pool::{ACQUIRE_TIMEOUT, MAX_CONNECTIONS, Pool};
use crate::postgres::error::{Error, of_read, unavailable};
use crate::repository::{RepositoryError, Result};

impl Pool {
    /// Returns a connection, or the reason why there is none: an outage, or all connections are in use.
    pub(crate) async fn acquire(&self) -> Result<Connection> {
        let _waiting = WaitingCaller::count_in(&self.waiting);
        let started_at = Instant::now();
        let permit = self.permit(started_at).await?;
        let reused = match self.idle.pop() {
            Some(connection) if connection.is_fresh() => Some(connection),
            Some(connection) => self.check(connection).await?,
            None => None,
        };
        let connection = match reused {
            Some(connection) => connection,
            None => TrackedConnection::new(self.connect(started_at).await?),
        };
        Ok(Connection::new(connection, &self.idle, permit, self.servers.is_behind_pooler()))
    }

    /// Returns a connection that receives notifications. It counts as one of the five until its permit drops.
    pub(crate) async fn listener(&self) -> Result<(PgListener, Permit)> {
        // Opens a connection or returns the reason why that fails. sqlx then takes a connection from its own pool.
        drop(self.acquire().await?);
        let permit = self.permit(Instant::now()).await?;
        drop(self.idle.pop());
        let mut listener = PgListener::connect_with(&self.sqlx).await.map_err(Error::from)?;
        listener.eager_reconnect(false);
        Ok((listener, permit))
    }

    /// Waits for a permit, in the order of the callers.
    async fn permit(&self, started_at: Instant) -> Result<Permit> {
        if let Some(reason) = self.breaker.reason() {
            return Err(unavailable(reason));
        }
        let permits = Arc::clone(&self.permits);
        tokio::select! {
            permit = permits.acquire_owned() => permit.map_err(|_| unavailable("the instance is shutting down")),
            () = sleep(ACQUIRE_TIMEOUT) => Err(self.acquire_error(started_at).await),
            reason = self.breaker.until_open() => Err(unavailable(reason)),
        }
    }

    /// Returns the connection if it passes the check, else closes it.
    async fn check(&self, mut tracked: TrackedConnection) -> Result<Option<TrackedConnection>> {
        let (target, is_behind_pooler) = (self.servers.target, self.servers.is_behind_pooler());
        let checked = tokio::select! {
            checked = hooks::check(&mut tracked.connection, target, is_behind_pooler) => checked,
            reason = self.breaker.until_open() => return Err(unavailable(reason)),
        };
        if checked.is_err() {
            tracked.close_now();
            return Ok(None);
        }
        tracked.mark_checked();
        Ok(Some(tracked))
    }

    /// Takes a connection from sqlx's pool, which opens one if it has none. A server under load may take long for that. It
    /// is an outage only if the server does not answer probes in the meantime.
    async fn connect(&self, started_at: Instant) -> Result<PoolConnection<Postgres>> {
        let acquired = tokio::select! {
            acquired = self.sqlx.acquire() => acquired,
            // The server has received no statement yet.
            error = self.until_unresponsive() => return Err(of_read(error)),
            reason = self.breaker.until_open() => return Err(unavailable(reason)),
        };
        match acquired {
            Ok(connection) => Ok(connection),
            Err(sqlx::Error::PoolTimedOut) => Err(self.acquire_error(started_at).await),
            Err(error) => Err(match RepositoryError::from(Error::from(error)) {
                RepositoryError::Unavailable { reason, .. } if !self.sqlx.is_closed() => self.open_breaker(reason),
                RepositoryError::Unavailable { reason, .. } => unavailable(reason),
                other => other,
            }),
        }
    }

    /// Returns why no connection was available in time. Opens the breaker unless the reason is that calls use all of
    /// them.
    async fn acquire_error(&self, started_at: Instant) -> RepositoryError {
        let is_exhausted = self.sqlx.size() >= MAX_CONNECTIONS || self.was_answered_since(started_at);
        match self.unreachable_since(started_at).await {
            None if is_exhausted => RepositoryError::Busy(format!("all {MAX_CONNECTIONS} connections are in use")),
            None => self.open_breaker(format!("no connection within {} s", started_at.elapsed().as_secs())),
            Some(reason) => self.open_breaker(reason),
        }
    }
}

/// Counts a caller that waits for a connection or for its turn to write, until the caller stops waiting.
pub(super) struct WaitingCaller<'a>(&'a AtomicU32);

impl<'a> WaitingCaller<'a> {
    pub(super) fn count_in(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for WaitingCaller<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
