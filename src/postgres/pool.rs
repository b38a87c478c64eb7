//! The connections: at most five, never handed out inside somebody else's transaction, and never waited for when the
//! database is away.

use std::iter;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::breaker::Breaker;
use super::connection::{self, Connection, Turn, quiet, with_sessions};
use super::error::{self, Error, unanswered, unavailable};
use super::ping::{self, ping};
use super::ready::{Known, Ready};
use super::servers::Servers;
use super::session;
use super::url::Wanted;
use crate::repository::{Measurement, RepositoryError, Result};

/// All that one instance may hold, whatever for.
pub(super) const MAX_CONNECTIONS: u32 = 5;
/// How long a caller waits for a free connection, or for a new one.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a call may take whose connection has died alone. A statement of a server that is there ends sooner
/// (session.rs); the many of a large import may need some minutes.
const LONGEST_CALL: Duration = Duration::from_secs(600);
/// How long calls that still run may take when the pool closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long answers may still come after the database was found to be away.
const LAST_WORD: Duration = Duration::from_secs(1);
/// When the server of a call that takes long is first asked whether it is still there.
const FIRST_PING: Duration = Duration::from_secs(1);

/// A pool that knows whether its database is there.
#[derive(Debug)]
pub(super) struct Pool {
    pool: PgPool,
    ready: Arc<Ready>,
    /// As many as there may be connections. Whoever holds one finds a connection in `ready`, or room in `pool`.
    turns: Arc<Semaphore>,
    pub(super) servers: Servers,
    pub(super) breaker: Arc<Breaker>,
    waiting: AtomicU32,
    /// When the last call was answered.
    answered: Mutex<Instant>,
}

impl Pool {
    /// A pool that connects when it is first used: to this server, or where it is not known yet, after
    /// [`use_server`](Self::use_server).
    pub(super) fn new(servers: Servers, server: Option<PgConnectOptions>, away: Option<String>) -> Self {
        let breaker = Arc::new(Breaker::new(away));
        let options = PgPoolOptions::new().max_connections(MAX_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
        // The settings of a session behind a pooler would be somebody else's.
        let options = if servers.is_pooled() { options } else { with_sessions(options, servers.wanted, &breaker) };
        let pool = options.connect_lazy_with(quiet(server.unwrap_or_else(|| servers.first().clone())));
        Self {
            pool,
            ready: Arc::default(),
            turns: Arc::new(Semaphore::new(MAX_CONNECTIONS as usize)),
            servers,
            breaker,
            waiting: 0.into(),
            answered: Instant::now().into(),
        }
    }

    /// Runs a statement that can be run twice.
    ///
    /// Once more when its connection was lost or had a plan that no longer fits the table, then on another one; and when a
    /// standby has cancelled it for what it had to replay.
    pub(super) async fn read<T>(
        &self,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync,
    ) -> Result<T> {
        match self.run(&statement).await {
            Err(error) if error.is_stale_plan() || error.is_lost_connection() || error.is_race() => {
                Ok(self.run(&statement).await?)
            }
            result => Ok(result?),
        }
    }

    /// Runs a statement once.
    pub(super) async fn run<T>(
        &self,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync,
    ) -> error::Result<T> {
        self.run_for(LONGEST_CALL, statement).await
    }

    /// Runs a statement once that takes as long as whoever reads its rows.
    pub(super) async fn stream<T>(
        &self,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync,
    ) -> error::Result<T> {
        self.run_for(Duration::MAX, statement).await
    }

    async fn run_for<T>(
        &self,
        time: Duration,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync,
    ) -> error::Result<T> {
        let mut connection = self.acquire().await?;
        let result = tokio::select! {
            result = self.call(&mut connection, &statement) => result,
            reason = self.silence() => Err(unanswered(reason).into()),
            reason = self.gone() => Err(unanswered(reason).into()),
            () = sleep(time) => Err(unanswered(format!("no answer within {} s", time.as_secs())).into()),
        };
        match &result {
            Err(error) if error.is_read_only_server() => {
                connection.discard();
                self.leave(error);
            }
            Err(error) if error.is_stale_plan() || error.is_lost_connection() => connection.discard(),
            Ok(_) | Err(_) => {
                connection.keep();
                *lock(&self.answered) = Instant::now();
            }
        }
        result
    }

    async fn call<T>(
        &self,
        connection: &mut PgConnection,
        statement: &(impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync),
    ) -> error::Result<T> {
        if self.servers.is_pooled() {
            session::in_transaction(connection, statement).await
        } else {
            statement(connection).await
        }
    }

    /// A connection, or the reason why there is none: the database is away, or all connections are in use.
    pub(super) async fn acquire(&self) -> Result<Connection> {
        let _waiting = Waiting::on(&self.waiting);
        let begin = Instant::now();
        let turn = self.turn(begin).await?;
        let is_pooled = self.servers.is_pooled();
        let known = match self.ready.take() {
            Some(known) if known.is_fresh() => Some(known),
            Some(known) => self.look(known).await?,
            None => None,
        };
        let known = match known {
            Some(known) => known,
            None => Known::new(self.connect(begin).await?),
        };
        Ok(Connection::new(known, &self.ready, turn, is_pooled))
    }

    /// Waits for those who came before.
    async fn turn(&self, begin: Instant) -> Result<Turn> {
        if let Some(reason) = self.breaker.reason() {
            return Err(unavailable(reason));
        }
        let turns = Arc::clone(&self.turns);
        tokio::select! {
            turn = turns.acquire_owned() => turn.map_err(|_| unavailable("Strom is shutting down")),
            () = sleep(ACQUIRE_TIMEOUT) => Err(self.none_to_be_had(begin).await),
            reason = self.breaker.opened() => Err(unavailable(reason)),
        }
    }

    /// One that has waited; `None` where it is of no use any more.
    async fn look(&self, mut known: Known) -> Result<Option<Known>> {
        let looked = tokio::select! {
            looked = connection::look(&mut known.connection, self.servers.wanted, self.servers.is_pooled()) => looked,
            reason = self.breaker.opened() => return Err(unavailable(reason)),
        };
        if looked.is_err() {
            drop(known.connection.detach());
            return Ok(None);
        }
        Ok(Some(known.was_looked_at()))
    }

    /// One that sqlx's pool has, or a new one.
    async fn connect(&self, begin: Instant) -> Result<PoolConnection<Postgres>> {
        let acquired = tokio::select! {
            acquired = self.pool.acquire() => acquired,
            reason = self.breaker.opened() => return Err(unavailable(reason)),
        };
        match acquired {
            Ok(connection) => Ok(connection),
            Err(sqlx::Error::PoolTimedOut) => Err(self.none_to_be_had(begin).await),
            Err(error) => Err(match RepositoryError::from(Error::from(error)) {
                RepositoryError::Unavailable { reason, .. } if !self.pool.is_closed() => self.away(reason),
                RepositoryError::Unavailable { reason, .. } => unavailable(reason),
                other => other,
            }),
        }
    }

    /// A connection on which notifications come in; one of the five as long as its turn is held.
    pub(super) async fn listener(&self) -> Result<(PgListener, Turn)> {
        // This finds out whether there is a connection, or why not; sqlx then takes one from its pool by itself.
        drop(self.acquire().await?);
        let turn = self.turn(Instant::now()).await?;
        drop(self.ready.take());
        let mut listener = PgListener::connect_with(&self.pool).await.map_err(Error::from)?;
        listener.eager_reconnect(false);
        Ok((listener, turn))
    }

    /// Whether we are too many, or the server has gone: nobody gets a connection or an answer any more.
    async fn none_to_be_had(&self, begin: Instant) -> RepositoryError {
        let are_in_use = self.pool.size() >= MAX_CONNECTIONS || *lock(&self.answered) > begin;
        match ping(&self.pool.connect_options(), ping::PATIENCE).await {
            Ok(()) if are_in_use => RepositoryError::Busy(format!("all {MAX_CONNECTIONS} connections are in use")),
            Ok(()) => self.away(format!("no connection within {} s", ACQUIRE_TIMEOUT.as_secs())),
            Err(error) => self.away(format!("the server does not answer: {error}")),
        }
    }

    fn away(&self, reason: String) -> RepositoryError {
        self.breaker.open(reason.as_str());
        unavailable(reason)
    }

    /// Ends a moment after the database was found to be away: what still runs then has lost its connection, and its own
    /// question whether the server answers may come when another one does.
    async fn gone(&self) -> String {
        let reason = self.breaker.opened().await;
        sleep(LAST_WORD).await;
        reason
    }

    /// Ends when a call that still runs will have no answer: its server does not answer anybody. Asked twice, since one
    /// answer may be late; and seldom, since most calls that take long are at work.
    async fn silence(&self) -> String {
        let mut wait = FIRST_PING;
        loop {
            sleep(wait).await;
            wait *= 2;
            let server = self.pool.connect_options();
            if ping(&server, ping::PATIENCE).await.is_err()
                && let Err(error) = ping(&server, ping::PATIENCE).await
            {
                let reason = format!("the server does not answer: {error}");
                self.breaker.open(reason.as_str());
                return reason;
            }
        }
    }

    /// The server has become read-only. Where another one is wanted it is looked for; where there is no other, who comes
    /// next may still be connected to one behind the same name.
    fn leave(&self, error: &Error) {
        if self.servers.wanted == Wanted::ReadWrite {
            self.breaker.open(error.to_string());
        } else {
            self.drop_idle();
        }
    }

    /// Lets go of the connections that nobody uses.
    pub(super) fn drop_idle(&self) {
        let ready = self.ready.take_all().into_iter().map(|known| known.connection);
        for idle in ready.chain(iter::from_fn(|| self.pool.try_acquire())) {
            drop(idle.detach());
        }
    }

    /// Whether there is room for one more connection than the pool has.
    pub(super) fn has_room(&self) -> bool {
        self.pool.size() < MAX_CONNECTIONS
    }

    /// From now on connections go to this server.
    pub(super) fn use_server(&self, server: PgConnectOptions) {
        self.pool.set_connect_options(quiet(server));
        self.ready.take_all().into_iter().for_each(|known| drop(known.connection.detach()));
    }

    /// For how long the database has been there, or away.
    pub(super) fn since(&self) -> Duration {
        self.breaker.since()
    }

    /// How the connections are used, and whether the database is there.
    pub(super) fn measurements(&self) -> Vec<Measurement> {
        let connections = |state, count| {
            let help = "Connections to the database, by whether they are in use or idle.";
            Measurement::gauge("postgres_pool_connections", help, count).labelled("state", state)
        };
        let idle = u32::try_from(self.pool.num_idle() + self.ready.len()).unwrap_or(MAX_CONNECTIONS);
        let in_use = self.pool.size().saturating_sub(idle);
        let waiting = f64::from(self.waiting.load(Ordering::Relaxed));
        let is_open = u8::from(self.breaker.reason().is_some());
        vec![
            connections("in_use", f64::from(in_use)),
            connections("idle", f64::from(idle)),
            Measurement::gauge(
                "postgres_pool_connections_max",
                "The most connections that there may be at one time.",
                f64::from(MAX_CONNECTIONS),
            ),
            Measurement::gauge("postgres_pool_waiting", "Calls that wait for a connection.", waiting),
            Measurement::gauge(
                "postgres_breaker_open",
                "Whether calls fail at once because the database was found to be away.",
                f64::from(is_open),
            ),
            Measurement::gauge(
                "postgres_breaker_state_seconds",
                "For how long the breaker has been open, or closed.",
                self.breaker.since().as_secs_f64(),
            ),
            Measurement::counter(
                "postgres_outages_total",
                "How often the database was found to be away.",
                self.breaker.outages(),
            ),
        ]
    }

    /// Waits for connections in use and closes all; not for those whose server never answers.
    pub(super) async fn close(&self) {
        self.turns.close();
        self.ready.close();
        let _ = timeout(CLOSE_TIMEOUT, self.pool.close()).await;
    }
}

fn lock(time: &Mutex<Instant>) -> MutexGuard<'_, Instant> {
    time.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Somebody who waits for a connection, until he has one or goes away.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn on(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
