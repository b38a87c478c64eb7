//! Keeps the lists short in which the indexes over documents and parts of names collect what is new.
//!
//! A GIN index takes new rows into a list, and whoever fills it has to sort it into the index: with the default limit of 4 MB
//! a save in some hundreds, which then takes a quarter of a second. Here somebody does it who keeps nobody waiting.
//! Source: <https://www.postgresql.org/docs/current/gin.html#GIN-FAST-UPDATE>.
//!
//! Only the owner of the index may. Where we are not, autovacuum and the saves themselves do it, as ever.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sqlx::PgConnection;
use tokio::sync::watch;
use tokio::time::sleep;

use super::error::Result;
use super::pool::Pool;

/// After how long it is emptied: rarely enough to cost little, and so often that the list never gets long.
const INTERVAL: Duration = Duration::from_millis(50);
/// After an error, such as that the database is away.
const PAUSE: Duration = Duration::from_secs(5);

/// Empties it after changes were made. Ends with its task, or where it is not for us to do.
pub(super) async fn keep_short(pool: Arc<Pool>, mut made: watch::Receiver<()>) {
    while made.changed().await.is_ok() {
        sleep(INTERVAL).await;
        made.mark_unchanged();
        match pool.run(|connection| empty(connection).boxed()).await {
            Ok(()) => {}
            Err(error) if error.is_denied() => {
                tracing::debug!(%error, "the list of the index over documents is left to its owner");
                return;
            }
            Err(error) => {
                tracing::debug!(%error, "the list of the index over documents is not emptied");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Does nothing where somebody has dropped the index.
async fn empty(connection: &mut PgConnection) -> Result<()> {
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
