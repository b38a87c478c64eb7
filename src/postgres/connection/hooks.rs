//! The options and hooks of sqlx's pool: they configure new sessions and check connections before use.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, PgConnection};
use tokio::time::{sleep, timeout};
use tracing::log::LevelFilter;

use super::breaker::Breaker;
use super::selection_error::unsuitable_reason;
use super::session;
use super::target::TargetSessionAttrs;

/// Time limit for the check of an idle connection.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// Time limit for the check of a connection whose call was cancelled: its statement may still run, for the statement timeout.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(90);

/// Limits sqlx's statement log to statements that take more than a second.
pub(super) fn log_slow_statements(server: PgConnectOptions) -> PgConnectOptions {
    server.log_slow_statements(LevelFilter::Warn, Duration::from_secs(1)).log_statements(LevelFilter::Off)
}

/// Checks a connection before it returns to sqlx's pool. sqlx itself would wait without a limit for an unresponsive server, and
/// the connection would count as one of the pool's until then.
pub(super) fn with_release_check(options: PgPoolOptions, breaker: &Arc<Breaker>) -> PgPoolOptions {
    let breaker = Arc::clone(breaker);
    options.after_release(move |connection, _| {
        let breaker = Arc::clone(&breaker);
        async move {
            tokio::select! {
                checked = connection.ping() => checked.map(|()| true),
                _ = breaker.until_open() => Err(sqlx::Error::PoolTimedOut),
                () = sleep(RELEASE_TIMEOUT) => Err(sqlx::Error::PoolTimedOut),
            }
        }
        .boxed()
    })
}

/// Configures each new session, and replaces sqlx's ping before each use by [`check`], which costs the same.
pub(super) fn with_session_hooks(
    options: PgPoolOptions,
    target: TargetSessionAttrs,
    breaker: &Arc<Breaker>,
) -> PgPoolOptions {
    let breaker = Arc::clone(breaker);
    options
        .after_connect(move |connection, _| {
            let breaker = Arc::clone(&breaker);
            async move {
                let role = session::configure(connection, false).await?;
                if role.satisfies(target) {
                    return Ok(());
                }
                let reason = format!("the server {}", unsuitable_reason(&role, target));
                breaker.open(reason.as_str());
                Err(sqlx::Error::Protocol(reason))
            }
            .boxed()
        })
        .test_before_acquire(false)
        .before_acquire(move |connection, _| {
            async move { check(connection, target, false).await.map(|()| true) }.boxed()
        })
}

/// Fails if an idle connection is dead, has an open transaction, or no longer accepts writes that `target` requires.
pub(super) async fn check(
    connection: &mut PgConnection,
    target: TargetSessionAttrs,
    is_behind_pooler: bool,
) -> sqlx::Result<()> {
    let checking = async move {
        match target {
            // A pooler has assigned the session to another client since the last call.
            _ if is_behind_pooler => connection.ping().await,
            TargetSessionAttrs::ReadWrite => session::ensure_no_transaction_and_writable(connection).await,
            _ => session::ensure_no_transaction(connection).await,
        }
    };
    timeout(CHECK_TIMEOUT, checking).await.map_err(|_| sqlx::Error::PoolTimedOut)?
}
