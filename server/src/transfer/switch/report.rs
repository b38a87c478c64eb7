//! The report of a switch or of its plan.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::hash::Hash;
use strom_store::flow::FlowId;

/// The report of a switch. If there are obstacles, nothing was written.
#[derive(Debug, Serialize)]
pub struct SwitchReport {
    /// The number of flows per outcome.
    #[serde(flatten)]
    pub counts: SwitchCounts,
    /// The SHA-256 of all flows of the source: of one line `id sha256` per flow, ordered by id.
    pub sha256: Hash,
    /// The reasons why the switch is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<Obstacle>,
    /// Differences between the source and the target after the switch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// The report about histories, if the switch includes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histories: Option<MovedHistories>,
    /// Every flow of the source, ordered by id.
    pub flows: Vec<MovedFlow>,
}

/// The report about histories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovedHistories {
    /// The number of revisions that are new in the target.
    pub revisions: usize,
    /// The SHA-256 of these histories: of one line `id sha256` per history, ordered by id.
    pub sha256: Hash,
    /// The deleted flows of the source, ordered by id.
    pub deleted: Vec<MovedDeletion>,
}

/// A deleted flow of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovedDeletion {
    /// The id in both storages.
    pub id: FlowId,
    /// The last name.
    pub name: String,
    /// Whether the history is new in the target, existed there, or was skipped because the target has the flow or another
    /// history.
    pub outcome: MoveOutcome,
    /// The revision of the deletion.
    pub revision: u64,
}

/// The number of flows per outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SwitchCounts {
    /// Flows that are new in the target.
    pub created: usize,
    /// Flows that replaced other content.
    pub replaced: usize,
    /// Flows that the target already had.
    pub unchanged: usize,
    /// Flows that were skipped because the target keeps other content.
    pub skipped: usize,
    /// Flows that only the target has.
    pub others: usize,
}

/// The outcome of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MoveOutcome {
    /// The flow is new in the target, with the version of the source.
    Created,
    /// The flow replaced other content, as a new revision.
    Replaced,
    /// The target already had the flow.
    Unchanged,
    /// The target keeps other content.
    Skipped,
}

/// The report about a flow of the source.
#[derive(Debug, Serialize)]
pub struct MovedFlow {
    /// The id in both storages.
    pub id: FlowId,
    /// The name.
    pub name: String,
    /// The outcome.
    pub outcome: MoveOutcome,
    /// The revision in the source.
    pub revision: u64,
    /// The revision in the target, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_there: Option<u64>,
    /// The time of creation in the source.
    pub created_at: DateTime<Utc>,
    /// The time of the last change in the source.
    pub updated_at: DateTime<Utc>,
    /// The SHA-256 of the canonical document, with runtime members.
    pub sha256: Hash,
}

/// A reason why a switch is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// The flow.
    pub id: Option<FlowId>,
    /// The name, if it is known.
    pub name: Option<String>,
    /// The reason.
    pub reason: String,
}

/// A difference between the source and the target after a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The flow.
    pub id: FlowId,
    /// The name.
    pub name: String,
    /// The difference.
    pub problem: &'static str,
}

impl SwitchReport {
    /// Whether the target has every flow as intended. For a plan: whether there are no obstacles.
    pub fn is_good(&self) -> bool {
        self.obstacles.is_empty() && self.differences.is_empty()
    }
}
