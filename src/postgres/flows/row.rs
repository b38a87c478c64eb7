//! Rows of `flows`, and their conversion to public types.

use serde_json::value::RawValue;
use sqlx::types::Json;
use uuid::Uuid;

use crate::flow::{Flow, Head};
use crate::postgres::time::Time;
use crate::repository::{Author, RepositoryError, Result, Revision, Stored, Version};

/// The columns that every reading statement selects; `data` is NULL if the caller needs no document. Triggers keep the
/// other columns equal to the document, so the document is not parsed again.
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
    pub(super) created_at: Time,
    pub(super) updated_at: Time,
    pub(super) author: String,
    pub(super) data: Option<Json<Box<RawValue>>>,
}

impl TryFrom<FlowRow> for Stored<Head> {
    type Error = RepositoryError;

    fn try_from(row: FlowRow) -> Result<Self> {
        let counts = [row.size, row.elements, row.blocks, row.links];
        let head = head("flows", row.id, row.name, row.state.as_deref(), row.auto_restart, counts)?;
        let version = version(row.revision, row.created_at, row.updated_at, &row.author);
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

/// Builds the version of a flow from columns.
pub(super) fn version(revision: i64, created_at: Time, updated_at: Time, author: &str) -> Version {
    let [created_at, updated_at] = [created_at, updated_at].map(Into::into);
    Version { revision: revision_of(revision), created_at, updated_at, author: Author::new(author) }
}

/// Builds the head of a flow from columns of `table`. The array holds size, elements, blocks and links.
pub(crate) fn head(
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

/// Returns the error for a column with an invalid value.
pub(crate) fn corrupt(table: &str, column: &str, id: Uuid) -> RepositoryError {
    RepositoryError::Corrupt(format!("column `{column}` of `{table}`, row {id}"))
}

/// Converts a column value to a revision. A row that SQL wrote without the triggers can have a revision below 1. It becomes
/// 0, which `strom check` reports, so that the row does not fail the list of all others.
pub(crate) fn revision_of(column: i64) -> Revision {
    Revision::new(column.max(0).unsigned_abs())
}

/// Converts a revision to a column value. Larger revisions than `i64::MAX` do not occur.
pub(crate) fn revision_column(revision: Revision) -> i64 {
    i64::try_from(revision.number()).unwrap_or(i64::MAX)
}
