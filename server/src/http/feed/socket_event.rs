//! The messages on a WebSocket.

use serde::Serialize;
use strom_store::flow::{FlowId, GstState};
use strom_store::repository::Operation;

use super::hub::Hub;
use super::page::FeedChange;

/// A message of the server.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(tag = "type", content = "data")]
pub(super) enum SocketEvent {
    Ping,
    FlowCreated { flow_id: FlowId },
    FlowUpdated { flow_id: FlowId },
    FlowDeleted { flow_id: FlowId },
    FlowStateChanged { flow_id: FlowId, state: GstState },
}

impl SocketEvent {
    /// Returns the message for a change. A restore of a deleted flow is a creation, any other restore is an update.
    pub(super) async fn of(change: &FeedChange, hub: &Hub) -> Self {
        let FeedChange { flow_id, state, .. } = *change;
        match change.operation {
            Operation::Create => Self::FlowCreated { flow_id },
            Operation::Delete => Self::FlowDeleted { flow_id },
            Operation::State => Self::FlowStateChanged { flow_id, state },
            Operation::Restore if was_deleted(change, hub).await => Self::FlowCreated { flow_id },
            Operation::Restore | Operation::Update => Self::FlowUpdated { flow_id },
        }
    }
}

/// Reports whether the flow of a restore was deleted before. The hub has looked it up, except for followers that are behind.
async fn was_deleted(change: &FeedChange, hub: &Hub) -> bool {
    match change.was_deleted {
        Some(was_deleted) => was_deleted,
        None => hub.was_deleted(change).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot read the revision before a restore");
            false
        }),
    }
}
