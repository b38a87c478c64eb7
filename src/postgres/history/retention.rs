//! Deletes expired changes in the background, as [`Retention`] demands.
//!
//! A round thins out revisions (thinning.rs), then visits the flows in the order of their ids. For each it examines the oldest
//! revision, through an index that saves maintain anyway. An index over the time would be another index for every save to
//! maintain. It would also lead again and again to old records that stay: the last revisions of flows that do not change.
//!
//! One statement examines a few hundred flows and deletes at most a few hundred records. It is its own transaction and
//! takes no lock that another statement needs. Changes that the feed has not shown yet stay. A trigger records up to
//! where the feed was deleted (migrations/0004), except for revisions that thin out.
//!
//! Age counts back from the newest change, and at most from the current time of the server: a change with a time in the future
//! makes no other record old. A jump of the server's clock, or a change from the future, pauses the rounds
//! (retention_clock.rs). A round starts only after a change. Expired revisions of a flow are deleted oldest first, even if times
//! went backwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike, Utc};
use futures::FutureExt;
use sqlx::PgConnection;
use uuid::Uuid;

use super::pace::{DELETED_RECORDS, LOCK_KEY, Pace};
use super::record::cursor;
use super::thinning::Progress;
use crate::background::End;
use crate::postgres::connection::Pool;
use crate::postgres::error::Result;
use crate::postgres::time::Time;
use crate::repository::{self, FeedCursor, Retention};
use crate::retention_clock::RetentionClock;

/// Pause between two rounds, and before the first, so that a program that opens the store briefly starts none. At 100
/// saves of 20 kB per second, some hundred megabytes accumulate in that time.
const ROUND_INTERVAL: Duration = Duration::from_secs(60);
/// The maximum number of flows that one statement examines.
const EXAMINED_FLOWS: i32 = 500;

/// Runs a round after each interval.
pub(crate) async fn delete_expired_periodically(
    pool: Arc<Pool>,
    retention: Retention,
    clock: Arc<RetentionClock>,
) -> End {
    let mut round = Round::new();
    loop {
        tokio::time::sleep(ROUND_INTERVAL).await;
        match round.delete_expired(&pool, retention, &clock, Pace::Considerate).await {
            Ok(()) => {}
            // Other calls report outages, and the next round may succeed.
            Err(error) if error.is_retryable() => tracing::debug!(%error, "cannot delete expired changes; retrying \
                later"),
            Err(error) => tracing::warn!(%error, "cannot delete expired changes, so the history grows"),
        }
    }
}

/// What the last round has seen.
#[derive(Debug)]
pub(crate) struct Round {
    newest: Option<FeedCursor>,
    thinning: Progress,
}

impl Round {
    /// Returns the state before the first round.
    pub(crate) fn new() -> Self {
        Self { newest: None, thinning: Progress::new() }
    }

    /// Runs a round, unless nothing has changed since the last one or the clock has jumped.
    pub(crate) async fn delete_expired(
        &mut self,
        pool: &Arc<Pool>,
        retention: Retention,
        clock: &RetentionClock,
        pace: Pace,
    ) -> repository::Result<()> {
        let Some(newest) = pool.read(|connection| newest(connection).boxed()).await? else { return Ok(()) };
        clock.observe(newest.now);
        clock.observe_record(newest.at.max(newest.latest));
        if self.newest == Some(newest.cursor) || clock.is_paused() {
            return Ok(());
        }
        let reference = clock.reference(newest.at);
        // The current revision of a flow always stays.
        let revisions = i64::from(retention.revisions.max(1));
        let mut deleted = 0;
        if let Some(reference) = reference {
            deleted += self.thinning.round(pool, reference, revisions, pace).await?;
        }
        let cutoff = reference.and_then(|reference| cutoff(reference, retention));
        deleted += delete_older(pool, cutoff, revisions, pace).await?;
        if deleted > 0 {
            tracing::debug!(deleted, "deleted expired changes");
        }
        self.newest = Some(newest.cursor);
        Ok(())
    }
}

/// Deletes the revisions from before `cutoff`, except the last ones. Returns their number.
async fn delete_older(
    pool: &Arc<Pool>,
    cutoff: Option<DateTime<Utc>>,
    revisions: i64,
    pace: Pace,
) -> repository::Result<i64> {
    let (mut after, mut deleted) = (None, 0);
    loop {
        let started_at = Instant::now();
        // The statement may wait for records that another session has locked.
        let permit = pool.patient_write().await?;
        let step = pool.read(move |connection| step(connection, after, cutoff, revisions).boxed()).await?;
        drop(permit);
        deleted += step.gone;
        // A statement that reached its limit may have left expired records of the same flows.
        if step.gone < DELETED_RECORDS {
            // `None` also while another instance runs a round.
            let Some(last) = step.last else { return Ok(deleted) };
            after = Some(last);
        }
        pace.pause(started_at, step.gone).await;
    }
}

/// Returns the time before which changes are expired. `None` if none is: PostgreSQL's times begin in the year -4713.
fn cutoff(reference: DateTime<Utc>, retention: Retention) -> Option<DateTime<Utc>> {
    reference.checked_sub_signed(retention.age).filter(|cutoff| cutoff.year() > -4713)
}

/// The newest change, and what the server's clock shows.
struct Newest {
    cursor: FeedCursor,
    at: DateTime<Utc>,
    /// The latest time of a flow.
    latest: DateTime<Utc>,
    now: DateTime<Utc>,
}

async fn newest(connection: &mut PgConnection) -> Result<Option<Newest>> {
    // `!`: the clock never returns NULL, and the time of the change takes the place of a flow's if there is no flow.
    let row = sqlx::query!(
        r#"
        SELECT log, horizon, number, at AS "at: Time",
            coalesce((SELECT max(updated_at) FROM flows), at) AS "latest!: Time",
            clock_timestamp() AS "now!: Time"
        FROM flow_changes
        ORDER BY log DESC, horizon DESC, number DESC
        LIMIT 1
        "#
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let cursor = cursor(row.log, row.horizon, row.number)?;
    Ok(Some(Newest { cursor, at: row.at.into(), latest: row.latest.into(), now: row.now.into() }))
}

/// The result of one statement.
struct Step {
    /// Number of deleted records. A count is never NULL.
    gone: i64,
    /// The last flow that was examined. `None` after the last flow, or while another instance runs a round.
    last: Option<Uuid>,
}

/// Examines the flows after `after`, and deletes their expired records.
async fn step(
    connection: &mut PgConnection,
    after: Option<Uuid>,
    cutoff: Option<DateTime<Utc>>,
    revisions: i64,
) -> Result<Step> {
    Ok(sqlx::query_as!(
        Step,
        r#"
        WITH RECURSIVE turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($1) AS is_ours),
        here AS MATERIALIZED (
            SELECT strom_log() AS log, pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT AS settled
        ),
        -- From id to id by steps in an index.
        flow AS (
            (
                SELECT change.flow_id AS id, 1 AS place
                FROM turn
                CROSS JOIN flow_changes AS change
                WHERE is_ours AND operation <> 'state' AND ($2::UUID IS NULL OR change.flow_id > $2)
                  AND ($7 OR strom_plan_anew())
                ORDER BY change.flow_id
                LIMIT 1
            )
            UNION ALL
            SELECT next.flow_id, place + 1
            FROM flow
            CROSS JOIN LATERAL (
                SELECT change.flow_id
                FROM flow_changes AS change
                WHERE operation <> 'state' AND change.flow_id > flow.id
                ORDER BY change.flow_id
                LIMIT 1
            ) AS next
            WHERE place < $3
        ),
        old AS MATERIALIZED (
            SELECT change.log, change.horizon, change.number
            FROM flow
            CROSS JOIN here
            CROSS JOIN LATERAL (
                SELECT operation = 'delete' AND at < $4 AS is_gone
                FROM flow_changes
                WHERE flow_id = flow.id AND operation <> 'state'
                ORDER BY revision DESC
                LIMIT 1
            ) AS last
            CROSS JOIN LATERAL (
                SELECT at < $4 AS is_old
                FROM flow_changes
                WHERE flow_id = flow.id AND operation <> 'state'
                ORDER BY revision
                LIMIT 1
            ) AS first
            CROSS JOIN LATERAL (
                SELECT oldest.log, oldest.horizon, oldest.number
                FROM (
                    SELECT candidate.log, candidate.horizon, candidate.number,
                        bool_and(at < $4 AND (candidate.log < here.log OR horizon <= settled)) OVER (ORDER BY revision)
                            AS may_go
                    FROM (
                        SELECT log, horizon, number, revision, at
                        FROM flow_changes
                        WHERE first.is_old AND flow_id = flow.id AND operation <> 'state'
                          AND (
                            last.is_gone
                            OR revision < (
                                SELECT revision
                                FROM flow_changes
                                WHERE flow_id = flow.id AND operation <> 'state'
                                ORDER BY revision DESC
                                OFFSET $5::BIGINT - 1
                                LIMIT 1
                            )
                          )
                        ORDER BY revision
                        LIMIT $6
                    ) AS candidate
                ) AS oldest
                WHERE may_go
            ) AS change
            LIMIT $6
        ),
        gone AS (
            DELETE FROM flow_changes AS change
            USING old
            WHERE (change.log, change.horizon, change.number) = (old.log, old.horizon, old.number)
            RETURNING 1
        )
        SELECT (SELECT COUNT(*) FROM gone) AS "gone!", (SELECT id FROM flow ORDER BY place DESC LIMIT 1) AS last
        "#,
        LOCK_KEY,
        after,
        EXAMINED_FLOWS,
        cutoff,
        revisions,
        DELETED_RECORDS,
        true,
    )
    .fetch_one(connection)
    .await?)
}
