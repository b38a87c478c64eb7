//! A connection: how it begins, what is looked at before each use, and how it ends.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, Postgres};
use tokio::time::timeout;
use tracing::log::LevelFilter;

use super::breaker::Breaker;
use super::servers::unfit;
use super::session;
use super::url::Wanted;

/// How long a connection that was idle may take to show that it is alive.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Statements that take long are told, others are not.
pub(super) fn quiet(server: PgConnectOptions) -> PgConnectOptions {
    server.log_slow_statements(LevelFilter::Warn, Duration::from_secs(1)).log_statements(LevelFilter::Off)
}

/// Sets a session up when it begins, and looks at it before each use instead of sqlx's ping, at the same price.
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
            let waking = async move {
                match wanted {
                    Wanted::ReadWrite => session::leave_no_transaction_and_write(connection).await,
                    _ => session::leave_no_transaction(connection).await,
                }
            };
            async move { timeout(WAKE_TIMEOUT, waking).await.map_err(|_| sqlx::Error::PoolTimedOut)?.map(|()| true) }
                .boxed()
        })
}

/// A connection in use.
#[derive(Debug)]
pub(super) struct Connection {
    /// Always there, until it is dropped.
    inner: Option<PoolConnection<Postgres>>,
    /// Whether it can be given back as it is: its user has finished, or the next one would notice what he has left.
    is_clean: bool,
}

impl Connection {
    /// One that goes back to the pool as it is only where `is_clean`, or after [`keep`](Self::keep).
    pub(super) fn new(inner: PoolConnection<Postgres>, is_clean: bool) -> Self {
        Self { inner: Some(inner), is_clean }
    }

    /// It is given back when it is dropped.
    pub(super) fn keep(&mut self) {
        self.is_clean = true;
    }

    /// It is closed when it is dropped.
    pub(super) fn discard(&mut self) {
        self.is_clean = false;
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.inner.as_deref().expect("it is there until it is dropped")
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.inner.as_deref_mut().expect("it is there until it is dropped")
    }
}

/// Closes it at once where it is not clean: to say goodbye takes for ever when nobody answers.
impl Drop for Connection {
    fn drop(&mut self) {
        if !self.is_clean
            && let Some(inner) = self.inner.take()
        {
            drop(inner.detach());
        }
    }
}
