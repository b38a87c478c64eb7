//! A connection: how it begins, what is looked at before it is used, and how it ends.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, PgConnection};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::log::LevelFilter;

use super::breaker::Breaker;
use super::ready::{Known, Ready};
use super::servers::unfit;
use super::session;
use super::url::Wanted;

/// How long a connection that was idle may take to show that it is alive.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Statements that take long are told, others are not.
pub(super) fn quiet(server: PgConnectOptions) -> PgConnectOptions {
    server.log_slow_statements(LevelFilter::Warn, Duration::from_secs(1)).log_statements(LevelFilter::Off)
}

/// Sets a session up when it begins, and looks at it when it leaves the pool, instead of sqlx's ping, at the same price.
pub(super) fn with_sessions(options: PgPoolOptions, wanted: Wanted, breaker: &Arc<Breaker>) -> PgPoolOptions {
    let breaker = Arc::clone(breaker);
    options
        .after_connect(move |connection, _| {
            let breaker = Arc::clone(&breaker);
            async move {
                let role = session::prepare(connection, false).await?;
                if role.fits(wanted) {
                    return Ok(());
                }
                let reason = format!("the server {}", unfit(&role, wanted));
                breaker.open(reason.as_str());
                Err(sqlx::Error::Protocol(reason))
            }
            .boxed()
        })
        .test_before_acquire(false)
        .before_acquire(move |connection, _| {
            async move { look(connection, wanted, false).await.map(|()| true) }.boxed()
        })
}

/// Looks at a connection that waited, as [`with_sessions`] has it done.
pub(super) async fn look(connection: &mut PgConnection, wanted: Wanted, is_pooled: bool) -> sqlx::Result<()> {
    let looking = async move {
        match wanted {
            // Behind a pooler the session is somebody else's by now.
            _ if is_pooled => connection.ping().await,
            Wanted::ReadWrite => session::leave_no_transaction_and_write(connection).await,
            _ => session::leave_no_transaction(connection).await,
        }
    };
    timeout(WAKE_TIMEOUT, looking).await.map_err(|_| sqlx::Error::PoolTimedOut)?
}

/// A connection in use.
#[derive(Debug)]
pub(super) struct Connection {
    /// Always there, until it is dropped.
    inner: Option<Known>,
    left: Left,
    ready: Arc<Ready>,
    /// The turn ends with it.
    _turn: Turn,
}

/// One of the instance's connections, whether it is there yet or not.
pub(super) type Turn = OwnedSemaphorePermit;

/// How a call has left its connection.
#[derive(Debug)]
enum Left {
    /// It had its answer.
    Clean,
    /// It was broken off; sqlx's pool looks before somebody else gets it.
    Unknown,
    /// It is of no use any more.
    Broken,
}

impl Connection {
    /// One that is closed where `is_pooled` and the call is broken off: who comes next would not notice what it has left.
    pub(super) fn new(inner: Known, ready: &Arc<Ready>, turn: Turn, is_pooled: bool) -> Self {
        let left = if is_pooled { Left::Broken } else { Left::Unknown };
        Self { inner: Some(inner), left, ready: Arc::clone(ready), _turn: turn }
    }

    /// The call has ended, and the next one may have it.
    pub(super) fn keep(&mut self) {
        self.left = Left::Clean;
    }

    /// It is closed when it is dropped.
    pub(super) fn discard(&mut self) {
        self.left = Left::Broken;
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner.as_ref().expect("it is there until it is dropped").connection
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner.as_mut().expect("it is there until it is dropped").connection
    }
}

/// Closes it at once where it is of no use: to say goodbye takes for ever when nobody answers.
impl Drop for Connection {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        match self.left {
            Left::Clean => self.ready.put(inner),
            Left::Unknown => drop(inner),
            Left::Broken => drop(inner.connection.detach()),
        }
    }
}
