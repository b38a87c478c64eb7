//! Flows that move here from another store, with their histories where those are carried along.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::apply::{BATCH_BYTES, Batch, Done, Written, note};
use super::error::Result;
use super::history::column;
use crate::flow::{Flow, FlowId};
use crate::repository::{Applied, Change, Outcome, Record, Revision, Stored, Version};

fn moved(change: &Change) -> Option<&Stored<Flow>> {
    match change {
        Change::Adopt(stored) => Some(stored),
        Change::Inherit(chronicle) => chronicle.now(),
        _ => None,
    }
}

/// Flows of other stores. The triggers keep the author and the revision that an insert brings along where the transaction
/// names no author, as in a restored dump; they count on from a tombstone.
pub(super) async fn flows(connection: &mut PgConnection, batch: &Batch<'_>, done: &mut Done) -> Result<()> {
    let (mut ids, mut names, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    let (mut revisions, mut created, mut updated, mut authors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for change in batch.changes {
        if let Some(Stored { item: flow, version }) = moved(change) {
            let version = version.adopted(None)?;
            ids.push(flow.id().as_uuid());
            names.push(flow.head().name.clone());
            documents.push(Json(flow.document()));
            revisions.push(column(version.revision));
            created.push(version.created_at);
            updated.push(version.updated_at);
            authors.push(version.author.as_str().to_owned());
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query_as!(
        Written,
        r#"
        WITH stamp AS MATERIALIZED (SELECT set_config('strom.author', '', TRUE))
        INSERT INTO flows (id, name, data, revision, created_at, updated_at, author)
        SELECT change.id, change.name, change.data, change.revision, change.created_at, change.updated_at, change.author
        FROM stamp, UNNEST(
            $1::UUID[], $2::TEXT[], $3::JSONB[], $4::BIGINT[], $5::TIMESTAMPTZ[], $6::TIMESTAMPTZ[], $7::TEXT[]
        ) AS change (id, name, data, revision, created_at, updated_at, author)
        ORDER BY change.id
        ON CONFLICT (id) DO NOTHING
        RETURNING id, NULL::BIGINT AS before, revision, created_at, updated_at, author
        "#,
        &ids,
        &names,
        &documents as &[Json<&RawValue>],
        &revisions,
        &created,
        &updated,
        &authors,
    )
    .fetch_all(&mut *connection)
    .await?;
    // The other changes of the transaction are recorded at its end, under the name of who makes them.
    sqlx::query!(r#"SELECT set_config('strom.author', $1, TRUE) AS "author!""#, batch.stamp.author.as_str())
        .fetch_one(connection)
        .await?;
    note(done, rows, |_| Outcome::Created)
}

/// Records of other stores, of flows that are not here: those with revisions that are still to be given. They stand in the
/// feed before what is recorded when the transaction commits, so a flow whose last record is among them makes no other.
///
/// That they take their places early makes no difference to the feed: no reader passes a horizon above the id of a
/// transaction that has not ended (migrations/0004_history.sql).
pub(super) async fn histories(connection: &mut PgConnection, batch: &Batch<'_>, done: &mut Done) -> Result<()> {
    let chronicles = batch.changes.iter().filter_map(|change| match change {
        Change::Inherit(chronicle) => Some(chronicle),
        _ => None,
    });
    let told = chronicles.clone().flat_map(|chronicle| chronicle.records().iter().zip(chronicle.births()));
    let told: Vec<_> = told.collect();
    let mut taken = HashSet::new();
    for part in parts(&told) {
        taken.extend(insert(connection, batch, part).await?);
    }
    for chronicle in chronicles.filter(|chronicle| chronicle.now().is_none()) {
        let (last, birth) = chronicle.records().last().zip(chronicle.births().pop()).expect("it has a record");
        if taken.contains(&(last.item.id(), last.revision)) {
            bury(connection, last).await?;
            let version = Version {
                revision: last.revision,
                created_at: birth,
                updated_at: last.at,
                author: last.author.clone(),
            };
            let id = chronicle.id();
            done.insert(id.as_uuid(), Applied { id, outcome: Outcome::Deleted, version: Some(version) });
        }
    }
    Ok(())
}

/// A record, and when the flow that it tells of was created.
type Told<'a> = (&'a Record<Flow>, DateTime<Utc>);

/// What one statement carries of these at most.
fn parts<'a, 'r>(mut told: &'a [Told<'r>]) -> Vec<&'a [Told<'r>]> {
    let mut parts = Vec::new();
    while !told.is_empty() {
        let ends = told.iter().scan(0, |bytes, (record, _)| {
            *bytes += record.item.document().get().len();
            Some(*bytes)
        });
        let (part, rest) = told.split_at(ends.take_while(|end| *end <= BATCH_BYTES).count().max(1));
        parts.push(part);
        told = rest;
    }
    parts
}

/// Says which it has inserted.
async fn insert(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    told: &[Told<'_>],
) -> Result<Vec<(FlowId, Revision)>> {
    let (mut ids, mut operations, mut revisions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut times, mut authors, mut births, mut documents) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (record, birth) in told {
        ids.push(record.item.id().as_uuid());
        operations.push(record.operation.as_str().to_owned());
        revisions.push(column(record.revision));
        times.push(record.at);
        authors.push(record.author.as_str().to_owned());
        births.push(*birth);
        documents.push(Json(record.item.document()));
    }
    let rows = sqlx::query!(
        r#"
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', $8, TRUE), set_config('strom.at', ($9::TIMESTAMPTZ)::TEXT, TRUE)
        ),
        place AS MATERIALIZED (
            SELECT strom_log() AS log, nextval('flow_change_blocks') AS number, greatest(
                pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT,
                pg_current_xact_id()::TEXT::BIGINT + 1
            ) AS horizon
            FROM stamp
        )
        INSERT INTO flow_changes (
            log, horizon, number, flow_id, operation, revision, at, author,
            created_at, name, state, auto_restart, size, elements, blocks, links, document
        )
        SELECT
            place.log, place.horizon, place.number + record.place - 1, id, operation, revision, at, author,
            created_at, document ->> 'name', strom_state(document),
            coalesce(document #> '{properties,auto_restart}' = 'true', FALSE), octet_length(document::TEXT),
            strom_count(document, 'elements'), strom_count(document, 'blocks'), strom_count(document, 'links'), document
        FROM place, UNNEST(
            $1::UUID[], $2::TEXT[], $3::BIGINT[], $4::TIMESTAMPTZ[], $5::TEXT[], $6::TIMESTAMPTZ[], $7::JSONB[]
        ) WITH ORDINALITY AS record (id, operation, revision, at, author, created_at, document, place)
        WHERE NOT EXISTS (SELECT FROM flows WHERE flows.id = record.id)
          AND revision > coalesce((SELECT revision FROM flow_tombstones AS dead WHERE dead.id = record.id), 0)
        RETURNING flow_id, revision
        "#,
        &ids,
        &operations,
        &revisions,
        &times,
        &authors,
        &births,
        &documents as &[Json<&RawValue>],
        batch.stamp.author.as_str(),
        batch.stamp.at,
    )
    .fetch_all(connection)
    .await?;
    let taken = rows.into_iter().map(|row| (row.flow_id.into(), Revision::new(row.revision.unsigned_abs())));
    Ok(taken.collect())
}

/// The revisions of a deleted flow go on from here when it comes back.
async fn bury(connection: &mut PgConnection, last: &Record<Flow>) -> Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO flow_tombstones (id, revision, deleted_at, author)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (id) DO UPDATE
        SET revision = excluded.revision, deleted_at = excluded.deleted_at, author = excluded.author
        "#,
        last.item.id().as_uuid(),
        column(last.revision),
        last.at,
        last.author.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}
