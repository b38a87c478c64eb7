//! Changes: one statement for one change, one transaction for several.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use serde_json::value::RawValue;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};
use tokio::task::{JoinHandle, spawn_blocking};
use uuid::Uuid;

use super::adopt;
use super::error::{Error, Result};
use super::get;
use super::pool::Pool;
use super::row;
use crate::flow::Flow;
use crate::repository::{
    self, Applied, Change, ChangeList, Outcome, Precondition, RepositoryError, Stamp, Violation, ViolationKind,
    check_ids,
};

/// How often a call begins again when another writer was in between. Each time somebody else has got on.
const ATTEMPTS: usize = 100;
/// How much one statement carries, so that a large import needs no large memory on either side.
const BATCH_FLOWS: usize = 1_000;
pub(super) const BATCH_BYTES: usize = 16 * 1024 * 1024;

struct Call {
    changes: Arc<dyn ChangeList>,
    stamp: Stamp,
}

enum Attempt {
    Done(Vec<Applied>),
    Violated(Vec<Violation>),
    /// What was seen and what was then written do not belong together: another writer was in between.
    Raced,
}

pub(super) async fn apply(
    pool: &Arc<Pool>,
    changes: Arc<dyn ChangeList>,
    stamp: Stamp,
) -> repository::Result<Vec<Applied>> {
    check_ids(&*changes)?;
    let call = Arc::new(Call { changes, stamp });
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
    // A statement is a transaction of its own; a flow that comes with its history takes several.
    if call.changes.len() == 1 && !matches!(Reading::begin(&call, 0).finish().await?[..], [Change::Inherit(_)]) {
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
    let count = call.changes.len();
    let mut applied = Vec::with_capacity(count);
    let mut violations = Vec::new();
    let mut restored = String::new();
    let mut next = 0;
    let mut reading = (count > 0).then(|| Reading::begin(call, 0));
    while let Some(begun) = reading.take() {
        let changes = begun.finish().await?;
        // The next ones are read while the server works at these.
        let behind = next + changes.len();
        reading = (behind < count).then(|| Reading::begin(call, behind));
        let batch =
            Batch { changes: &changes, first: next, stamp: &call.stamp, restored: restored_by(&changes, restored) };
        let mut done = HashMap::with_capacity(changes.len());
        delete(connection, &batch, &mut done).await?;
        update(connection, &batch, &mut done).await?;
        insert(connection, &batch, &mut done).await?;
        adopt::histories(connection, &batch, &mut done).await?;
        adopt::flows(connection, &batch, &mut done).await?;
        match judge(connection, &batch, &mut done).await? {
            Some(more) => violations.extend(more),
            None => return Ok(Attempt::Raced),
        }
        applied.extend(changes.iter().filter_map(|change| done.remove(&change.id().as_uuid())));
        next += changes.len();
        restored = batch.restored;
    }
    Ok(if violations.is_empty() { Attempt::Done(applied) } else { Attempt::Violated(violations) })
}

/// Changes that one statement carries.
pub(super) struct Batch<'a> {
    pub(super) changes: &'a [Change],
    /// The place of the first one among all.
    first: usize,
    pub(super) stamp: &'a Stamp,
    /// The ids of the flows that the call has restored so far, for the trigger that records its changes at the end.
    restored: String,
}

fn restored_by(changes: &[Change], mut restored: String) -> String {
    for change in changes.iter().filter(|change| matches!(change, Change::Restore(..))) {
        if !restored.is_empty() {
            restored.push(',');
        }
        restored.push_str(&change.id().to_string());
    }
    restored
}

/// The changes of a batch, at least one, while they are read. Several may have to be read from a disk, where nobody else
/// waits for it.
enum Reading {
    Done(io::Result<Vec<Change>>),
    Begun(JoinHandle<io::Result<Vec<Change>>>),
}

impl Reading {
    fn begin(call: &Call, first: usize) -> Self {
        let changes = Arc::clone(&call.changes);
        match call.changes.len() {
            1 => Self::Done(read(&*changes, first)),
            _ => Self::Begun(spawn_blocking(move || read(&*changes, first))),
        }
    }

    async fn finish(self) -> Result<Vec<Change>> {
        let read = match self {
            Self::Done(read) => read,
            Self::Begun(reading) => reading.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked))),
        };
        read.map_err(Error::Unreadable)
    }
}

fn read(changes: &dyn ChangeList, first: usize) -> io::Result<Vec<Change>> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    for index in first..changes.len().min(first + BATCH_FLOWS) {
        let change = changes.change(index)?;
        bytes += size(&change);
        // What does not fit is read again for the next batch.
        if bytes > BATCH_BYTES && !batch.is_empty() {
            break;
        }
        batch.push(change);
    }
    Ok(batch)
}

fn size(change: &Change) -> usize {
    let size = |flow: &Flow| flow.document().get().len();
    let history = match change {
        Change::Inherit(chronicle) => chronicle.records().iter().map(|record| size(&record.item)).sum(),
        _ => 0,
    };
    history + change.flow().map_or(0, size)
}

pub(super) type Done = HashMap<Uuid, Applied>;

/// `None` asks for any revision.
pub(super) fn expected(precondition: Precondition) -> Option<i64> {
    match precondition {
        Precondition::At(revision) => Some(i64::try_from(revision.number()).unwrap_or(i64::MAX)),
        Precondition::Any | Precondition::Absent | Precondition::Present => None,
    }
}

/// A row that a statement has written.
pub(super) struct Written {
    pub(super) id: Uuid,
    /// The revision before, where there was one.
    pub(super) before: Option<i64>,
    pub(super) revision: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) author: String,
}

pub(super) fn note(done: &mut Done, rows: Vec<Written>, outcome: impl Fn(&Written) -> Outcome) -> Result<()> {
    for row in rows {
        let outcome = outcome(&row);
        let version = row::version(row.id, row.revision, row.created_at, row.updated_at, &row.author)?;
        done.insert(row.id, Applied { id: row.id.into(), outcome, version: Some(version) });
    }
    Ok(())
}

async fn insert(connection: &mut PgConnection, batch: &Batch<'_>, done: &mut Done) -> Result<()> {
    let (mut ids, mut names, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for change in batch.changes {
        if let Change::Put(flow, precondition) | Change::Restore(flow, precondition) = change
            && matches!(precondition, Precondition::Absent | Precondition::Any)
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
        batch.stamp.at,
        batch.stamp.author.as_str(),
        batch.restored.as_str(),
    )
    .fetch_all(connection)
    .await?;
    note(done, rows, |_| Outcome::Created)
}

async fn update(connection: &mut PgConnection, batch: &Batch<'_>, done: &mut Done) -> Result<()> {
    let (mut ids, mut revisions, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for change in batch.changes {
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
        batch.stamp.at,
        batch.stamp.author.as_str(),
        batch.restored.as_str(),
    )
    .fetch_all(connection)
    .await?;
    note(done, rows, |row| if row.before == Some(row.revision) { Outcome::Unchanged } else { Outcome::Replaced })
}

async fn delete(connection: &mut PgConnection, batch: &Batch<'_>, done: &mut Done) -> Result<()> {
    let (mut ids, mut revisions) = (Vec::new(), Vec::new());
    for change in batch.changes {
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
        batch.stamp.at,
        batch.stamp.author.as_str(),
    )
    .fetch_all(connection)
    .await?;
    note(done, rows, |_| Outcome::Deleted)
}

/// Finds out why changes were not made, if some were not. `None` when what is there now would not have stopped one of them.
async fn judge(connection: &mut PgConnection, batch: &Batch<'_>, done: &mut Done) -> Result<Option<Vec<Violation>>> {
    let missed: Vec<_> =
        batch.changes.iter().enumerate().filter(|(_, change)| !done.contains_key(&change.id().as_uuid())).collect();
    if missed.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let ids: Vec<_> = missed.iter().map(|(_, change)| change.id().as_uuid()).collect();
    let mut found: HashMap<_, _> =
        get::some(connection, &ids).await?.into_iter().map(|flow| (flow.item.id(), flow)).collect();
    let mut violations = Vec::new();
    for (index, change) in missed {
        let id = change.id();
        let kind = match (change, change.precondition(), found.remove(&id)) {
            // One that was deleted, and whose revisions this store has given before.
            (Change::Inherit(chronicle), _, None) if chronicle.now().is_none() => {
                done.insert(id.as_uuid(), Applied { id, outcome: Outcome::Absent, version: None });
                continue;
            }
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
        violations.push(Violation { index: batch.first + index, id, kind });
    }
    Ok(Some(violations))
}
