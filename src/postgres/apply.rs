//! Changes: one statement for one change, one transaction for several.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use serde_json::value::RawValue;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::error::Result;
use super::get;
use super::pool::Pool;
use super::row;
use crate::repository::{
    self, Applied, Change, Outcome, Precondition, RepositoryError, Stamp, Violation, ViolationKind,
};

/// How often a call begins again when another writer was in between. Each time somebody else has got on.
const ATTEMPTS: usize = 100;
/// How much one statement carries, so that a large import needs no large memory on either side.
const BATCH_FLOWS: usize = 1_000;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

struct Call {
    changes: Vec<Change>,
    stamp: Stamp,
    /// The ids of the flows that the call restores, for the trigger that records their changes.
    restored: String,
}

enum Attempt {
    Done(Vec<Applied>),
    Violated(Vec<Violation>),
    /// What was seen and what was then written do not belong together: another writer was in between.
    Raced,
}

pub(super) async fn apply(pool: &Arc<Pool>, changes: Vec<Change>, stamp: Stamp) -> repository::Result<Vec<Applied>> {
    Change::check_ids(&changes)?;
    let restored = changes.iter().filter(|change| matches!(change, Change::Restore(..)));
    let restored: Vec<_> = restored.map(|change| change.id().to_string()).collect();
    let call = Arc::new(Call { changes, stamp, restored: restored.join(",") });
    for attempts in 0..ATTEMPTS {
        let call = Arc::clone(&call);
        match pool.run(move |connection| attempt(connection, Arc::clone(&call)).boxed()).await {
            Ok(Attempt::Done(applied)) => return Ok(applied),
            Ok(Attempt::Violated(violations)) => return Err(RepositoryError::Conflict(violations)),
            Ok(Attempt::Raced) => {}
            Err(error) if error.is_race() || error.is_stale_plan() => {}
            // Nothing was written, and the next connection may be one to another server.
            Err(error) if error.is_read_only_server() && attempts == 0 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(RepositoryError::Busy("other writers of the same flows were always faster".to_owned()))
}

async fn attempt(connection: &mut PgConnection, call: Arc<Call>) -> Result<Attempt> {
    if let [_] = call.changes[..] {
        return write(connection, &call).await;
    }
    let mut transaction = connection.begin().await?;
    let attempt = write(&mut transaction, &call).await?;
    match attempt {
        Attempt::Done(_) => transaction.commit().await?,
        Attempt::Violated(_) | Attempt::Raced => transaction.rollback().await?,
    }
    Ok(attempt)
}

/// Tries every change under its precondition; a statement leaves out the rows that do not fulfil theirs.
async fn write(connection: &mut PgConnection, call: &Call) -> Result<Attempt> {
    let changes = &call.changes;
    let mut done = HashMap::with_capacity(changes.len());
    for batch in batches(changes) {
        delete(connection, batch, call, &mut done).await?;
        update(connection, batch, call, &mut done).await?;
        insert(connection, batch, call, &mut done).await?;
    }
    let missed: Vec<_> =
        changes.iter().enumerate().filter(|(_, change)| !done.contains_key(&change.id().as_uuid())).collect();
    if !missed.is_empty() {
        match judge(connection, &missed, &mut done).await? {
            Some(violations) if violations.is_empty() => {}
            Some(violations) => return Ok(Attempt::Violated(violations)),
            None => return Ok(Attempt::Raced),
        }
    }
    Ok(Attempt::Done(changes.iter().filter_map(|change| done.remove(&change.id().as_uuid())).collect()))
}

fn batches(changes: &[Change]) -> impl Iterator<Item = &[Change]> {
    let mut rest = changes;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |change: &&Change| {
            bytes += change.flow().map_or(0, |flow| flow.document().get().len());
            bytes <= BATCH_BYTES
        };
        let count = rest.iter().take(BATCH_FLOWS).take_while(fits).count().max(1).min(rest.len());
        let (batch, remaining) = rest.split_at(count);
        rest = remaining;
        (!batch.is_empty()).then_some(batch)
    })
}

type Done = HashMap<Uuid, Applied>;

/// `None` asks for any revision.
fn expected(precondition: Precondition) -> Option<i64> {
    match precondition {
        Precondition::At(revision) => Some(i64::try_from(revision.number()).unwrap_or(i64::MAX)),
        Precondition::Any | Precondition::Absent | Precondition::Present => None,
    }
}

/// A row that a statement has written.
struct Written {
    id: Uuid,
    /// The revision before, where there was one.
    before: Option<i64>,
    revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    author: String,
}

fn note(done: &mut Done, rows: Vec<Written>, outcome: impl Fn(&Written) -> Outcome) -> Result<()> {
    for row in rows {
        let outcome = outcome(&row);
        let version = row::version(row.id, row.revision, row.created_at, row.updated_at, &row.author)?;
        done.insert(row.id, Applied { id: row.id.into(), outcome, version: Some(version) });
    }
    Ok(())
}

async fn insert(connection: &mut PgConnection, changes: &[Change], call: &Call, done: &mut Done) -> Result<()> {
    let (mut ids, mut names, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        if let Some(flow) = change.flow()
            && matches!(change.precondition(), Precondition::Absent | Precondition::Any)
            && !done.contains_key(&flow.id().as_uuid())
        {
            ids.push(flow.id().as_uuid());
            names.push(flow.head().name.clone());
            documents.push(Json(flow.document()));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    // In the order of ids, so that two calls never wait for each other.
    let rows = sqlx::query_as!(
        Written,
        r#"
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', $5, TRUE), set_config('strom.at', ($4::TIMESTAMPTZ)::TEXT, TRUE),
                set_config('strom.restored', $6, TRUE)
        )
        INSERT INTO flows (id, name, data, created_at, updated_at)
        SELECT change.id, change.name, change.data, $4, $4
        FROM stamp, UNNEST($1::UUID[], $2::TEXT[], $3::JSONB[]) AS change (id, name, data)
        ORDER BY change.id
        ON CONFLICT (id) DO NOTHING
        RETURNING id, NULL::BIGINT AS before, revision, created_at, updated_at, author
        "#,
        &ids,
        &names,
        &documents as &[Json<&RawValue>],
        call.stamp.at,
        call.stamp.author.as_str(),
        call.restored,
    )
    .fetch_all(connection)
    .await?;
    note(done, rows, |_| Outcome::Created)
}

async fn update(connection: &mut PgConnection, changes: &[Change], call: &Call, done: &mut Done) -> Result<()> {
    let (mut ids, mut revisions, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        if let Some(flow) = change.flow()
            && change.precondition() != Precondition::Absent
        {
            ids.push(flow.id().as_uuid());
            revisions.push(expected(change.precondition()));
            documents.push(Json(flow.document()));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    // `before` locks in the order of ids and reads what is committed by then; the precondition is checked against that.
    let rows = sqlx::query_as!(
        Written,
        r#"
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', $5, TRUE), set_config('strom.at', ($4::TIMESTAMPTZ)::TEXT, TRUE),
                set_config('strom.restored', $6, TRUE)
        ),
        before AS MATERIALIZED (SELECT id, revision FROM flows WHERE id = ANY($1) ORDER BY id FOR UPDATE)
        UPDATE flows
        SET data = change.data, updated_at = $4
        FROM stamp, before
        JOIN UNNEST($1::UUID[], $2::BIGINT[], $3::JSONB[]) AS change (id, expected, data)
          ON change.id = before.id AND (change.expected IS NULL OR change.expected = before.revision)
        WHERE flows.id = before.id
        RETURNING flows.id, before.revision AS before, flows.revision, created_at, updated_at, author
        "#,
        &ids,
        &revisions as &[Option<i64>],
        &documents as &[Json<&RawValue>],
        call.stamp.at,
        call.stamp.author.as_str(),
        call.restored,
    )
    .fetch_all(connection)
    .await?;
    note(done, rows, |row| if row.before == Some(row.revision) { Outcome::Unchanged } else { Outcome::Replaced })
}

async fn delete(connection: &mut PgConnection, changes: &[Change], call: &Call, done: &mut Done) -> Result<()> {
    let (mut ids, mut revisions) = (Vec::new(), Vec::new());
    for change in changes {
        if let Change::Delete(id, precondition) = change
            && *precondition != Precondition::Absent
        {
            ids.push(id.as_uuid());
            revisions.push(expected(*precondition));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    // The deletion is a change like any other and has the next revision (migrations/0003_revisions.sql). Neither it nor
    // the two parameters are ever NULL.
    let rows = sqlx::query_as!(
        Written,
        r#"
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', $4, TRUE), set_config('strom.at', ($3::TIMESTAMPTZ)::TEXT, TRUE)
        ),
        before AS MATERIALIZED (SELECT id, revision FROM flows WHERE id = ANY($1) ORDER BY id FOR UPDATE)
        DELETE FROM flows
        USING stamp, before
        JOIN UNNEST($1::UUID[], $2::BIGINT[]) AS change (id, expected)
          ON change.id = before.id AND (change.expected IS NULL OR change.expected = before.revision)
        WHERE flows.id = before.id
        RETURNING flows.id, before.revision AS before, flows.revision + 1 AS "revision!", created_at,
            $3 AS "updated_at!", $4 AS "author!"
        "#,
        &ids,
        &revisions as &[Option<i64>],
        call.stamp.at,
        call.stamp.author.as_str(),
    )
    .fetch_all(connection)
    .await?;
    note(done, rows, |_| Outcome::Deleted)
}

/// Finds out why changes were not made. `None` when what is there now would not have stopped one of them.
async fn judge(
    connection: &mut PgConnection,
    missed: &[(usize, &Change)],
    done: &mut Done,
) -> Result<Option<Vec<Violation>>> {
    let ids: Vec<_> = missed.iter().map(|(_, change)| change.id().as_uuid()).collect();
    let mut found: HashMap<_, _> =
        get::some(connection, &ids).await?.into_iter().map(|flow| (flow.item.id(), flow)).collect();
    let mut violations = Vec::new();
    for &(index, change) in missed {
        let id = change.id();
        let kind = match (change, change.precondition(), found.remove(&id)) {
            (Change::Delete(..), Precondition::Any | Precondition::Absent, None) => {
                done.insert(id.as_uuid(), Applied { id, outcome: Outcome::Absent, version: None });
                continue;
            }
            (_, Precondition::Absent, Some(_)) => ViolationKind::AlreadyExists,
            (_, Precondition::Present | Precondition::At(_), None) => ViolationKind::NotFound,
            (_, Precondition::At(expected), Some(current)) if current.version.revision != expected => {
                ViolationKind::Stale { expected, current: Box::new(current) }
            }
            _ => return Ok(None),
        };
        violations.push(Violation { index, id, kind });
    }
    Ok(Some(violations))
}
