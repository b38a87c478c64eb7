//! Revisions and deleted flows in responses.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use strom_store::flow::{Flow, FlowId, Head};
use strom_store::repository::Record;
use utoipa::ToSchema;

use super::description::schemas;

/// The revisions of a flow, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = History)]
pub(crate) struct FlowHistory<'a> {
    pub(crate) history: Vec<HistoryEntry<'a>>,
}

/// The summary of a revision.
#[derive(Serialize, ToSchema)]
pub struct HistoryEntry<'a> {
    revision: u64,
    #[schema(value_type = schemas::Operation)]
    op: &'static str,
    at: DateTime<Utc>,
    /// The author of the change: the name of a key, `anonymous`, `cli`, `sql` or `file`.
    author: &'a str,
    /// The size of the document in bytes.
    size: u64,
    summary: Contents<'a>,
}

impl<'a> HistoryEntry<'a> {
    /// Creates the entry of a record.
    pub fn of(record: &'a Record<Head>) -> Self {
        Self {
            revision: record.revision.number(),
            op: record.operation.as_str(),
            at: record.at,
            author: record.author.as_str(),
            size: record.item.size,
            summary: Contents::of(&record.item),
        }
    }
}

/// The properties of a flow at a revision.
#[derive(Serialize, ToSchema)]
struct Contents<'a> {
    name: &'a str,
    #[schema(value_type = schemas::GstState)]
    state: &'static str,
    auto_restart: bool,
    elements: u32,
    blocks: u32,
    links: u32,
}

impl<'a> Contents<'a> {
    fn of(head: &'a Head) -> Self {
        Self {
            name: &head.name,
            state: head.state.as_str(),
            auto_restart: head.auto_restart,
            elements: head.elements,
            blocks: head.blocks,
            links: head.links,
        }
    }
}

/// A revision and its document.
#[derive(Serialize, ToSchema)]
#[schema(as = Revision)]
pub(crate) struct RevisionBody<'a> {
    #[schema(value_type = schemas::Flow)]
    flow: &'a RawValue,
    revision: u64,
    #[schema(value_type = schemas::Operation)]
    op: &'static str,
    at: DateTime<Utc>,
    author: &'a str,
}

impl<'a> RevisionBody<'a> {
    pub(crate) fn of(record: &'a Record<Flow>) -> Self {
        Self {
            flow: record.item.document(),
            revision: record.revision.number(),
            op: record.operation.as_str(),
            at: record.at,
            author: record.author.as_str(),
        }
    }
}

/// The deleted flows, latest deletion first.
#[derive(Serialize, ToSchema)]
pub struct Trash<'a> {
    /// Deleted flows that can be restored.
    pub flows: Vec<DeletedFlow<'a>>,
    /// The cursor of the next page. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
}

/// The summary of a deleted flow. It has no creation time, because a deletion does not record it.
#[derive(Serialize, ToSchema)]
pub struct DeletedFlow<'a> {
    #[schema(value_type = Uuid)]
    id: FlowId,
    /// The revision of the deletion. The revision before it has the last document.
    revision: u64,
    deleted_at: DateTime<Utc>,
    author: &'a str,
    size: u64,
    #[serde(flatten)]
    contents: Contents<'a>,
}

impl<'a> DeletedFlow<'a> {
    /// Creates the summary of a deletion.
    pub fn of(record: &'a Record<Head>) -> Self {
        Self {
            id: record.item.id,
            revision: record.revision.number(),
            deleted_at: record.at,
            author: record.author.as_str(),
            size: record.item.size,
            contents: Contents::of(&record.item),
        }
    }
}
