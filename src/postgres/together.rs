//! Several callers' saves in one statement. Each is made under its own precondition, by its own author, at its own time
//! (migrations/0009_stamps.sql); none depends on another.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::apply::{Done, Written, expected, note};
use super::error::Result;
use crate::flow::Flow;
use crate::repository::{Outcome, Precondition, Stamp};

/// A save of one flow.
#[derive(Debug, Clone)]
pub(super) struct Save {
    pub(super) flow: Flow,
    pub(super) precondition: Precondition,
    pub(super) stamp: Stamp,
}

impl Save {
    pub(super) fn id(&self) -> Uuid {
        self.flow.id().as_uuid()
    }
}

/// Makes those of the saves that can be made at once, and notes them, also where it fails later. Each has another flow.
/// What is not noted was not made: its precondition does not hold, or somebody else has its flow locked, for which nobody
/// waits here.
pub(super) async fn save(connection: &mut PgConnection, saves: &[Save], done: &Mutex<Done>) -> Result<()> {
    let done = |more: Done| {
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.extend(more);
        saves.iter().filter(|save| !done.contains_key(&save.id())).collect::<Vec<_>>()
    };
    let left = done(Done::new());
    let left = done(update(connection, left).await?);
    done(insert(connection, left).await?);
    Ok(())
}

async fn update(connection: &mut PgConnection, mut saves: Vec<&Save>) -> Result<Done> {
    let mut done = Done::new();
    saves.retain(|save| save.precondition != Precondition::Absent);
    if saves.is_empty() {
        return Ok(done);
    }
    let Columns { ids, documents, times, stamps, .. } = Columns::of(&saves);
    let revisions: Vec<_> = saves.iter().map(|save| expected(save.precondition)).collect();
    // The limit is there for the planner alone. Of an array whose length it does not know it supposes ten members, so that
    // no plan for all values is ever cheap enough to be kept, and to plan this takes a fifth of a millisecond; of a limit
    // that it does not know it supposes that a tenth is left.
    let rows = sqlx::query_as!(
        Written,
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
        SET data = change.data, updated_at = change.at
        FROM stamp, before
        JOIN UNNEST($1::UUID[], $2::BIGINT[], $3::JSONB[], $4::TIMESTAMPTZ[]) AS change (id, expected, data, at)
          ON change.id = before.id AND (change.expected IS NULL OR change.expected = before.revision)
        WHERE flows.id = before.id
        RETURNING flows.id, before.revision AS before, flows.revision, created_at, updated_at, author
        "#,
        &ids,
        &revisions as &[Option<i64>],
        &documents as &[Json<&RawValue>],
        &times,
        stamps,
        SEVERAL,
    )
    .fetch_all(connection)
    .await?;
    note(&mut done, rows, |row| if row.before == Some(row.revision) { Outcome::Unchanged } else { Outcome::Replaced })?;
    Ok(done)
}

async fn insert(connection: &mut PgConnection, mut saves: Vec<&Save>) -> Result<Done> {
    let mut done = Done::new();
    saves.retain(|save| matches!(save.precondition, Precondition::Absent | Precondition::Any));
    if saves.is_empty() {
        return Ok(done);
    }
    let Columns { ids, names, documents, times, stamps } = Columns::of(&saves);
    let rows = sqlx::query_as!(
        Written,
        r#"
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', $6, TRUE), set_config('strom.stamps', $5, TRUE)
        )
        INSERT INTO flows (id, name, data, created_at, updated_at)
        SELECT change.id, change.name, change.data, change.at, change.at
        FROM stamp, UNNEST($1::UUID[], $2::TEXT[], $3::JSONB[], $4::TIMESTAMPTZ[]) AS change (id, name, data, at)
        ORDER BY change.id
        ON CONFLICT (id) DO NOTHING
        RETURNING id, NULL::BIGINT AS before, revision, created_at, updated_at, author
        "#,
        &ids,
        &names,
        &documents as &[Json<&RawValue>],
        &times,
        stamps,
        SEVERAL,
    )
    .fetch_all(connection)
    .await?;
    note(&mut done, rows, |_| Outcome::Created)?;
    Ok(done)
}

/// Says to the triggers that it is a Strom who writes (migrations/0006_notifications.sql); who it is stands in the stamps.
const SEVERAL: &str = "several";

/// The saves as a statement takes them.
struct Columns<'a> {
    ids: Vec<Uuid>,
    names: Vec<String>,
    documents: Vec<Json<&'a RawValue>>,
    times: Vec<DateTime<Utc>>,
    stamps: String,
}

/// Who has made a change, and when, as the triggers read it.
#[derive(Serialize)]
struct Made<'a> {
    at: DateTime<Utc>,
    author: &'a str,
}

impl<'a> Columns<'a> {
    fn of(saves: &[&'a Save]) -> Self {
        let made = |save: &&'a Save| (save.id(), Made { at: save.stamp.at, author: save.stamp.author.as_str() });
        let stamps: BTreeMap<_, _> = saves.iter().map(made).collect();
        Self {
            ids: saves.iter().map(|save| save.id()).collect(),
            names: saves.iter().map(|save| save.flow.head().name.clone()).collect(),
            documents: saves.iter().map(|save| Json(save.flow.document())).collect(),
            times: saves.iter().map(|save| save.stamp.at).collect(),
            stamps: serde_json::to_string(&stamps).expect("times and strings are JSON"),
        }
    }
}
