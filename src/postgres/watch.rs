//! Verifies the schema while the store runs. A damaged schema is an outage: the recovery repeats the checks of a start until
//! the damage is repaired (connection/recovery.rs).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::FutureExt;
use sqlx::PgConnection;
use tokio::time::{sleep, timeout};

use super::connection::Pool;
use super::schema::{Damage, describe, find_damage};
use super::{error, flows};
use crate::background::End;
use crate::repository::Result;

/// How often the schema is verified without a reason.
const INTERVAL: Duration = Duration::from_secs(10);
/// The pause after a verification. All errors during the pause together cause one verification after it.
const PAUSE: Duration = Duration::from_millis(250);

/// Verifies the schema periodically, and soon after an error that suggests damage.
pub(super) async fn watch_schema(pool: Arc<Pool>, read_only: bool) -> End {
    loop {
        let _ = timeout(INTERVAL, pool.doubts.notified()).await;
        // Other errors have opened the breaker already, if necessary.
        let _ = find_faults(&pool, read_only).await;
        sleep(PAUSE).await;
    }
}

/// Returns what an operator should examine. Opens the breaker if the schema is damaged. A read-only instance continues with
/// damage that concerns only writes.
pub(super) async fn find_faults(pool: &Pool, read_only: bool) -> Result<Vec<String>> {
    let begin = Instant::now();
    let found = pool.read(|connection| examine(connection).boxed());
    let (damage, mut faults) = found.await?;
    if damage.is_empty() {
        return Ok(faults);
    }
    let fault = format!("its schema is damaged: {}", describe(&damage));
    if !read_only || damage.iter().any(Damage::concerns_reads) {
        pool.hidden_changes.fetch_or(damage.iter().any(Damage::hides_changes), Ordering::Relaxed);
        pool.breaker.open_unless_closed_since(begin, fault.as_str());
    }
    faults.push(fault);
    Ok(faults)
}

/// Returns the damage of the schema, and the faults of the flows if they can be read.
async fn examine(connection: &mut PgConnection) -> error::Result<(Vec<Damage>, Vec<String>)> {
    let damage = find_damage(connection).await?;
    let is_readable = !damage.iter().any(Damage::concerns_reads);
    let faults = if is_readable { flows::faults(connection).await? } else { Vec::new() };
    Ok((damage, faults))
}
