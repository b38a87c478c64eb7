//! Reads the revisions of flows, including those of deleted flows.
//!
//! The statements return every committed record. The feed may not show all of them yet.

use std::sync::Arc;

use futures::stream::BoxStream;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::record::RecordRow;
use crate::flow::{Flow, FlowId, Head};
use crate::postgres::connection::{Pool, stream_rows};
use crate::postgres::error::{Error, Result};
use crate::postgres::flows::revision_column;
use crate::postgres::time::Time;
use crate::repository::{self, Record, Revision};

/// Returns the revisions of a flow, the newest first.
pub(crate) async fn history(
    connection: &mut PgConnection,
    id: FlowId,
    before: Option<Revision>,
    limit: u32,
) -> Result<Vec<Record<Head>>> {
    let rows = sqlx::query_as!(
        RecordRow,
        r#"
        SELECT log, horizon, number, flow_id, operation, revision, at AS "at: Time", author,
            name, state, auto_restart, size, elements, blocks, links, NULL AS "document: Json<Box<RawValue>>"
        FROM flow_changes
        WHERE flow_id = $1 AND operation <> 'state' AND ($2::BIGINT IS NULL OR revision < $2)
        ORDER BY revision DESC
        LIMIT $3
        "#,
        id.as_uuid(),
        before.map(revision_column),
        i64::from(limit),
    )
    .fetch_all(connection)
    .await?;
    heads(rows)
}

/// Returns one revision with its document.
pub(crate) async fn revision(
    connection: &mut PgConnection,
    id: FlowId,
    revision: Revision,
) -> Result<Option<Record<Flow>>> {
    let row = sqlx::query_as!(
        RecordRow,
        r#"
        SELECT log, horizon, number, flow_id, operation, revision, at AS "at: Time", author,
            name, state, auto_restart, size, elements, blocks, links, document AS "document: Json<Box<RawValue>>"
        FROM flow_changes
        WHERE flow_id = $1 AND operation <> 'state' AND revision = $2
        "#,
        id.as_uuid(),
        revision_column(revision),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Record::try_from).transpose()?)
}

/// Streams all revisions of all flows as of one moment, by flow and revision.
pub(crate) fn histories(pool: Arc<Pool>) -> BoxStream<'static, repository::Result<Record<Flow>>> {
    stream_rows(pool, all_rows)
}

fn all_rows(connection: &mut PgConnection) -> BoxStream<'_, sqlx::Result<RecordRow>> {
    sqlx::query_as!(
        RecordRow,
        r#"
        SELECT log, horizon, number, flow_id, operation, revision, at AS "at: Time", author,
            name, state, auto_restart, size, elements, blocks, links, document AS "document: Json<Box<RawValue>>"
        FROM flow_changes
        WHERE operation <> 'state'
        ORDER BY flow_id, revision
        "#,
    )
    .fetch(connection)
}

/// Returns the deletions of the flows that do not exist now, the latest first.
pub(crate) async fn deleted(connection: &mut PgConnection) -> Result<Vec<Record<Head>>> {
    let rows = sqlx::query_as!(
        RecordRow,
        r#"
        SELECT log, horizon, number, flow_id, operation, revision, at AS "at: Time", author,
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

fn heads(rows: Vec<RecordRow>) -> Result<Vec<Record<Head>>> {
    rows.into_iter().map(|row| Record::try_from(row).map_err(Error::from)).collect()
}
