//! Cleans the pending lists of the GIN indexes over documents and names.
//!
//! A GIN index collects new rows in a pending list, and the write that fills the list has to move it into the index.
//! With the default limit of 4 MB that is one save in some hundreds, which then takes a quarter of a second. A
//! background task cleans the lists instead, shortly before they are full and when writes pause. Cleaning more often costs WAL: for
//! 20 flows of 20 kB, every 0.5 MB of documents 80 kB per report, every 2 MB 42 kB. PostgreSQL's default costs 33 kB.
//! Source: <https://www.postgresql.org/docs/current/gin.html#GIN-FAST-UPDATE>.
//!
//! Only the owner of an index may clean its list. For other users, autovacuum and the saves do it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sqlx::PgConnection;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::background::End;
use crate::postgres::connection::Pool;
use crate::postgres::error::Result;

/// The size of documents after which the lists are cleaned. The lists then have 2 MB (documents of 20 kB) to 3.5 MB (2 kB).
const MAX_BYTES: u64 = 2560 * 1024;
/// The pause of writes after which the lists are cleaned.
const IDLE: Duration = Duration::from_secs(10);
/// Pause after an error, such as an outage.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Cleans the lists after changes. Returns if the user does not own the indexes.
pub(crate) async fn clean_pending_lists(pool: Arc<Pool>, mut changes: watch::Receiver<u64>) -> End {
    let mut cleaned = *changes.borrow();
    while changes.changed().await.is_ok() {
        while *changes.borrow_and_update() < cleaned + MAX_BYTES
            && matches!(timeout(IDLE, changes.changed()).await, Ok(Ok(())))
        {}
        cleaned = *changes.borrow();
        match pool.run(|connection| clean(connection).boxed()).await {
            Ok(()) => {}
            Err(error) if error.is_denied() => {
                tracing::debug!(%error, "cannot clean the pending list without owning the index");
                return End::Done;
            }
            Err(error) => {
                tracing::debug!(%error, "cannot clean the pending list");
                sleep(RETRY_AFTER).await;
            }
        }
    }
    End::Unexpected
}

/// Cleans the lists of the indexes that exist: an operator may have dropped them.
async fn clean(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        "
        SELECT gin_clean_pending_list(index::REGCLASS)
        FROM (VALUES (to_regclass('idx_flows_data')), (to_regclass('flows_name_parts'))) AS gin (index)
        WHERE index IS NOT NULL
        "
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}
