//! Deletes revisions that thin out with age, as [`Retention`](crate::repository::Retention) states.
//!
//! A round reads the records of each stage in the order of the feed, without documents. A stage never reads again what comes before
//! its first record that is too young, so a round reads about as many records as an hour and a day contain. A record that was one of the
//! last revisions of its flow is examined again when the program starts, and once per day.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use sqlx::PgConnection;

use super::bounds::{ORIGIN, column};
use super::pace::{DELETED_RECORDS, LOCK_KEY, Pace};
use super::record::cursor;
use crate::postgres::connection::Pool;
use crate::postgres::error::Result;
use crate::repository::{self, FeedCursor, THINNING, Thinning};

/// How many records one statement examines.
const EXAMINED_RECORDS: i64 = DELETED_RECORDS;
/// How often all records are examined.
const FULL_ROUND_INTERVAL: Duration = Duration::from_secs(24 * 3_600);

/// Up to where each stage has examined all records.
#[derive(Debug)]
pub(super) struct Progress {
    begins: [FeedCursor; THINNING.len()],
    since: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { begins: [ORIGIN; THINNING.len()], since: Instant::now() }
    }

    /// Runs all stages. `reference` is the time from which age counts back. Returns the number of deleted records.
    pub(super) async fn round(
        &mut self,
        pool: &Arc<Pool>,
        reference: DateTime<Utc>,
        revisions: i64,
        pace: Pace,
    ) -> repository::Result<i64> {
        if self.since.elapsed() > FULL_ROUND_INTERVAL {
            *self = Self::new();
        }
        let mut deleted = 0;
        for (stage, begin) in THINNING.into_iter().zip(&mut self.begins) {
            let Some(limit) = reference.checked_sub_signed(stage.age) else { continue };
            let (mut after, mut is_all_old) = (*begin, true);
            loop {
                let started_at = Instant::now();
                let permit = pool.patient_write().await?;
                let step = pool
                    .read(move |connection| step(connection, after, stage, limit, reference, revisions).boxed())
                    .await?;
                drop(permit);
                deleted += step.gone;
                is_all_old &= !step.has_young;
                // `None` also while another instance runs a round.
                let Some(last) = step.last else { break };
                after = last;
                if is_all_old {
                    *begin = last;
                }
                pace.pause(started_at, step.gone).await;
            }
        }
        Ok(deleted)
    }
}

/// The result of one statement.
struct Step {
    gone: i64,
    /// The last record that was examined. `None` after the last one, or while another instance runs a round.
    last: Option<FeedCursor>,
    /// Whether a record is too young. A record from the future does not count: it may stay young for years.
    has_young: bool,
}

/// Examines the records after `after`, and deletes those whose flow has a newer revision in the same period.
async fn step(
    connection: &mut PgConnection,
    after: FeedCursor,
    stage: Thinning,
    limit: DateTime<Utc>,
    reference: DateTime<Utc>,
    revisions: i64,
) -> Result<Step> {
    // `strom.direct`: the deletions do not move the start of the feed (migrations/0015_state.sql).
    let row = sqlx::query!(
        r#"
        WITH turn AS MATERIALIZED (
            SELECT pg_try_advisory_xact_lock($1) AND set_config('strom.direct', '15', TRUE) <> '' AS is_ours
        ),
        here AS MATERIALIZED (
            SELECT strom_log() AS log, pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT AS settled
        ),
        examined AS MATERIALIZED (
            SELECT change.log, horizon, number, flow_id, operation, revision, at,
                floor(extract(EPOCH FROM at) / $6::FLOAT8) AS period
            FROM turn
            CROSS JOIN here
            CROSS JOIN flow_changes AS change
            WHERE is_ours AND (change.log, horizon, number) > ($2, $3, $4) AND (change.log < here.log OR horizon <= settled)
            ORDER BY change.log, horizon, number
            LIMIT $5
        ),
        old AS MATERIALIZED (
            SELECT examined.log, examined.horizon, examined.number
            FROM examined
            WHERE operation <> 'state' AND at < $7
                AND period = (
                    SELECT floor(extract(EPOCH FROM next.at) / $6::FLOAT8)
                    FROM flow_changes AS next
                    WHERE next.flow_id = examined.flow_id AND next.operation <> 'state'
                        AND next.revision > examined.revision
                    ORDER BY next.revision
                    LIMIT 1
                )
                AND revision < (
                    SELECT last.revision
                    FROM flow_changes AS last
                    WHERE last.flow_id = examined.flow_id AND last.operation <> 'state'
                    ORDER BY last.revision DESC
                    OFFSET $9::BIGINT - 1
                    LIMIT 1
                )
        ),
        gone AS (
            DELETE FROM flow_changes AS change
            USING old
            WHERE (change.log, change.horizon, change.number) = (old.log, old.horizon, old.number)
            RETURNING 1
        )
        SELECT (SELECT COUNT(*) FROM gone) AS "gone!", last.log AS "log?", last.horizon AS "horizon?", last.number AS "number?",
            EXISTS (SELECT FROM examined WHERE at >= $7 AND at <= $8) AS "has_young!"
        FROM turn
        LEFT JOIN LATERAL (
            SELECT log, horizon, number FROM examined ORDER BY log DESC, horizon DESC, number DESC LIMIT 1
        ) AS last ON TRUE
        "#,
        LOCK_KEY,
        column(after.log)?,
        column(after.transaction)?,
        column(after.number)?,
        EXAMINED_RECORDS,
        stage.period.num_seconds() as f64,
        limit,
        reference,
        revisions,
    )
    .fetch_one(connection)
    .await?;
    let last = match (row.log, row.horizon, row.number) {
        (Some(log), Some(horizon), Some(number)) => Some(cursor(log, horizon, number)?),
        _ => None,
    };
    Ok(Step { gone: row.gone, last, has_young: row.has_young })
}
