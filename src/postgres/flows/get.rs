//! Reads flows by id.

use futures::TryStreamExt;
use futures::stream::BoxStream;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::row::FlowRow;
use crate::flow::{Flow, FlowId};
use crate::postgres::error::Result;
use crate::postgres::time::Time;
use crate::repository::Stored;

/// Reads one flow. It has its own statement: PostgreSQL assumes that `= ANY($1)` matches ten ids, and would never cache
/// a plan for a single one.
pub(crate) async fn get(connection: &mut PgConnection, id: FlowId) -> Result<Option<Stored<Flow>>> {
    let row = sqlx::query_as!(
        FlowRow,
        r#"
        SELECT id, name, state, auto_restart, size, elements, blocks, links, revision,
            created_at AS "created_at: Time", updated_at AS "updated_at: Time", author,
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

/// Reads the flows that exist among these, in no order.
pub(super) async fn get_existing(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Stored<Flow>>> {
    let rows: Vec<_> = rows(connection, ids).try_collect().await?;
    rows.into_iter().map(|row| Ok(row.try_into()?)).collect()
}

/// As [`get_existing`], as a stream of rows.
pub(super) fn rows<'c>(connection: &'c mut PgConnection, ids: &[Uuid]) -> BoxStream<'c, sqlx::Result<FlowRow>> {
    sqlx::query_as!(
        FlowRow,
        r#"
        SELECT id, name, state, auto_restart, size, elements, blocks, links, revision,
            created_at AS "created_at: Time", updated_at AS "updated_at: Time", author,
            data AS "data: Json<Box<RawValue>>"
        FROM flows
        WHERE id = ANY($1)
        "#,
        ids,
    )
    .fetch(connection)
}

/// Begins a transaction and leaves it open, for `testing::leave_transactions_open`.
#[cfg(feature = "testkit")]
pub(crate) async fn begin_transaction(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("BEGIN").execute(connection).await?;
    Ok(())
}
