//! Inserts histories that come from another store.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::batch::{BATCH_BYTES, Batch};
use super::outcomes::Outcomes;
use super::row::revision_column;
use crate::flow::{Flow, FlowId};
use crate::postgres::error::Result;
use crate::repository::{Applied, Change, Outcome, Record, Revision, Version, limited};

/// Inserts the records of inherited histories whose flow does not exist and whose revisions are new.
///
/// The feed shows these records before those that the end of the transaction records. A flow whose last record is
/// inherited gets no further record. Their early position is safe for readers: no reader passes a horizon above the id
/// of a running transaction (migrations/0004_history.sql).
pub(super) async fn insert_histories(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    outcomes: &mut Outcomes,
) -> Result<()> {
    let chronicles = batch.changes.iter().filter_map(|change| match change {
        Change::Inherit(chronicle) => Some(chronicle),
        _ => None,
    });
    let records = chronicles.clone().flat_map(|chronicle| chronicle.records().iter().zip(chronicle.creation_times()));
    let records: Vec<_> = records.collect();
    let mut inserted = HashSet::new();
    for chunk in chunks(&records) {
        inserted.extend(insert(connection, batch, chunk).await?);
    }
    for chronicle in chronicles.filter(|chronicle| chronicle.now().is_none()) {
        let (last, birth) =
            chronicle.records().last().zip(chronicle.creation_times().pop()).expect("a chronicle has records");
        if inserted.contains(&(last.item.id(), last.revision)) {
            insert_tombstone(connection, last).await?;
            let version = Version {
                revision: last.revision,
                created_at: birth,
                updated_at: last.at,
                author: last.author.clone(),
            };
            let id = chronicle.id();
            outcomes.insert(id.as_uuid(), Applied { id, outcome: Outcome::Deleted, version: Some(version) });
        }
    }
    Ok(())
}

/// A record, and the creation time of its flow.
type InheritedRecord<'a> = (&'a Record<Flow>, DateTime<Utc>);

/// Divides the records into the parts that one statement carries.
fn chunks<'a, 'r>(mut records: &'a [InheritedRecord<'r>]) -> Vec<&'a [InheritedRecord<'r>]> {
    let mut chunks = Vec::new();
    while !records.is_empty() {
        let ends = records.iter().scan(0, |bytes, (record, _)| {
            *bytes += record.item.document().get().len();
            Some(*bytes)
        });
        let (chunk, rest) = records.split_at(ends.take_while(|end| *end <= BATCH_BYTES).count().max(1));
        chunks.push(chunk);
        records = rest;
    }
    chunks
}

/// Inserts records, and returns which were new.
async fn insert(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    records: &[InheritedRecord<'_>],
) -> Result<Vec<(FlowId, Revision)>> {
    let (mut ids, mut operations, mut revisions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut times, mut authors, mut births, mut documents) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (record, birth) in records {
        ids.push(record.item.id().as_uuid());
        operations.push(record.operation.as_str().to_owned());
        revisions.push(revision_column(record.revision));
        times.push(limited(record.at));
        authors.push(record.author.as_str().to_owned());
        births.push(limited(*birth));
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
    let inserted = rows.into_iter().map(|row| (row.flow_id.into(), Revision::new(row.revision.unsigned_abs())));
    Ok(inserted.collect())
}

/// Inserts the tombstone of a deleted flow. Its revisions continue from there if the flow is created again.
async fn insert_tombstone(connection: &mut PgConnection, last: &Record<Flow>) -> Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO flow_tombstones (id, revision, deleted_at, author)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (id) DO UPDATE
        SET revision = excluded.revision, deleted_at = excluded.deleted_at, author = excluded.author
        "#,
        last.item.id().as_uuid(),
        revision_column(last.revision),
        last.at,
        last.author.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}
