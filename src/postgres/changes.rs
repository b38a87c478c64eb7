//! The feed. Why its order is what it is, and nobody overtaken, is argued in migrations/0004_history.sql.
//!
//! On a standby the same rule holds. A snapshot is made there of the transactions that the write-ahead log has mentioned
//! and not ended (KnownAssignedXids; an id that was left out is added as soon as a higher one is read), so whoever is not
//! seen yet has an id of at least its xmin there as well, hence a horizon above what is read. And nothing waits for ever:
//! what a horizon stands above has ended before the record was committed, by a commit or an abort that is in the log before
//! it. What a standby shows is therefore a beginning of the feed that its primary shows, and a place is the same in both.
//! Source: <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/storage/ipc/procarray.c>, "Hot Standby".
//!
//! It may be an earlier one, though: a place that was given by the primary may still be to come. That is no fault of whoever
//! brings it; he waits. The other way round it may be a later one: a commit goes to the standby as soon as it is on the
//! primary's disk, and the primary shows it a moment later, or much later where it waits for a synchronous standby
//! (`synchronous_standby_names`). The transaction is still in progress on the primary then: its horizon is above the xmin of
//! a snapshot, and it is no higher than the xmax, or by one above its own id, whose lock it holds.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::error::{Error, Result};
use super::notifications::Waiting;
use super::pool::Pool;
use super::record::{RecordRow, cursor};
use crate::flow::{Flow, Head};
use crate::repository::{Feed, FeedCursor, Record, RepositoryError, Since};

/// How often the table is looked at for changes that no notification has told of.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How soon for one that is committed, but stands behind a transaction that has not ended; then twice as long each time.
const FIRST_LOOK: Duration = Duration::from_millis(10);

pub(super) async fn changes(connection: &mut PgConnection, since: Since, limit: u32) -> Result<Feed<Flow>> {
    feed(connection, since, limit, true).await
}

pub(super) async fn summaries(connection: &mut PgConnection, since: Since, limit: u32) -> Result<Feed<Head>> {
    feed(connection, since, limit, false).await
}

/// Returns when a change behind this place can be read, or reading would fail.
pub(super) async fn changed(pool: &Arc<Pool>, mut waiting: Waiting, after: FeedCursor) {
    let mut look = FIRST_LOOK;
    loop {
        match pool.read(|connection| bounds(connection, after).boxed()).await {
            Ok(bounds) if bounds.kept > after || bounds.last != after && !bounds.awaited => return,
            Ok(bounds) if bounds.more_to_come => {
                tokio::time::sleep(look).await;
                look = (look * 2).min(POLL_INTERVAL);
            }
            Ok(_) => {
                look = FIRST_LOOK;
                // Woken or not: look again.
                let _ = tokio::time::timeout(POLL_INTERVAL, waiting.woken()).await;
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
        Since::Oldest => bounds(connection, BEGIN).await?.kept,
        Since::Now => {
            let Bounds { last: next, newest, .. } = bounds(connection, BEGIN).await?;
            return Ok(Feed { changes: Vec::new(), next, newest });
        }
    };
    let rows = rows(connection, after, limit, documents).await?;
    // Only now: what was deleted before they were read is known by now.
    let mut found = bounds(connection, after).await?;
    if found.are_past(after) {
        // Who was in progress for the snapshot, and had ended when the locks were looked at, is seen now.
        found = bounds(connection, after).await?;
    }
    if found.are_past(after) {
        return Err(RepositoryError::Gone.into());
    }
    let changes = rows.into_iter().map(|row| Record::try_from(row).map_err(Error::from)).collect::<Result<Vec<_>>>()?;
    let read = changes.last().map_or(after, |change| change.cursor);
    // A log in which nothing stands yet follows all that was read, as after a restored dump. Nobody waits before it: he
    // would be woken for nothing, again and again.
    let is_all = changes.len() < limit as usize;
    let next = if is_all && found.last.number == 0 { read.max(found.last) } else { read };
    Ok(Feed { changes, next, newest: found.newest })
}

async fn rows(connection: &mut PgConnection, after: FeedCursor, limit: u32, documents: bool) -> Result<Vec<RecordRow>> {
    Ok(sqlx::query_as!(
        RecordRow,
        r#"
        WITH here AS MATERIALIZED (
            SELECT strom_log() AS log, pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT AS settled
        )
        SELECT change.log, horizon, number, flow_id, operation, revision, at, author,
            name, state, auto_restart, size, elements, blocks, links,
            CASE WHEN $1 THEN document END AS "document: Json<Box<RawValue>>"
        FROM here
        CROSS JOIN flow_changes AS change
        WHERE (change.log, horizon, number) > ($2, $3, $4) AND (change.log < here.log OR horizon <= settled)
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

/// Before everything.
const BEGIN: FeedCursor = FeedCursor { log: 0, transaction: 0, number: 0 };

fn column(part: u64) -> Result<i64> {
    Ok(i64::try_from(part).map_err(|_| RepositoryError::Gone)?)
}

struct Bounds {
    /// The feed begins behind it.
    kept: FeedCursor,
    /// What can be read ends with it. Only grows.
    last: FeedCursor,
    /// The place that is asked about begins its log, or something stands there or behind it in the same log. An old log
    /// that came with a dump may have gone on where it came from.
    known: bool,
    /// The place is one of this log that is still to come: a standby has not come to it, or a primary is about to show it.
    awaited: bool,
    /// What is committed ends with it, though it may have to wait.
    newest: FeedCursor,
    /// Changes are committed that cannot be read yet.
    more_to_come: bool,
}

impl Bounds {
    /// Whether the feed cannot go on from this place.
    fn are_past(&self, place: FeedCursor) -> bool {
        place < self.kept || !self.awaited && (self.last < place || !self.known)
    }
}

async fn bounds(connection: &mut PgConnection, place: FeedCursor) -> Result<Bounds> {
    // Where there is no change there is the beginning of the log, so nothing here is ever NULL.
    let row = sqlx::query!(
        r#"
        WITH here AS MATERIALIZED (
            SELECT strom_log() AS log,
                pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT AS settled,
                pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT AS newest_seen
        )
        SELECT gone_log, gone_horizon, gone_number, last.log AS "log!", last.horizon AS "horizon!",
            last.number AS "number!",
            newest.log AS "newest_log!", newest.horizon AS "newest_horizon!", newest.number AS "newest_number!",
            newest.log = here.log AND newest.horizon > settled AS "more_to_come!",
            ($2::BIGINT, $3::BIGINT) <= (of_log.horizon, of_log.number) AS "known!",
            $1 = here.log AND $2 > settled AND (
                pg_is_in_recovery()
                OR $2 <= newest_seen
                OR EXISTS (
                    SELECT FROM pg_locks
                    WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted
                        AND transactionid::TEXT::BIGINT = ($2 - 1) % 4294967296
                )
            ) AS "awaited!"
        FROM flow_log
        CROSS JOIN here
        CROSS JOIN LATERAL (
            (
                SELECT change.log, change.horizon, change.number
                FROM flow_changes AS change
                ORDER BY change.log DESC, change.horizon DESC, change.number DESC
                LIMIT 1
            )
            UNION ALL
            SELECT here.log, 0, 0
            ORDER BY log DESC, horizon DESC, number DESC
            LIMIT 1
        ) AS newest
        CROSS JOIN LATERAL (
            (
                SELECT change.log, change.horizon, change.number
                FROM flow_changes AS change
                WHERE change.log < here.log OR change.horizon <= settled
                ORDER BY change.log DESC, change.horizon DESC, change.number DESC
                LIMIT 1
            )
            UNION ALL
            SELECT here.log, 0, 0
            ORDER BY log DESC, horizon DESC, number DESC
            LIMIT 1
        ) AS last
        CROSS JOIN LATERAL (
            (
                SELECT change.horizon, change.number
                FROM flow_changes AS change
                WHERE change.log = $1
                ORDER BY change.horizon DESC, change.number DESC
                LIMIT 1
            )
            UNION ALL
            SELECT 0, 0
            ORDER BY horizon DESC, number DESC
            LIMIT 1
        ) AS of_log
        "#,
        column(place.log)?,
        column(place.transaction)?,
        column(place.number)?,
    )
    .fetch_one(connection)
    .await?;
    let kept = cursor(row.gone_log, row.gone_horizon, row.gone_number)?;
    let last = cursor(row.log, row.horizon, row.number)?.max(kept);
    let newest = cursor(row.newest_log, row.newest_horizon, row.newest_number)?.max(last);
    let known = row.known || place == kept;
    Ok(Bounds { kept, last, known, awaited: row.awaited, newest, more_to_come: row.more_to_come })
}
