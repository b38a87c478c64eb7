//! Streams flows.

use std::sync::Arc;

use futures::stream::BoxStream;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::get;
use super::row::FlowRow;
use crate::flow::{Flow, FlowId};
use crate::postgres::connection::{Pool, stream_rows};
use crate::postgres::time::Time;
use crate::repository::{Result, Stored};

/// Streams all flows as of one moment, by name and id.
pub(crate) fn snapshot(pool: Arc<Pool>) -> BoxStream<'static, Result<Stored<Flow>>> {
    stream_rows(pool, all_rows)
}

/// Streams the flows that exist among these.
pub(crate) fn get_each(pool: Arc<Pool>, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>> {
    let ids: Vec<Uuid> = ids.into_iter().map(FlowId::as_uuid).collect();
    stream_rows(pool, move |connection| get::rows(connection, &ids))
}

fn all_rows(connection: &mut PgConnection) -> BoxStream<'_, sqlx::Result<FlowRow>> {
    sqlx::query_as!(
        FlowRow,
        r#"
            SELECT id, name, state, auto_restart, size, elements, blocks, links, revision,
                created_at AS "created_at: Time", updated_at AS "updated_at: Time", author, data AS "data: Json<Box<RawValue>>"
            FROM flows
            ORDER BY name COLLATE "C", id
            "#,
    )
    .fetch(connection)
}
