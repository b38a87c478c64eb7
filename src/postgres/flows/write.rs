//! The statements that create, replace and delete the flows of a batch.
//!
//! Each statement leaves out the rows whose precondition does not hold. It locks rows in the order of their ids, so
//! that two calls cannot deadlock.
//!
//! The revision 0 is replaced by a trigger. While that trigger is disabled, a constraint rejects it
//! (migrations/0013_guards.sql).

use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::batch::Batch;
use super::outcomes::{Expected, Outcomes, WrittenRow, record_outcomes};
use crate::postgres::error::Result;
use crate::postgres::time::Time;
use crate::repository::{Change, Outcome, Precondition};

/// Creates the flows that do not exist, if their precondition allows it.
pub(super) async fn insert(connection: &mut PgConnection, batch: &Batch<'_>, outcomes: &mut Outcomes) -> Result<()> {
    let (mut ids, mut names, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for change in batch.changes {
        if let Change::Put(flow, precondition) | Change::Restore(flow, precondition) = change
            && matches!(precondition, Precondition::Absent | Precondition::Any)
            && !outcomes.contains_key(&flow.id().as_uuid())
        {
            ids.push(flow.id().as_uuid());
            names.push(flow.head().name.clone());
            documents.push(Json(flow.document()));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query_as!(
        WrittenRow,
        r#"
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', $5, TRUE), set_config('strom.at', ($4::TIMESTAMPTZ)::TEXT, TRUE),
                set_config('strom.restored', $6, TRUE)
        )
        INSERT INTO flows (id, name, data, revision, created_at, updated_at)
        SELECT change.id, change.name, change.data, 0, $4, $4
        FROM stamp, UNNEST($1::UUID[], $2::TEXT[], $3::JSONB[]) AS change (id, name, data)
        ORDER BY change.id
        ON CONFLICT (id) DO NOTHING
        RETURNING id, NULL::BIGINT AS before, revision,
            created_at AS "created_at: Time", updated_at AS "updated_at: Time", author
        "#,
        &ids,
        &names,
        &documents as &[Json<&RawValue>],
        batch.stamp.at,
        batch.stamp.author.as_str(),
        batch.restored,
    )
    .fetch_all(connection)
    .await?;
    record_outcomes(outcomes, rows, |_| Outcome::Created)
}

/// Replaces the flows that exist, if their precondition holds.
pub(super) async fn update(connection: &mut PgConnection, batch: &Batch<'_>, outcomes: &mut Outcomes) -> Result<()> {
    let (mut ids, mut expected, mut documents) = (Vec::new(), Expected::default(), Vec::new());
    for change in batch.changes {
        if let Some(flow) = change.flow()
            && !matches!(change.precondition(), Precondition::Absent | Precondition::Unreported(_))
        {
            ids.push(flow.id().as_uuid());
            expected.push(change.precondition());
            documents.push(Json(flow.document()));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    // `before` locks the rows and reads their latest committed version. The precondition is checked against that
    // version.
    let rows = sqlx::query_as!(
        WrittenRow,
        r#"
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', $5, TRUE), set_config('strom.at', ($4::TIMESTAMPTZ)::TEXT, TRUE),
                set_config('strom.restored', $6, TRUE)
        ),
        before AS MATERIALIZED (SELECT id, revision FROM flows WHERE id = ANY($1) ORDER BY id FOR UPDATE)
        UPDATE flows
        SET data = change.data, revision = 0, updated_at = $4
        FROM stamp, before
        JOIN UNNEST($1::UUID[], $2::BIGINT[], $7::BYTEA[], $3::JSONB[]) AS change (id, expected, document, data)
          ON change.id = before.id AND (change.expected IS NULL OR change.expected = before.revision)
        WHERE flows.id = before.id
          AND (change.document IS NULL OR change.document = sha256(convert_to(flows.data::TEXT, 'UTF8')))
        RETURNING flows.id, before.revision AS before, flows.revision,
            created_at AS "created_at: Time", updated_at AS "updated_at: Time", author
        "#,
        &ids,
        &expected.revisions as &[Option<i64>],
        &documents as &[Json<&RawValue>],
        batch.stamp.at,
        batch.stamp.author.as_str(),
        batch.restored,
        &expected.documents as &[Option<Vec<u8>>],
    )
    .fetch_all(connection)
    .await?;
    record_outcomes(outcomes, rows, |row| {
        if row.before == Some(row.revision) { Outcome::Unchanged } else { Outcome::Replaced }
    })
}

/// Deletes the flows that exist, if their precondition holds.
pub(super) async fn delete(connection: &mut PgConnection, batch: &Batch<'_>, outcomes: &mut Outcomes) -> Result<()> {
    let (mut ids, mut expected) = (Vec::new(), Expected::default());
    for change in batch.changes {
        if let Change::Delete(id, precondition) = change
            && !matches!(precondition, Precondition::Absent | Precondition::Unreported(_))
        {
            ids.push(id.as_uuid());
            expected.push(*precondition);
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    // Without triggers, the statement deletes nothing: the history and the trash would lack the flow.
    //
    // A deletion has the next revision, like every change (migrations/0003_revisions.sql). `!`: neither that revision
    // nor the two parameters are ever NULL.
    let rows = sqlx::query_as!(
        WrittenRow,
        r#"
        WITH stamp AS MATERIALIZED (
            SELECT set_config('strom.author', $4, TRUE), set_config('strom.at', ($3::TIMESTAMPTZ)::TEXT, TRUE)
            FROM pg_trigger
            WHERE tgrelid = 'flows'::REGCLASS AND tgname = 'strom_verify' AND tgenabled IN ('O', 'A')
        ),
        before AS MATERIALIZED (SELECT id, revision FROM flows WHERE id = ANY($1) ORDER BY id FOR UPDATE)
        DELETE FROM flows
        USING stamp, before
        JOIN UNNEST($1::UUID[], $2::BIGINT[], $5::BYTEA[]) AS change (id, expected, document)
          ON change.id = before.id AND (change.expected IS NULL OR change.expected = before.revision)
        WHERE flows.id = before.id
          AND (change.document IS NULL OR change.document = sha256(convert_to(flows.data::TEXT, 'UTF8')))
        RETURNING flows.id, before.revision AS before, strom_next_revision(flows.id, flows.revision) AS "revision!",
            created_at AS "created_at: Time", $3 AS "updated_at!: Time", $4 AS "author!"
        "#,
        &ids,
        &expected.revisions as &[Option<i64>],
        batch.stamp.at,
        batch.stamp.author.as_str(),
        &expected.documents as &[Option<Vec<u8>>],
    )
    .fetch_all(connection)
    .await?;
    record_outcomes(outcomes, rows, |_| Outcome::Deleted)
}
