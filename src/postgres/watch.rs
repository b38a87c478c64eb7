//! Verifies the schema while the store runs. A damaged schema is an outage: the recovery repeats the checks of a start until
//! the damage is repaired (connection/recovery.rs).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::time::{sleep, timeout};

use super::connection::Pool;
use super::schema::{Damage, describe, find_damage};
use crate::background::End;
use crate::repository::Result;

/// How often the schema is verified without a reason.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long errors cause no other verification after one.
const PAUSE: Duration = Duration::from_millis(250);

/// Verifies the schema periodically, and soon after an error that suggests damage.
pub(super) async fn watch_schema(pool: Arc<Pool>, read_only: bool) -> End {
    loop {
        let _ = timeout(INTERVAL, pool.doubts.notified()).await;
        // Other errors have opened the breaker already, if necessary.
        let _ = verify_schema(&pool, read_only).await;
        sleep(PAUSE).await;
    }
}

/// Opens the breaker if the schema is damaged. Returns damage that does not concern a read-only instance, as a fault.
pub(super) async fn verify_schema(pool: &Pool, read_only: bool) -> Result<Option<String>> {
    let begin = Instant::now();
    let damage = pool.read(|connection| async { Ok(find_damage(connection).await?) }.boxed()).await?;
    if damage.is_empty() {
        return Ok(None);
    }
    let fault = format!("its schema is damaged: {}", describe(&damage));
    if read_only && !damage.iter().any(Damage::concerns_reads) {
        return Ok(Some(fault));
    }
    pool.hidden_changes.fetch_or(damage.iter().any(Damage::hides_changes), Ordering::Relaxed);
    pool.breaker.open_unless_closed_since(begin, fault);
    Ok(None)
}
