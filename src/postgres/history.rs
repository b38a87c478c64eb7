//! What flows were: their revisions, and those that are gone.
//!
//! Everything that is committed, whether or not the feed can show it yet.

use futures::stream::BoxStream;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::error::{Error, Result};
use super::record::RecordRow;
use crate::flow::{Flow, FlowId, Head};
use crate::repository::{Record, Revision};

pub(super) async fn history(
    connection: &mut PgConnection,
    id: FlowId,
    before: Option<Revision>,
    limit: u32,
) -> Result<Vec<Record<Head>>> {
    let rows = sqlx::query_as!(
        RecordRow,
        r#"
        SELECT log, horizon, number, flow_id, operation, revision, at, author,
            name, state, auto_restart, size, elements, blocks, links, NULL AS "document: Json<Box<RawValue>>"
        FROM flow_changes
        WHERE flow_id = $1 AND operation <> 'state' AND ($2::BIGINT IS NULL OR revision < $2)
        ORDER BY revision DESC
        LIMIT $3
        "#,
        id.as_uuid(),
        before.map(column),
        i64::from(limit),
    )
    .fetch_all(connection)
    .await?;
    heads(rows)
}

pub(super) async fn revision(
    connection: &mut PgConnection,
    id: FlowId,
    revision: Revision,
) -> Result<Option<Record<Flow>>> {
    let row = sqlx::query_as!(
        RecordRow,
        r#"
        SELECT log, horizon, number, flow_id, operation, revision, at, author,
            name, state, auto_restart, size, elements, blocks, links, document AS "document: Json<Box<RawValue>>"
        FROM flow_changes
        WHERE flow_id = $1 AND operation <> 'state' AND revision = $2
        "#,
        id.as_uuid(),
        column(revision),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Record::try_from).transpose()?)
}

/// By flow, then ascending.
pub(super) fn all(connection: &mut PgConnection) -> BoxStream<'_, sqlx::Result<RecordRow>> {
    sqlx::query_as!(
        RecordRow,
        r#"
        SELECT log, horizon, number, flow_id, operation, revision, at, author,
            name, state, auto_restart, size, elements, blocks, links, document AS "document: Json<Box<RawValue>>"
        FROM flow_changes
        WHERE operation <> 'state'
        ORDER BY flow_id, revision
        "#,
    )
    .fetch(connection)
}

pub(super) async fn deleted(connection: &mut PgConnection) -> Result<Vec<Record<Head>>> {
    let rows = sqlx::query_as!(
        RecordRow,
        r#"
        SELECT log, horizon, number, flow_id, operation, revision, at, author,
            name, state, auto_restart, size, elements, blocks, links, NULL AS "document: Json<Box<RawValue>>"
        FROM flow_changes AS change
        WHERE operation = 'delete'
          AND NOT EXISTS (SELECT FROM flows WHERE flows.id = change.flow_id)
          AND NOT EXISTS (
            SELECT FROM flow_changes AS later
            WHERE later.operation = 'delete' AND later.flow_id = change.flow_id AND later.revision > change.revision
          )
        ORDER BY at DESC, flow_id
        "#,
    )
    .fetch_all(connection)
    .await?;
    heads(rows)
}

/// No flow has ever had so many revisions that this is not exact.
pub(super) fn column(revision: Revision) -> i64 {
    i64::try_from(revision.number()).unwrap_or(i64::MAX)
}

fn heads(rows: Vec<RecordRow>) -> Result<Vec<Record<Head>>> {
    rows.into_iter().map(|row| Record::try_from(row).map_err(Error::from)).collect()
}
