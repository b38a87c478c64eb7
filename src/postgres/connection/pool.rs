//! [`Pool`]: at most five connections. A call never runs inside another caller's transaction, and never waits for a
//! connection during an outage.

use std::iter;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::breaker::Breaker;
use super::hooks::{log_slow_statements, with_release_check, with_session_hooks};
use super::idle::IdleConnections;
use super::ping::Probe;
use super::servers::Servers;

/// Number of connections that one instance may hold for all purposes together.
pub(crate) const MAX_CONNECTIONS: u32 = 5;
/// Number of connections that writes may hold together. A write may wait for a lock of another session, for as long as
/// the lock timeout allows. With this limit, one connection listens for notifications, and one always serves reads.
pub(crate) const MAX_WRITES: u32 = 3;
/// Number of connections for writes that may wait for a locked row. So one of the connections for writes remains for the
/// group commit, which skips locked rows, and for writes that abort at the first locked row.
const MAX_PATIENT_WRITES: u32 = MAX_WRITES - 1;
/// Time limit for a free connection. Opening one may take the `connect_timeout` of the URL.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long [`Pool::close`] waits for running calls.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A pool of connections with a circuit breaker.
///
/// The behaviour is in four more files: `acquire.rs` checks connections out, `outage.rs` detects outages, `run.rs` runs
/// statements, and `writes.rs` limits the connections of writes.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) sqlx: PgPool,
    pub(super) idle: Arc<IdleConnections>,
    /// One permit per connection. The holder of a permit finds a connection in `idle`, or `sqlx` can open one.
    pub(super) permits: Arc<Semaphore>,
    /// The limits of writes. A write acquires its permit before the one for its connection: a write that waits for its
    /// turn holds no connection.
    pub(super) writes: Semaphore,
    pub(super) patient_writes: Semaphore,
    pub(crate) servers: Servers,
    pub(crate) breaker: Arc<Breaker>,
    /// Number of callers that wait for a connection, or for their turn to write.
    pub(super) waiting: AtomicU32,
    /// Number of callers that wait for their turn to write.
    pub(super) waiting_writes: AtomicU32,
    /// Notified by errors that suggest that the schema is damaged.
    pub(crate) doubts: Notify,
    /// Whether the schema was damaged in a way that the history does not contain all changes since.
    pub(crate) hidden_changes: AtomicBool,
    last_answer_at: Mutex<Instant>,
    pub(super) last_probe: tokio::sync::Mutex<Option<Probe>>,
}

impl Pool {
    /// Creates a pool that connects on first use: to `server`, or, if the server is not known yet, after
    /// [`use_server`](Self::use_server). The breaker is open if there is an outage.
    pub(crate) fn new(servers: Servers, server: Option<PgConnectOptions>, outage: Option<String>) -> Self {
        let breaker = Arc::new(Breaker::new(outage));
        let mut options =
            PgPoolOptions::new().max_connections(MAX_CONNECTIONS).acquire_timeout(servers.connect_timeout());
        options = with_release_check(options, &breaker);
        // Behind a pooler, other clients would get the settings of the session.
        if !servers.is_behind_pooler() {
            options = with_session_hooks(options, servers.target, &breaker);
        }
        let sqlx = options.connect_lazy_with(log_slow_statements(server.unwrap_or_else(|| servers.first().clone())));
        Self {
            sqlx,
            idle: Arc::default(),
            permits: Arc::new(Semaphore::new(MAX_CONNECTIONS as usize)),
            writes: Semaphore::new(MAX_WRITES as usize),
            patient_writes: Semaphore::new(MAX_PATIENT_WRITES as usize),
            servers,
            breaker,
            waiting: 0.into(),
            waiting_writes: 0.into(),
            doubts: Notify::new(),
            hidden_changes: false.into(),
            last_answer_at: Instant::now().into(),
            last_probe: tokio::sync::Mutex::default(),
        }
    }

    /// Closes the connections that no call uses.
    pub(super) fn close_idle(&self) {
        self.idle.close_idle();
        for connection in iter::from_fn(|| self.sqlx.try_acquire()) {
            drop(connection.detach());
        }
    }

    /// Whether the pool may open another connection.
    pub(super) fn has_capacity(&self) -> bool {
        self.sqlx.size() < MAX_CONNECTIONS
    }

    /// Connects to this server from now on.
    pub(super) fn use_server(&self, server: PgConnectOptions) {
        self.sqlx.set_connect_options(log_slow_statements(server));
        self.idle.close_idle();
    }

    /// Returns how long the database has been available or unavailable.
    pub(crate) fn state_age(&self) -> Duration {
        self.breaker.state_age()
    }

    pub(super) fn record_answer(&self) {
        *self.last_answer_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn was_answered_since(&self, time: Instant) -> bool {
        *self.last_answer_at.lock().unwrap_or_else(PoisonError::into_inner) > time
    }

    /// Waits for running calls and closes all connections. Does not wait for a server that never answers.
    pub(crate) async fn close(&self) {
        self.permits.close();
        self.writes.close();
        self.patient_writes.close();
        self.idle.close();
        let _ = timeout(CLOSE_TIMEOUT, self.sqlx.close()).await;
    }
}
