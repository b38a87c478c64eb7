//! Probes an unavailable database until it is available again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::ping::PING_TIMEOUT;
use super::pool::Pool;
use crate::background::End;
use crate::postgres::schema::{OpenFailure, Startup};

const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// Waits for outages, and probes the database during each of them. Closes the breaker at the end of the outage.
pub(crate) async fn probe_during_outages(pool: Arc<Pool>, startup: Arc<Startup>) -> End {
    loop {
        let reason = pool.breaker.until_open().await;
        tracing::warn!(reason, "the database is unavailable");
        while let Err(failure) = probe(&pool, &startup).await {
            if let Some(failure) = failure {
                pool.breaker.open(failure.to_string());
                pool.hidden_changes.fetch_or(failure.hides_changes(), Ordering::Relaxed);
            }
            sleep(PROBE_INTERVAL).await;
        }
        tracing::info!(after_ms = pool.state_age().as_millis() as u64, "the database is available again");
        // Also for callers that share a failed probe.
        pool.record_answer();
        pool.breaker.close();
    }
}

/// Repeats the checks of a start. Fails with the reason, or without one while running calls hold all connections.
async fn probe(pool: &Pool, startup: &Startup) -> Result<(), Option<OpenFailure>> {
    // In each probe: late answers have returned more connections since the last one.
    pool.close_idle();
    if !pool.has_capacity() {
        return Err(None);
    }
    let started = startup.run(PING_TIMEOUT).await?;
    if pool.hidden_changes.load(Ordering::Relaxed) {
        startup.begin_log(PING_TIMEOUT).await?;
        pool.hidden_changes.store(false, Ordering::Relaxed);
    }
    pool.use_server(started.server);
    Ok(())
}
