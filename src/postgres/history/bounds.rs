//! [`Bounds`]: the beginning and the end of the readable part of the feed.

use sqlx::PgConnection;

use super::record::cursor;
use crate::postgres::error::Result;
use crate::repository::{FeedCursor, RepositoryError};

/// The cursor before all changes.
pub(super) const ORIGIN: FeedCursor = FeedCursor { log: 0, transaction: 0, number: 0 };

/// Converts a part of a cursor to a column value.
pub(super) fn column(part: u64) -> Result<i64> {
    Ok(i64::try_from(part).map_err(|_| RepositoryError::Gone)?)
}

/// The bounds of the feed, and what they mean for one cursor.
pub(super) struct Bounds {
    /// The feed begins after this cursor: older changes were deleted.
    pub(super) start: FeedCursor,
    /// The last readable change. Moves back when a flow changes after a report and the change is not readable yet, because the change
    /// deletes the report.
    pub(super) end: FeedCursor,
    /// Whether the cursor begins its log, or its log has a change at or after it. The original server of a restored
    /// dump may have continued the old log.
    is_known: bool,
    /// Whether the cursor is valid in this log but not readable yet: a standby has not replayed it, or a primary is
    /// about to show it.
    pub(super) is_future: bool,
    /// The last committed change, which may not be readable yet.
    pub(super) newest: FeedCursor,
    /// Whether committed changes are not readable yet.
    pub(super) has_held_back: bool,
}

impl Bounds {
    /// Whether the feed cannot continue from this cursor.
    pub(super) fn exclude(&self, cursor: FeedCursor) -> bool {
        cursor < self.start || !self.is_future && (self.newest < cursor || !self.is_known)
    }
}

/// Reads the bounds of the feed.
pub(super) async fn bounds(connection: &mut PgConnection, position: FeedCursor) -> Result<Bounds> {
    // `!`: without changes, the beginning of the log takes their place, so no column is ever NULL.
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
        column(position.log)?,
        column(position.transaction)?,
        column(position.number)?,
    )
    .fetch_one(connection)
    .await?;
    let start = cursor(row.gone_log, row.gone_horizon, row.gone_number)?;
    let end = cursor(row.log, row.horizon, row.number)?.max(start);
    let newest = cursor(row.newest_log, row.newest_horizon, row.newest_number)?.max(end);
    let is_known = row.known || position == start;
    Ok(Bounds { start, end, is_known, is_future: row.awaited, newest, has_held_back: row.more_to_come })
}
