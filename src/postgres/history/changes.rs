//! Reads the change feed. migrations/0004_history.sql explains its order, and why a reader misses no change.
//!
//! # Standbys
//!
//! The same rule holds on a standby. Its snapshots contain the transactions that the write-ahead log has mentioned and
//! not ended (KnownAssignedXids; an id that the log left out is added as soon as a higher one is read). So an invisible
//! transaction has an id of at least xmin there as well, and a horizon above what readers see.
//!
//! No change waits forever on a standby. The highest transaction below its horizon is its own or has ended before it was
//! recorded. The end of that transaction is in the log no later than the commit of the change. So xmin reaches the
//! horizon as soon as the other transactions end, and a standby shows a prefix of the feed of its primary, with the same
//! cursors. Source, under "Hot Standby":
//! <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/storage/ipc/procarray.c>.
//!
//! The prefix may be shorter: a cursor from the primary may be in the future of the standby. Its reader has made no
//! mistake, and waits. The prefix may also be longer: a commit reaches the standby as soon as it is on the disk of the
//! primary. The primary shows it a moment later, or much later if it waits for a synchronous standby
//! (`synchronous_standby_names`). On the primary, such a transaction is still in progress. Its horizon is above the
//! xmin of a snapshot. The horizon is at most xmax, or it is one above the id of the transaction, whose lock is still
//! held.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::bounds::{Bounds, ORIGIN, bounds, column};
use super::notifications::Waiter;
use super::record::RecordRow;
use crate::flow::{Flow, Head};
use crate::postgres::connection::Pool;
use crate::postgres::error::{Error, Result};
use crate::postgres::time::Time;
use crate::repository::{Feed, FeedCursor, Record, RepositoryError, Since};

/// How often a waiting reader reads the table without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// First poll interval while a committed change is held back by a running transaction. It doubles each time.
const HELD_BACK_INTERVAL: Duration = Duration::from_millis(10);

/// Returns changes with their documents.
pub(crate) async fn changes(connection: &mut PgConnection, since: Since, limit: u32) -> Result<Feed<Flow>> {
    feed(connection, since, limit, true).await
}

/// Returns changes without their documents.
pub(crate) async fn summaries(connection: &mut PgConnection, since: Since, limit: u32) -> Result<Feed<Head>> {
    feed(connection, since, limit, false).await
}

/// Waits until a change after this cursor is readable, or reading would fail.
pub(crate) async fn changed(pool: &Arc<Pool>, mut waiter: Waiter, after: FeedCursor) {
    let mut interval = HELD_BACK_INTERVAL;
    loop {
        match pool.read(|connection| bounds(connection, after).boxed()).await {
            Ok(bounds) if bounds.exclude(after) || bounds.end > after => return,
            Ok(bounds) if bounds.has_held_back => {
                tokio::time::sleep(interval).await;
                interval = (interval * 2).min(POLL_INTERVAL);
            }
            Ok(_) => {
                interval = HELD_BACK_INTERVAL;
                // Woken or not: the table decides.
                let _ = tokio::time::timeout(POLL_INTERVAL, waiter.woken()).await;
            }
            Err(_) => return tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

async fn feed<T>(connection: &mut PgConnection, since: Since, limit: u32, documents: bool) -> Result<Feed<T>>
where
    Record<T>: TryFrom<RecordRow, Error = RepositoryError>,
{
    let after = match since {
        Since::After(cursor) => cursor,
        Since::Oldest => bounds(connection, ORIGIN).await?.start,
        Since::Now => {
            let Bounds { end: next, newest, .. } = bounds(connection, ORIGIN).await?;
            return Ok(Feed { changes: Vec::new(), next, newest });
        }
    };
    let rows = rows(connection, after, limit, documents).await?;
    // After the rows: a deletion that happened before they were read is then visible.
    let mut found = bounds(connection, after).await?;
    if found.exclude(after) {
        // Again: a transaction may have ended between the snapshot of that statement and its look at the locks.
        found = bounds(connection, after).await?;
    }
    if found.exclude(after) {
        return Err(RepositoryError::Gone.into());
    }
    let changes = rows.into_iter().map(|row| Record::try_from(row).map_err(Error::from)).collect::<Result<Vec<_>>>()?;
    let read = changes.last().map_or(after, |change| change.cursor);
    // An empty log, as after a restored dump, follows everything that was read. A reader that waited before it would be
    // woken again and again for nothing.
    let is_all = changes.len() < limit as usize;
    let next = if is_all && found.end.number == 0 { read.max(found.end) } else { read };
    Ok(Feed { changes, next, newest: found.newest })
}

async fn rows(connection: &mut PgConnection, after: FeedCursor, limit: u32, documents: bool) -> Result<Vec<RecordRow>> {
    Ok(sqlx::query_as!(
        RecordRow,
        r#"
        WITH here AS MATERIALIZED (
            SELECT strom_log() AS log, pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT AS settled
        )
        SELECT change.log, horizon, number, flow_id, operation, revision, at AS "at: Time", author,
            name, state, auto_restart, size, elements, blocks, links,
            CASE WHEN $1 THEN coalesce(document, (SELECT data FROM flows WHERE id = flow_id)) END
                AS "document: Json<Box<RawValue>>"
        FROM here
        CROSS JOIN flow_changes AS change
        WHERE (change.log, horizon, number) > ($2, $3, $4) AND (change.log < here.log OR horizon <= settled)
            -- A flow that was deleted without triggers.
            AND (operation <> 'state' OR EXISTS (SELECT FROM flows WHERE id = flow_id))
        ORDER BY change.log, horizon, number
        LIMIT $5
        "#,
        documents,
        column(after.log)?,
        column(after.transaction)?,
        column(after.number)?,
        i64::from(limit),
    )
    .fetch_all(connection)
    .await?)
}
