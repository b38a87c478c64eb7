//! The statements of the group commit. They write flows and the records of the changes themselves, without the triggers that do
//! this for other writers (migrations/0014_direct.sql and 0015_state.sql).
//!
//! A statement leaves out every flow for which it cannot do exactly what the triggers would do:
//!
//! - The row is locked, or its times or its revision have values that the triggers correct.
//! - The newest record of the flow differs from the row or is of another log. The row was then written without triggers.
//! - The flow has changed between the snapshot of the statement and the lock of its row. Otherwise all its changes are in the
//!   snapshot, so horizon and number of the new record exceed those of the newest one.
//! - The tables have triggers of other programs. They could write flows in the same transaction, without the triggers of the store.
//!
//! While a trigger is disabled, `strom_verify` fails the statement. While `strom_verify` itself is disabled, the statement writes
//! nothing. The history may lack changes in both cases.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::outcomes::{Expected, Outcomes, WrittenRow, record_outcomes};
use super::save::Save;
use crate::flow::Flow;
use crate::postgres::error::Result;
use crate::postgres::time::Time;
use crate::repository::{Outcome, Precondition};

/// Signals to the trigger of notifications that an instance writes (migrations/0006_notifications.sql).
const BATCH_AUTHOR: &str = "several";

/// Replaces the flows that exist, if their preconditions hold.
pub(super) async fn update(connection: &mut PgConnection, mut saves: Vec<&Save>) -> Result<Outcomes> {
    let mut outcomes = Outcomes::new();
    saves.retain(|save| save.precondition != Precondition::Absent);
    let saves = checked(saves);
    if saves.is_empty() {
        return Ok(outcomes);
    }
    let columns = Columns::of(&saves);
    // `LIMIT cardinality($1)` changes nothing but the planner's estimate. The planner assumes ten elements for an array
    // of unknown length, so a generic plan never looks cheap enough to be cached, and planning takes 0.2 ms each time.
    // For an unknown limit it assumes a tenth of the rows.
    //
    // `current` locks the rows and reads their latest committed versions, `seen` those of the snapshot. The times must equal
    // `TIME_LIMITS`. The mark must equal the one in the conditions of the triggers.
    let rows = sqlx::query_as!(
        WrittenRow,
        r#"
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', $15, TRUE), set_config('strom.direct', '15', TRUE)
            FROM pg_trigger
            WHERE tgrelid = 'flows'::REGCLASS AND tgname = 'strom_verify' AND tgenabled IN ('O', 'A')
                AND NOT EXISTS (
                    SELECT FROM pg_trigger
                    WHERE tgrelid IN ('flows'::REGCLASS, 'flow_changes'::REGCLASS)
                        AND NOT tgisinternal AND tgenabled <> 'D' AND tgname NOT LIKE 'strom\_%'
                )
        ),
        current AS MATERIALIZED (
            SELECT flows.id, flows.ctid AS version, revision, data, content_hash, created_at, updated_at, author
            FROM (SELECT unnest($1::UUID[]) AS id LIMIT cardinality($1)) AS wanted
            JOIN flows ON flows.id = wanted.id
            ORDER BY flows.id
            FOR UPDATE OF flows SKIP LOCKED
        ),
        place AS MATERIALIZED (
            SELECT strom_log() AS log, nextval('flow_change_blocks') AS number, greatest(
                pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT, pg_current_xact_id()::TEXT::BIGINT + 1
            ) AS horizon
        ),
        change AS MATERIALIZED (
            SELECT change.*, place.*, current.revision AS before, current.updated_at AS before_at,
                current.author AS before_author, current.data AS before_data,
                CASE WHEN last.operation = 'state' THEN last.log END AS report_log, last.horizon AS report_horizon,
                last.number AS report_number,
                CASE
                    WHEN current.content_hash IS NULL
                        THEN strom_content(change.data) = strom_content(current.data)
                    ELSE change.content_hash = current.content_hash
                END AS is_same
            FROM stamp
            CROSS JOIN place
            CROSS JOIN current
            JOIN flows AS seen ON seen.id = current.id AND seen.ctid = current.version
            JOIN UNNEST(
                $1::UUID[], $2::TEXT[], $3::TEXT[], $4::BOOLEAN[], $5::INTEGER[], $6::INTEGER[], $7::INTEGER[], $8::INTEGER[],
                $9::BYTEA[], $10::JSONB[], $11::TIMESTAMPTZ[], $12::TEXT[], $13::BIGINT[], $14::BYTEA[],
                $16::BOOLEAN[]
            ) AS change (
                id, name, state, auto_restart, size, elements, blocks, links, content_hash, data, at, author,
                expected_revision, expected_document, expects_no_report
            ) ON change.id = current.id
            CROSS JOIN LATERAL (
                SELECT last.log, last.horizon, last.number, last.operation, last.revision, last.document, last.document_hash
                FROM flow_changes AS last
                WHERE last.flow_id = current.id
                ORDER BY last.number DESC
                LIMIT 1
            ) AS last
            WHERE (expected_revision IS NULL OR expected_revision = current.revision)
                AND (expected_document IS NULL OR expected_document = sha256(convert_to(current.data::TEXT, 'UTF8')))
                AND NOT (expects_no_report AND last.operation = 'state')
                AND last.log = place.log AND (last.horizon, last.number) < (place.horizon, place.number)
                AND last.revision = current.revision AND last.operation <> 'delete'
                AND (last.document = current.data OR last.document_hash = jsonb_hash_extended(current.data, 0))
                AND current.revision BETWEEN 1 AND 9007199254740990
                AND least(current.created_at, current.updated_at, change.at) > '0001-01-01 00:00:00+00'
                AND greatest(current.created_at, current.updated_at, change.at) < '9999-12-31 23:59:59.999999+00'
        ),
        written AS (
            UPDATE flows
            SET name = change.name, state = change.state,
                auto_restart = change.auto_restart, data = change.data, size = change.size,
                elements = change.elements, blocks = change.blocks, links = change.links,
                content_hash = change.content_hash,
                revision = CASE WHEN is_same THEN before ELSE before + 1 END,
                updated_at = CASE WHEN is_same THEN before_at ELSE at END,
                author = CASE WHEN is_same THEN before_author ELSE change.author END
            FROM change
            WHERE flows.id = change.id
            RETURNING flows.*, is_same, log, horizon, number, at, change.author AS writer, before,
                NOT is_same OR flows.data <> before_data AS is_different, report_log, report_horizon, report_number
        ),
        replaced AS (
            DELETE FROM flow_changes AS report
            USING written
            WHERE is_different
                AND (report.log, report.horizon, report.number) = (report_log, report_horizon, report_number)
        ),
        recorded AS (
            INSERT INTO flow_changes (
                log, horizon, number, flow_id, operation, revision, at, author,
                created_at, name, state, auto_restart, size, elements, blocks, links, document, document_hash
            )
            SELECT log, horizon, number + row_number() OVER (ORDER BY id) - 1, id,
                CASE WHEN is_same THEN 'state' ELSE 'update' END, revision, at, writer,
                created_at, name, state, auto_restart, size, elements, blocks, links,
                CASE WHEN NOT is_same THEN data END, CASE WHEN is_same THEN jsonb_hash_extended(data, 0) END
            FROM written
            WHERE is_different
        )
        SELECT id, before, revision, created_at AS "created_at: Time", updated_at AS "updated_at: Time", author
        FROM written
        "#,
        &columns.ids,
        &columns.names,
        &columns.states as &[&str],
        &columns.auto_restart,
        &columns.sizes,
        &columns.elements,
        &columns.blocks,
        &columns.links,
        &columns.content_hashes as &[Vec<u8>],
        &columns.documents as &[Json<&RawValue>],
        &columns.times,
        &columns.authors as &[&str],
        &columns.expected.revisions as &[Option<i64>],
        &columns.expected.documents as &[Option<Vec<u8>>],
        BATCH_AUTHOR,
        &columns.expected.unreported,
    )
    .fetch_all(connection)
    .await?;
    record_outcomes(&mut outcomes, rows, |row| {
        if row.before == Some(row.revision) { Outcome::Unchanged } else { Outcome::Replaced }
    })?;
    Ok(outcomes)
}

/// Creates the flows that have never existed, if their preconditions allow it. Triggers create the others, whose revisions
/// continue.
pub(super) async fn insert(connection: &mut PgConnection, mut saves: Vec<&Save>) -> Result<Outcomes> {
    let mut outcomes = Outcomes::new();
    saves.retain(|save| matches!(save.precondition, Precondition::Absent | Precondition::Any));
    let saves = checked(saves);
    if saves.is_empty() {
        return Ok(outcomes);
    }
    let columns = Columns::of(&saves);
    // `ON CONFLICT` waits for a transaction that has inserted, changed or deleted the same row, so the statement has a
    // short lock timeout. After it, each save of the batch runs alone.
    let rows = sqlx::query_as!(
        WrittenRow,
        r#"
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', $13, TRUE), set_config('strom.direct', '15', TRUE),
                set_config('lock_timeout', '100ms', TRUE)
            FROM pg_trigger
            WHERE tgrelid = 'flows'::REGCLASS AND tgname = 'strom_verify' AND tgenabled IN ('O', 'A')
                AND NOT EXISTS (
                    SELECT FROM pg_trigger
                    WHERE tgrelid IN ('flows'::REGCLASS, 'flow_changes'::REGCLASS)
                        AND NOT tgisinternal AND tgenabled <> 'D' AND tgname NOT LIKE 'strom\_%'
                )
        ),
        place AS MATERIALIZED (
            SELECT strom_log() AS log, nextval('flow_change_blocks') AS number, greatest(
                pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT, pg_current_xact_id()::TEXT::BIGINT + 1
            ) AS horizon
        ),
        written AS (
            INSERT INTO flows (
                id, name, state, auto_restart, data, size, elements, blocks, links, content_hash,
                revision, created_at, updated_at, author
            )
            SELECT id, name, state, auto_restart, data, size, elements, blocks, links,
                content_hash, 1, at, at, author
            FROM stamp, UNNEST(
                $1::UUID[], $2::TEXT[], $3::TEXT[], $4::BOOLEAN[], $5::INTEGER[], $6::INTEGER[], $7::INTEGER[], $8::INTEGER[],
                $9::BYTEA[], $10::JSONB[], $11::TIMESTAMPTZ[], $12::TEXT[]
            ) AS change (
                id, name, state, auto_restart, size, elements, blocks, links, content_hash, data, at, author
            )
            WHERE at > '0001-01-01 00:00:00+00' AND at < '9999-12-31 23:59:59.999999+00'
                AND NOT EXISTS (SELECT FROM flow_changes WHERE flow_id = change.id)
                AND NOT EXISTS (SELECT FROM flow_tombstones WHERE flow_tombstones.id = change.id)
            ORDER BY id
            ON CONFLICT (id) DO NOTHING
            RETURNING *
        ),
        recorded AS (
            INSERT INTO flow_changes (
                log, horizon, number, flow_id, operation, revision, at, author,
                created_at, name, state, auto_restart, size, elements, blocks, links, document
            )
            SELECT log, horizon, number + row_number() OVER (ORDER BY id) - 1, id, 'create', revision, updated_at, author,
                created_at, name, state, auto_restart, size, elements, blocks, links, data
            FROM place, written
        )
        SELECT id, NULL::BIGINT AS before, revision,
            created_at AS "created_at: Time", updated_at AS "updated_at: Time", author
        FROM written
        "#,
        &columns.ids,
        &columns.names,
        &columns.states as &[&str],
        &columns.auto_restart,
        &columns.sizes,
        &columns.elements,
        &columns.blocks,
        &columns.links,
        &columns.content_hashes as &[Vec<u8>],
        &columns.documents as &[Json<&RawValue>],
        &columns.times,
        &columns.authors as &[&str],
        BATCH_AUTHOR,
    )
    .fetch_all(connection)
    .await?;
    record_outcomes(&mut outcomes, rows, |_| Outcome::Created)?;
    Ok(outcomes)
}

/// A save with a parsed document. The columns of a flow that was read from the database may contradict its document.
struct Checked<'a> {
    save: &'a Save,
    flow: Flow,
    content_hash: [u8; 32],
}

/// Leaves out documents that [`Flow::parse`] rejects.
fn checked(saves: Vec<&Save>) -> Vec<Checked<'_>> {
    let mut checked = Vec::with_capacity(saves.len());
    for save in saves {
        if let Ok((flow, content_hash)) = save.flow.checked() {
            checked.push(Checked { save, flow, content_hash });
        }
    }
    checked
}

/// The saves as arrays for a statement.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    names: Vec<String>,
    states: Vec<&'static str>,
    auto_restart: Vec<bool>,
    sizes: Vec<i32>,
    elements: Vec<i32>,
    blocks: Vec<i32>,
    links: Vec<i32>,
    content_hashes: Vec<Vec<u8>>,
    documents: Vec<Json<&'a RawValue>>,
    times: Vec<DateTime<Utc>>,
    authors: Vec<&'a str>,
    expected: Expected,
}

impl<'a> Columns<'a> {
    fn of(saves: &'a [Checked<'_>]) -> Self {
        let mut columns = Self::default();
        for Checked { save, flow, content_hash } in saves {
            let head = flow.head();
            columns.ids.push(save.id());
            columns.names.push(head.name.clone());
            columns.states.push(head.state.as_str());
            columns.auto_restart.push(head.auto_restart);
            columns.sizes.push(count(head.size));
            columns.elements.push(count(head.elements.into()));
            columns.blocks.push(count(head.blocks.into()));
            columns.links.push(count(head.links.into()));
            columns.content_hashes.push(content_hash.to_vec());
            columns.documents.push(Json(flow.document()));
            columns.times.push(save.stamp.at);
            columns.authors.push(save.stamp.author.as_str());
            columns.expected.push(save.precondition);
        }
        columns
    }
}

/// Converts a size or the number of parts of a document, which [`MAX_SIZE`](crate::flow::MAX_SIZE) limits.
fn count(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
