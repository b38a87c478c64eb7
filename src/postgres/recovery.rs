//! What has to be true before the database is used: at the start, and again whenever it has been away. It may then be
//! another server, or one that was restored from a dump.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::PgConnectOptions;
use tokio::time::sleep;

use super::migrate::{self, Problem};
use super::pool::Pool;
use super::servers::{Found, Servers};
use super::{DatabaseUrl, Settings, ping};

/// How often the return of a database is looked for.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// Finds a server that will do, and brings its schema up to date; who only reads has to find it so.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) servers: Servers,
    migrations: Option<Servers>,
    only_reads: bool,
}

impl Start {
    pub(super) fn new(url: &DatabaseUrl, settings: &Settings) -> Self {
        let migrations = settings.migrations.as_ref().map(|url| Servers::new(url, false));
        Self { servers: Servers::new(url, settings.read_only), migrations, only_reads: settings.read_only }
    }

    /// Gives the server to connect to. At most one connection at a time, and none when it is done. Servers that do not
    /// answer are waited for so long.
    pub(super) async fn run(&self, patience: Duration) -> Result<PgConnectOptions, Problem> {
        let Found { server, connection } = self.servers.find(patience).await?;
        match &self.migrations {
            _ if self.only_reads => migrate::find(connection).await?,
            None => migrate::run(connection).await?,
            Some(servers) => {
                let _ = connection.close().await;
                migrate::run(servers.find(patience).await?.connection).await?;
            }
        }
        Ok(server)
    }
}

/// Each time the database is away, looks for it until it is back.
pub(super) async fn watch(pool: Arc<Pool>, start: Start) {
    loop {
        let reason = pool.breaker.opened().await;
        tracing::warn!(reason, "the database is away");
        pool.drop_idle();
        while let Err(reason) = look(&pool, &start).await {
            if let Some(reason) = reason {
                pool.breaker.open(reason);
            }
            sleep(PROBE_INTERVAL).await;
            if pool.is_closed() {
                return;
            }
        }
        tracing::info!(after_ms = pool.since().as_millis() as u64, "the database is back");
        pool.breaker.close();
    }
}

/// Fails with the reason, or without one while calls that wait for an answer still have all our connections.
async fn look(pool: &Pool, start: &Start) -> Result<(), Option<String>> {
    if !pool.has_room() {
        return Err(None);
    }
    let server = start.run(ping::PATIENCE).await.map_err(|problem| Some(problem.to_string()))?;
    pool.use_server(server);
    Ok(())
}
