//! A row of `flows`, and the public types made of it.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::types::Json;
use uuid::Uuid;

use crate::flow::{Flow, Head};
use crate::repository::{Author, RepositoryError, Result, Revision, Stored, Version};

/// A row as every reading statement selects it; `data` only where documents are asked for. The triggers keep the
/// columns in agreement with the document, so it is not parsed again.
pub(super) struct FlowRow {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) state: Option<String>,
    pub(super) auto_restart: Option<bool>,
    pub(super) size: i32,
    pub(super) elements: i32,
    pub(super) blocks: i32,
    pub(super) links: i32,
    pub(super) revision: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) author: String,
    pub(super) data: Option<Json<Box<RawValue>>>,
}

impl TryFrom<FlowRow> for Stored<Head> {
    type Error = RepositoryError;

    fn try_from(row: FlowRow) -> Result<Self> {
        let head = Head {
            id: row.id.into(),
            state: row.state.as_deref().and_then(|state| state.parse().ok()).unwrap_or_default(),
            auto_restart: row.auto_restart.unwrap_or_default(),
            size: row.size.try_into().map_err(|_| corrupt("size", row.id))?,
            elements: row.elements.try_into().map_err(|_| corrupt("elements", row.id))?,
            blocks: row.blocks.try_into().map_err(|_| corrupt("blocks", row.id))?,
            links: row.links.try_into().map_err(|_| corrupt("links", row.id))?,
            name: row.name,
        };
        let version = version(row.id, row.revision, row.created_at, row.updated_at, &row.author)?;
        Ok(Self { item: head, version })
    }
}

impl TryFrom<FlowRow> for Stored<Flow> {
    type Error = RepositoryError;

    fn try_from(mut row: FlowRow) -> Result<Self> {
        let id = row.id;
        let Json(document) = row.data.take().ok_or_else(|| corrupt("data", id))?;
        let Stored { item, version } = Stored::<Head>::try_from(row)?;
        Ok(Self { item: Flow::from_parts(item, document), version })
    }
}

/// The version that four columns of the row make.
pub(super) fn version(
    id: Uuid,
    revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    author: &str,
) -> Result<Version> {
    let number = revision.try_into().map_err(|_| corrupt("revision", id))?;
    Ok(Version { revision: Revision::new(number), created_at, updated_at, author: Author::new(author) })
}

fn corrupt(column: &str, id: Uuid) -> RepositoryError {
    RepositoryError::Corrupt(format!("column `{column}` of `flows`, row {id}"))
}
