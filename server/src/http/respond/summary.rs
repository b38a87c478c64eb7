//! A flow without its document.

use chrono::{DateTime, Utc};
use serde::Serialize;
use strom_store::flow::{FlowId, GstState, Head};
use strom_store::repository::Stored;
use utoipa::ToSchema;

use super::description::schemas;

/// The summary of a flow, as lists with `view=summary` contain it.
#[derive(Serialize, ToSchema)]
pub struct Summary<'a> {
    #[schema(value_type = Uuid)]
    id: FlowId,
    name: &'a str,
    #[schema(value_type = schemas::GstState)]
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
    /// Creates the summary of a stored flow.
    pub fn of(Stored { item: head, version }: &'a Stored<Head>) -> Self {
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
