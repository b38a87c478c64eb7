//! Saves several flows in one statement. Each save has its own precondition, author and time
//! (migrations/0009_stamps.sql), and fails or succeeds independently of the others.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::outcomes::{Expected, Outcomes, WrittenRow, record_outcomes};
use crate::flow::Flow;
use crate::postgres::error::{Error, Result};
use crate::postgres::time::Time;
use crate::repository::{Outcome, Precondition, Stamp};

/// The save of one flow.
#[derive(Debug, Clone)]
pub(crate) struct Save {
    pub(crate) flow: Flow,
    pub(crate) precondition: Precondition,
    pub(crate) stamp: Stamp,
}

impl Save {
    pub(super) fn id(&self) -> Uuid {
        self.flow.id().as_uuid()
    }
}

/// How long a batch waits for a row, as in the statement of `insert`.
const ROW_LOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// Saves the flows that can be saved at once, each of them another flow. Records the outcome of each save, also if a
/// later statement fails.
///
/// A save without an outcome was skipped: its precondition does not hold, or another writer has locked its flow.
pub(super) async fn save(connection: &mut PgConnection, saves: &[Save], recorder: &Mutex<Outcomes>) -> Result<()> {
    // Records outcomes, and returns the saves that have none yet.
    let record = |new: Outcomes| {
        let mut outcomes = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.extend(new);
        saves.iter().filter(|save| !outcomes.contains_key(&save.id())).collect::<Vec<_>>()
    };
    let remaining = record(Outcomes::new());
    let remaining = record(update(connection, remaining).await?);
    let started_at = Instant::now();
    match insert(connection, remaining).await {
        // Not if the statement has waited for a lock on the table, for as long as the session allows.
        Err(error) if error.is_lock_timeout() && started_at.elapsed() < 10 * ROW_LOCK_TIMEOUT => {
            Err(Error::LockedInBatch)
        }
        outcomes => {
            record(outcomes?);
            Ok(())
        }
    }
}

async fn update(connection: &mut PgConnection, mut saves: Vec<&Save>) -> Result<Outcomes> {
    let mut outcomes = Outcomes::new();
    saves.retain(|save| save.precondition != Precondition::Absent);
    if saves.is_empty() {
        return Ok(outcomes);
    }
    let Columns { ids, documents, times, stamps, .. } = Columns::of(&saves);
    let mut expected = Expected::default();
    saves.iter().for_each(|save| expected.push(save.precondition));
    // `LIMIT cardinality($1)` changes nothing but the planner's estimate. The planner assumes ten elements for an array
    // of unknown length, so a generic plan never looks cheap enough to be cached, and planning takes 0.2 ms each time.
    // For an unknown limit it assumes a tenth of the rows.
    let rows = sqlx::query_as!(
        WrittenRow,
        r#"
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', $6, TRUE), set_config('strom.stamps', $5, TRUE)
        ),
        before AS MATERIALIZED (
            SELECT flows.id, revision
            FROM (SELECT unnest($1::UUID[]) AS id LIMIT cardinality($1)) AS wanted
            JOIN flows ON flows.id = wanted.id
            ORDER BY flows.id
            FOR UPDATE OF flows SKIP LOCKED
        )
        UPDATE flows
        SET data = change.data, revision = 0, updated_at = change.at
        FROM stamp, before
        JOIN UNNEST($1::UUID[], $2::BIGINT[], $7::BYTEA[], $3::JSONB[], $4::TIMESTAMPTZ[])
             AS change (id, expected, document, data, at)
          ON change.id = before.id AND (change.expected IS NULL OR change.expected = before.revision)
        WHERE flows.id = before.id
          AND (change.document IS NULL OR change.document = sha256(convert_to(flows.data::TEXT, 'UTF8')))
        RETURNING flows.id, before.revision AS before, flows.revision,
            created_at AS "created_at: Time", updated_at AS "updated_at: Time", author
        "#,
        &ids,
        &expected.revisions as &[Option<i64>],
        &documents as &[Json<&RawValue>],
        &times,
        stamps,
        BATCH_AUTHOR,
        &expected.documents as &[Option<Vec<u8>>],
    )
    .fetch_all(connection)
    .await?;
    record_outcomes(&mut outcomes, rows, |row| {
        if row.before == Some(row.revision) { Outcome::Unchanged } else { Outcome::Replaced }
    })?;
    Ok(outcomes)
}

async fn insert(connection: &mut PgConnection, mut saves: Vec<&Save>) -> Result<Outcomes> {
    let mut outcomes = Outcomes::new();
    saves.retain(|save| matches!(save.precondition, Precondition::Absent | Precondition::Any));
    if saves.is_empty() {
        return Ok(outcomes);
    }
    let Columns { ids, names, documents, times, stamps } = Columns::of(&saves);
    // `ON CONFLICT` waits for a transaction that has inserted, changed or deleted the same row, so the statement has a
    // short lock timeout. Then the saves run alone.
    let rows = sqlx::query_as!(
        WrittenRow,
        r#"
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', $6, TRUE), set_config('strom.stamps', $5, TRUE),
                set_config('lock_timeout', '100ms', TRUE)
        )
        INSERT INTO flows (id, name, data, revision, created_at, updated_at)
        SELECT change.id, change.name, change.data, 0, change.at, change.at
        FROM stamp, UNNEST($1::UUID[], $2::TEXT[], $3::JSONB[], $4::TIMESTAMPTZ[]) AS change (id, name, data, at)
        ORDER BY change.id
        ON CONFLICT (id) DO NOTHING
        RETURNING id, NULL::BIGINT AS before, revision,
            created_at AS "created_at: Time", updated_at AS "updated_at: Time", author
        "#,
        &ids,
        &names,
        &documents as &[Json<&RawValue>],
        &times,
        stamps,
        BATCH_AUTHOR,
    )
    .fetch_all(connection)
    .await?;
    record_outcomes(&mut outcomes, rows, |_| Outcome::Created)?;
    Ok(outcomes)
}

/// Signals to the triggers that an instance writes (migrations/0006_notifications.sql). The stamps name the actual authors.
const BATCH_AUTHOR: &str = "several";

/// The saves as arrays for a statement.
struct Columns<'a> {
    ids: Vec<Uuid>,
    names: Vec<String>,
    documents: Vec<Json<&'a RawValue>>,
    times: Vec<DateTime<Utc>>,
    stamps: String,
}

/// The author and time of a save, as the triggers read them.
#[derive(Serialize)]
struct SaveStamp<'a> {
    at: DateTime<Utc>,
    author: &'a str,
}

impl<'a> Columns<'a> {
    fn of(saves: &[&'a Save]) -> Self {
        let stamp = |save: &&'a Save| (save.id(), SaveStamp { at: save.stamp.at, author: save.stamp.author.as_str() });
        let stamps: BTreeMap<_, _> = saves.iter().map(stamp).collect();
        Self {
            ids: saves.iter().map(|save| save.id()).collect(),
            names: saves.iter().map(|save| save.flow.head().name.clone()).collect(),
            documents: saves.iter().map(|save| Json(save.flow.document())).collect(),
            times: saves.iter().map(|save| save.stamp.at).collect(),
            stamps: serde_json::to_string(&stamps).expect("times and strings are JSON"),
        }
    }
}
