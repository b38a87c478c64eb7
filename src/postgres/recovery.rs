//! Looks for a database that is away until it is back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::ping;
use super::pool::Pool;
use super::start::Start;

/// How often the return of a database is looked for.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// Each time the database is away, looks for it until it is back.
pub(super) async fn watch(pool: Arc<Pool>, start: Start) {
    loop {
        let reason = pool.breaker.opened().await;
        tracing::warn!(reason, "the database is away");
        while let Err(reason) = look(&pool, &start).await {
            if let Some(reason) = reason {
                pool.breaker.open(reason);
            }
            sleep(PROBE_INTERVAL).await;
        }
        tracing::info!(after_ms = pool.since().as_millis() as u64, "the database is back");
        pool.breaker.close();
    }
}

/// Fails with the reason, or without one while calls that wait for an answer still have all our connections.
async fn look(pool: &Pool, start: &Start) -> Result<(), Option<String>> {
    // Also those that have come back since, with answers that were late.
    pool.drop_idle();
    if !pool.has_room() {
        return Err(None);
    }
    let started = start.run(ping::PATIENCE).await.map_err(|failure| Some(failure.to_string()))?;
    pool.use_server(started.server);
    Ok(())
}
