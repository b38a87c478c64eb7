//! Runs one task on a connection of its own, before or without a pool.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use super::open_error::{Cause, OpenFailure};
use crate::postgres::connection::{SelectedServer, Servers};

/// Time limit for a task that only reads: its connection may have died without notice. It is longer than the lock timeout
/// of the session, so that a wait for a lock is reported as such.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Runs a task that only reads, as [`ask`] does, and fails if it takes longer than [`READ_TIMEOUT`].
pub(super) async fn ask_reading<T: Send + 'static>(
    servers: &Servers,
    limit: Duration,
    task: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, Cause>>,
) -> Result<(PgConnectOptions, T), OpenFailure> {
    ask(servers, limit, |connection| {
        let reading = timeout(READ_TIMEOUT, task(connection));
        async { reading.await.unwrap_or(Err(Cause::NoAnswer(READ_TIMEOUT))) }.boxed()
    })
    .await
}

/// Runs a task on a suitable server that answers within `limit`, and returns the server and the result. The connection
/// is closed afterwards in any case, which releases the locks of the session.
pub(super) async fn ask<T>(
    servers: &Servers,
    limit: Duration,
    task: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, Cause>>,
) -> Result<(PgConnectOptions, T), OpenFailure> {
    let selected = servers.select(limit).await.map_err(|error| Cause::from(error).at(servers.url()))?;
    let SelectedServer { server, mut connection } = selected;
    let result = task(&mut connection).await;
    let _ = connection.close().await;
    result.map(|result| (server, result)).map_err(|cause| cause.at(servers.url()))
}
