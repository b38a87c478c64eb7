//! How far the feed is behind, and who may be holding it back. Why it can be is argued in migrations/0004_history.sql.

use std::time::Duration;

use sqlx::PgConnection;

use super::error::Result;
use crate::repository::FeedLag;

/// Counts at most so many changes: a feed that has been held back for hours must not make the question slow.
const MOST: i64 = 10_000;

/// The transaction that readers wait for is known when it is prepared, ours, or the role may see the sessions of others
/// (`pg_monitor`). It may be in another database of the server.
pub(super) async fn feed_lag(connection: &mut PgConnection) -> Result<FeedLag> {
    // LATERAL, or all of the history is read to find that nothing is held back: 70 ms at 100,000 records instead of 0.2.
    // Where no transaction has written and not ended, or the oldest has ended since, none is; else its age is NULL when the
    // server does not show it. It had begun before anything was held back, so nothing has been for longer, whatever time a
    // change bears.
    let row = sqlx::query!(
        r#"
        WITH here AS MATERIALIZED (
            SELECT strom_log() AS log, pg_snapshot_xmin(snapshot) AS xmin, pg_snapshot_xmax(snapshot) AS xmax
            FROM pg_current_snapshot() AS snapshot
        ),
        held_back AS MATERIALIZED (
            SELECT change.at
            FROM here
            CROSS JOIN LATERAL (
                SELECT at
                FROM flow_changes
                WHERE log = here.log AND horizon > here.xmin::TEXT::BIGINT
                ORDER BY log, horizon, number
                LIMIT $1
            ) AS change
        ),
        oldest AS MATERIALIZED (
            SELECT
                extract(EPOCH FROM clock_timestamp() - begun)::FLOAT8 AS age,
                CASE WHEN xmin = xmax OR pg_xact_status(xmin) <> 'in progress' THEN 0::FLOAT8 END AS none
            FROM here
            CROSS JOIN LATERAL (
                SELECT min(begun) AS begun
                FROM (
                    SELECT xact_start AS begun FROM pg_stat_activity WHERE backend_xid = here.xmin::XID
                    UNION ALL
                    SELECT prepared FROM pg_prepared_xacts WHERE transaction = here.xmin::XID
                ) AS candidate
            ) AS transaction
        ),
        first AS MATERIALIZED (
            SELECT COUNT(*) AS held_back, extract(EPOCH FROM clock_timestamp() - min(at))::FLOAT8 AS age
            FROM held_back
        )
        SELECT
            first.held_back AS "held_back!", -- a count is never NULL
            CASE first.held_back WHEN 0 THEN 0 ELSE least(first.age, oldest.age) END AS "behind!", -- nor is a number's age
            coalesce(oldest.age, oldest.none) AS oldest_transaction
        FROM first
        CROSS JOIN oldest
        "#,
        MOST,
    )
    .fetch_one(connection)
    .await?;
    // Clocks differ: a change may bear a time that is still to come for the server.
    let age = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Ok(FeedLag {
        behind: age(row.behind),
        held_back: row.held_back.unsigned_abs(),
        oldest_transaction: row.oldest_transaction.map(age),
    })
}
