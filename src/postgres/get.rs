//! Single flows.

use futures::TryStreamExt;
use futures::stream::BoxStream;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::error::Result;
use super::row::FlowRow;
use crate::flow::{Flow, FlowId};
use crate::repository::Stored;

/// The flow with this id. A statement of its own: of `= ANY($1)` PostgreSQL supposes that it is ten ids, so it never keeps the
/// plan for one.
pub(super) async fn one(connection: &mut PgConnection, id: FlowId) -> Result<Option<Stored<Flow>>> {
    let row = sqlx::query_as!(
        FlowRow,
        r#"
        SELECT id, name, state, auto_restart, size, elements, blocks, links, revision, created_at, updated_at, author,
            data AS "data: Json<Box<RawValue>>"
        FROM flows
        WHERE id = $1
        "#,
        id.as_uuid(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok(row.try_into()?)).transpose()
}

/// Those of these flows that exist, in no order.
pub(super) async fn some(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Stored<Flow>>> {
    let rows: Vec<_> = rows(connection, ids).try_collect().await?;
    rows.into_iter().map(|row| Ok(row.try_into()?)).collect()
}

/// The same, as they are read.
pub(super) fn rows<'c>(connection: &'c mut PgConnection, ids: &'c [Uuid]) -> BoxStream<'c, sqlx::Result<FlowRow>> {
    sqlx::query_as!(
        FlowRow,
        r#"
        SELECT id, name, state, auto_restart, size, elements, blocks, links, revision, created_at, updated_at, author,
            data AS "data: Json<Box<RawValue>>"
        FROM flows
        WHERE id = ANY($1)
        "#,
        ids,
    )
    .fetch(connection)
}

/// Whether the database answers and has our table.
pub(super) async fn nothing(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT id FROM flows LIMIT 0").fetch_optional(connection).await?;
    Ok(())
}

/// See `PostgresRepository::leave_transactions_open`.
#[cfg(feature = "testkit")]
pub(super) async fn begin(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("BEGIN").execute(connection).await?;
    Ok(())
}
