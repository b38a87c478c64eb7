//! Lets go of changes that [`Retention`] does not ask for any more, beside everything else that goes on.
//!
//! A round goes from flow to flow in the order of their ids and looks at the oldest revision of each and at its reports, by
//! indexes that saves maintain anyway or do not touch (migrations/0007). An index over the time would be one more for every
//! save to maintain, and would lead again and again to what is old and stays: the last revisions of flows that nobody
//! changes.
//!
//! One statement looks at some hundred flows and deletes some hundred records at most. It is a transaction of its own and
//! locks nothing that anybody else would, so nobody waits for it. What the feed has not shown yet stays. How far the feed
//! has lost its beginning is noted by a trigger (migrations/0004).
//!
//! There is no clock here: age is counted back from the newest change, so where nothing changes nothing goes, and a round
//! begins only when something has changed since the last one. The revisions of a flow go in their order, the oldest first;
//! its history has no gaps even where times went backwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike, Utc};
use futures::FutureExt;
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::Result;
use super::pool::Pool;
use super::record::cursor;
use crate::repository::{self, FeedCursor, Retention};

/// Between two rounds, and before the first: who opens the store for a moment has other things to do. At a hundred saves
/// of 20 kB per second some hundred megabytes gather meanwhile, which is little beside what is kept.
const REST: Duration = Duration::from_secs(60);
/// How many times as long as it took one waits after a statement that has found nothing: looking takes a twentieth of one
/// connection at most, however many flows there are.
const PAUSE_AFTER_LOOKING: u32 = 20;
/// And after one that has deleted something, which must keep up with those who save.
const PAUSE_AFTER_DELETING: u32 = 1;
/// At how many flows one statement looks, and how many records it deletes.
const FLOWS: i32 = 500;
const RECORDS: i64 = 500;
/// The key of the advisory lock that a statement tries, held until its end; "RETAIN" in ASCII. A lock of the session would
/// not pass a pooler.
const LOCK_KEY: i64 = 0x52_45_54_41_49_4e;

/// Keeps as much history as is asked for. Ends with its task.
pub(super) async fn keep(pool: Arc<Pool>, retention: Retention) {
    let mut seen = None;
    loop {
        tokio::time::sleep(REST).await;
        match round(&pool, retention, seen, Pace::Considerate).await {
            Ok(newest) => seen = newest,
            // Whoever meets it first tells it, and it ends by itself.
            Err(error) if error.is_retryable() => tracing::debug!(%error, "old changes stay for now"),
            Err(error) => tracing::warn!(%error, "old changes cannot be deleted, so the history grows"),
        }
    }
}

/// Whether others are to notice nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// With pauses between the statements.
    Considerate,
    /// One after the other.
    #[cfg(feature = "testkit")]
    AtOnce,
}

/// Goes through all flows, unless nothing has changed since the change that was the newest one then. Gives the newest one.
pub(super) async fn round(
    pool: &Arc<Pool>,
    retention: Retention,
    seen: Option<FeedCursor>,
    pace: Pace,
) -> repository::Result<Option<FeedCursor>> {
    let newest = pool.read(|connection| newest(connection).boxed()).await?;
    let Some((place, at)) = newest.filter(|(place, _)| seen != Some(*place)) else { return Ok(seen) };
    let since = begin(at, retention);
    // That of a flow that is there is kept, whatever is asked for.
    let revisions = i64::from(retention.revisions.max(1));
    let (mut behind, mut gone) = (None, 0);
    loop {
        let began = Instant::now();
        let step = pool.read(move |connection| step(connection, behind, since, revisions).boxed()).await?;
        gone += step.gone;
        // Where it has deleted as many as it may, there may be more of the same flows.
        if step.gone < RECORDS {
            // None where another instance is at it, either.
            let Some(last) = step.last else { break };
            behind = Some(last);
        }
        if pace == Pace::Considerate {
            let times = if step.gone > 0 { PAUSE_AFTER_DELETING } else { PAUSE_AFTER_LOOKING };
            tokio::time::sleep(began.elapsed() * times).await;
        }
    }
    if gone > 0 {
        tracing::debug!(gone, "deleted old changes");
    }
    Ok(Some(place))
}

/// What was made before this is old; `None` where nothing is, since PostgreSQL's times begin in the year -4713.
fn begin(newest: DateTime<Utc>, retention: Retention) -> Option<DateTime<Utc>> {
    newest.checked_sub_signed(retention.age).filter(|since| since.year() > -4713)
}

/// The last change of all, its place and its time.
async fn newest(connection: &mut PgConnection) -> Result<Option<(FeedCursor, DateTime<Utc>)>> {
    let row = sqlx::query!(
        "SELECT log, horizon, number, at FROM flow_changes ORDER BY log DESC, horizon DESC, number DESC LIMIT 1"
    )
    .fetch_optional(connection)
    .await?;
    match row {
        Some(row) => Ok(Some((cursor(row.log, row.horizon, row.number)?, row.at))),
        None => Ok(None),
    }
}

/// What a statement has done.
struct Step {
    /// How many records it has deleted. A count is never NULL.
    gone: i64,
    /// The last flow that it has looked at; `None` behind the last of all, or while another instance is at it.
    last: Option<Uuid>,
}

/// Looks at the next flows behind one and deletes of them what may go.
async fn step(
    connection: &mut PgConnection,
    behind: Option<Uuid>,
    since: Option<DateTime<Utc>>,
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
                -- Reports before the deletion: when that has gone as well, nobody finds them.
                SELECT report.log, report.horizon, report.number
                FROM flow_changes AS report
                WHERE flow_id = flow.id AND operation = 'state'
                  AND (report.log < here.log OR horizon <= settled)
                  AND EXISTS (SELECT FROM flow_changes WHERE flow_id = flow.id AND number > report.number)
                UNION ALL
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
        behind,
        FLOWS,
        since,
        revisions,
        RECORDS,
        true,
    )
    .fetch_one(connection)
    .await?)
}
