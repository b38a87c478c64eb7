//! Flows without their documents, as the API shows them (`GET /api/flows?view=summary`).

use chrono::{DateTime, Utc};
use serde::Serialize;
use strom::flow::{FlowId, GstState, Head};
use strom::repository::Stored;

/// A flow without its document.
#[derive(Serialize)]
pub(super) struct Summary<'a> {
    id: FlowId,
    name: &'a str,
    state: GstState,
    auto_restart: bool,
    revision: u64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    size: u64,
    elements: u32,
    blocks: u32,
    links: u32,
}

impl<'a> Summary<'a> {
    pub(super) fn of(Stored { item: head, version }: &'a Stored<Head>) -> Self {
        Self {
            id: head.id,
            name: &head.name,
            state: head.state,
            auto_restart: head.auto_restart,
            revision: version.revision.number(),
            created_at: version.created_at,
            updated_at: version.updated_at,
            size: head.size,
            elements: head.elements,
            blocks: head.blocks,
            links: head.links,
        }
    }
}

/// A time in a table: UTC (RFC 3339), to the second.
pub(super) fn at(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
