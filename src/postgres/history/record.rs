//! Rows of `flow_changes`, and their conversion to public types.

use serde_json::value::RawValue;
use sqlx::types::Json;
use uuid::Uuid;

use crate::flow::{Flow, Head};
use crate::postgres::flows::{corrupt, head, revision_of};
use crate::postgres::time::Time;
use crate::repository::{Author, FeedCursor, Record, RepositoryError, Result};

/// The columns that every reading statement selects; `document` is NULL if the caller needs no document.
pub(super) struct RecordRow {
    pub(super) log: i64,
    pub(super) horizon: i64,
    pub(super) number: i64,
    pub(super) flow_id: Uuid,
    pub(super) operation: String,
    pub(super) revision: i64,
    pub(super) at: Time,
    pub(super) author: String,
    pub(super) name: String,
    pub(super) state: Option<String>,
    pub(super) auto_restart: Option<bool>,
    pub(super) size: i32,
    pub(super) elements: i32,
    pub(super) blocks: i32,
    pub(super) links: i32,
    pub(super) document: Option<Json<Box<RawValue>>>,
}

impl TryFrom<RecordRow> for Record<Head> {
    type Error = RepositoryError;

    fn try_from(row: RecordRow) -> Result<Self> {
        let corrupt = |column| corrupt("flow_changes", column, row.flow_id);
        let counts = [row.size, row.elements, row.blocks, row.links];
        Ok(Self {
            cursor: cursor(row.log, row.horizon, row.number)?,
            operation: row.operation.parse().map_err(|_| corrupt("operation"))?,
            revision: revision_of(row.revision),
            at: row.at.into(),
            author: Author::new(&row.author),
            item: head("flow_changes", row.flow_id, row.name, row.state.as_deref(), row.auto_restart, counts)?,
        })
    }
}

impl TryFrom<RecordRow> for Record<Flow> {
    type Error = RepositoryError;

    fn try_from(mut row: RecordRow) -> Result<Self> {
        let id = row.flow_id;
        let Json(document) = row.document.take().ok_or_else(|| corrupt("flow_changes", "document", id))?;
        Ok(Record::<Head>::try_from(row)?.map(|item| Flow::from_parts(item, document)))
    }
}

/// Builds a feed cursor from columns.
pub(super) fn cursor(log: i64, horizon: i64, number: i64) -> Result<FeedCursor> {
    let part =
        |part: i64| u64::try_from(part).map_err(|_| RepositoryError::Corrupt("a cursor in `flow_changes`".to_owned()));
    Ok(FeedCursor { log: part(log)?, transaction: part(horizon)?, number: part(number)? })
}
