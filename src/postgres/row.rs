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
        let counts = [row.size, row.elements, row.blocks, row.links];
        let head = head("flows", row.id, row.name, row.state.as_deref(), row.auto_restart, counts)?;
        let version = version(row.id, row.revision, row.created_at, row.updated_at, &row.author)?;
        Ok(Self { item: head, version })
    }
}

impl TryFrom<FlowRow> for Stored<Flow> {
    type Error = RepositoryError;

    fn try_from(mut row: FlowRow) -> Result<Self> {
        let id = row.id;
        let Json(document) = row.data.take().ok_or_else(|| corrupt("flows", "data", id))?;
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
    let number = revision.try_into().map_err(|_| corrupt("flows", "revision", id))?;
    Ok(Version { revision: Revision::new(number), created_at, updated_at, author: Author::new(author) })
}

/// The head that the columns of a row make; the last are size, elements, blocks and links.
pub(super) fn head(
    table: &str,
    id: Uuid,
    name: String,
    state: Option<&str>,
    auto_restart: Option<bool>,
    [size, elements, blocks, links]: [i32; 4],
) -> Result<Head> {
    Ok(Head {
        id: id.into(),
        name,
        state: state.and_then(|state| state.parse().ok()).unwrap_or_default(),
        auto_restart: auto_restart.unwrap_or_default(),
        size: size.try_into().map_err(|_| corrupt(table, "size", id))?,
        elements: elements.try_into().map_err(|_| corrupt(table, "elements", id))?,
        blocks: blocks.try_into().map_err(|_| corrupt(table, "blocks", id))?,
        links: links.try_into().map_err(|_| corrupt(table, "links", id))?,
    })
}

pub(super) fn corrupt(table: &str, column: &str, id: Uuid) -> RepositoryError {
    RepositoryError::Corrupt(format!("column `{column}` of `{table}`, row {id}"))
}
