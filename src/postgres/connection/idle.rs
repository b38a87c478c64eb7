//! Idle connections that go from one call to the next without a round trip.
//!
//! sqlx's pool asks the server once before and once after each use, so a call costs three round trips. With five
//! callers on one machine, that leaves 40 % of the throughput of the statements alone (benches/limits). A connection
//! whose call has just been answered needs neither check, so it waits here for the next call. A connection that waited
//! longer is checked first. A connection whose call was cancelled goes to sqlx's pool, which checks it as well.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

/// How long the state that a call left behind is trusted without a check.
const FRESH_FOR: Duration = Duration::from_millis(100);
/// How long a check is trusted: whether the server accepts writes can change.
const CHECK_VALID_FOR: Duration = Duration::from_secs(1);
/// After this time the connection goes back to sqlx's pool once, which closes connections that are too old.
const RETURN_AFTER: Duration = Duration::from_secs(60);

/// A connection with the times that decide whether it must be checked before use.
#[derive(Debug)]
pub(super) struct TrackedConnection {
    pub(super) connection: PoolConnection<Postgres>,
    /// When it came out of sqlx's pool.
    acquired_at: Instant,
    checked_at: Instant,
    /// When its last call ended.
    released_at: Instant,
}

impl TrackedConnection {
    /// Tracks a connection that sqlx's pool has just checked.
    pub(super) fn new(connection: PoolConnection<Postgres>) -> Self {
        let now = Instant::now();
        Self { connection, acquired_at: now, checked_at: now, released_at: now }
    }

    /// Whether the connection can be used without a check.
    pub(super) fn is_fresh(&self) -> bool {
        self.released_at.elapsed() < FRESH_FOR && self.checked_at.elapsed() < CHECK_VALID_FOR
    }

    pub(super) fn mark_checked(&mut self) {
        self.checked_at = Instant::now();
    }

    /// Closes the connection without a goodbye to the server, which may take forever if the server is unreachable.
    pub(super) fn close_now(self) {
        drop(self.connection.detach());
    }
}

/// The connections that no call uses. The one that was used last comes first.
#[derive(Debug, Default)]
pub(super) struct IdleConnections(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    connections: Vec<TrackedConnection>,
    is_closed: bool,
}

impl IdleConnections {
    pub(super) fn pop(&self) -> Option<TrackedConnection> {
        self.idle().connections.pop()
    }

    /// Stores a connection whose call has ended. A connection that is not stored drops and so returns to sqlx's pool.
    pub(super) fn push(self: &Arc<Self>, mut connection: TrackedConnection) {
        connection.released_at = Instant::now();
        let mut idle = self.idle();
        if !idle.is_closed && connection.acquired_at.elapsed() < RETURN_AFTER {
            idle.connections.push(connection);
        }
    }

    /// Closes all idle connections. Later ones are stored again.
    pub(super) fn close_idle(&self) {
        self.take_all().into_iter().for_each(TrackedConnection::close_now);
    }

    /// Returns all connections, and later ones, to sqlx's pool.
    pub(super) fn close(&self) {
        self.idle().is_closed = true;
        drop(self.take_all());
    }

    pub(super) fn len(&self) -> usize {
        self.idle().connections.len()
    }

    fn take_all(&self) -> Vec<TrackedConnection> {
        mem::take(&mut self.idle().connections)
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the connections. Returning them requires a Tokio runtime, which may already have shut down.
impl Drop for IdleConnections {
    fn drop(&mut self) {
        self.close_idle();
    }
}
