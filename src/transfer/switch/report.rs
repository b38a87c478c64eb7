//! What came of a switch, flow by flow, or would come of it.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::Switch;
use super::plan::{Decision, Plan};
use super::reading::Item;
use crate::flow::FlowId;
use crate::repository::Version;

/// What came of a switch. Where there are obstacles, nothing was written.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many flows came to what.
    #[serde(flatten)]
    pub counts: Counts,
    /// The SHA-256 of all flows of the source: of a line `id sha256` for each, in the order of ids.
    pub sha256: Hash,
    /// What stands in the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<Obstacle>,
    /// What is not in the target as it should be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What came of the histories, where they were carried along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histories: Option<MovedHistories>,
    /// Every flow of the source, in the order of ids.
    pub flows: Vec<MovedFlow>,
}

/// What came of the histories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovedHistories {
    /// How many revisions the histories have that are new in the target.
    pub revisions: usize,
    /// The SHA-256 of these histories: of a line `id sha256` for each, in the order of ids.
    pub sha256: Hash,
    /// The flows of the source that were deleted, in the order of ids.
    pub deleted: Vec<MovedDeletion>,
}

/// A flow of the source that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovedDeletion {
    /// Its id, in both storages.
    pub id: FlowId,
    /// The name that it had.
    pub name: String,
    /// Whether its history is new in the target, was there, or was left out because the target has the flow or another history.
    pub outcome: Outcome,
    /// The revision of the deletion.
    pub revision: u64,
}

impl MovedHistories {
    pub(super) fn new(switch: &Switch, plan: &Plan) -> Self {
        let mut new: Vec<_> = plan.carried(switch).collect();
        new.sort_unstable_by_key(|(id, ..)| *id);
        let mut digest = Sha256::new();
        for (id, _, past) in &new {
            digest.update(format!("{id} {}\n", Hash(past.hash)));
        }
        let deleted = switch.gone().iter().zip(&plan.gone).map(|(gone, outcome)| MovedDeletion {
            id: gone.id,
            name: gone.name.to_string(),
            outcome: *outcome,
            revision: gone.revision.number(),
        });
        Self {
            revisions: new.iter().map(|(.., past)| past.count).sum(),
            sha256: Hash(digest.finalize().into()),
            deleted: deleted.collect(),
        }
    }
}

/// How many flows came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Those that are new in the target.
    pub created: usize,
    /// Those that have taken the place of another content.
    pub replaced: usize,
    /// Those that were there already.
    pub unchanged: usize,
    /// Those that were left out, because another content stays.
    pub skipped: usize,
    /// Those that the target alone has.
    pub others: usize,
}

/// What came of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is new, with the version that it had.
    Created,
    /// It has taken the place of another content, as a new revision.
    Replaced,
    /// It was there already.
    Unchanged,
    /// Another content is there and has stayed.
    Skipped,
}

/// A flow of the source.
#[derive(Debug, Serialize)]
pub struct MovedFlow {
    /// Its id, in both storages.
    pub id: FlowId,
    /// Its name.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Its revision in the source.
    pub revision: u64,
    /// Its revision in the target, where it is another one or not known before the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_there: Option<u64>,
    /// When it was created, as the source says.
    pub created_at: DateTime<Utc>,
    /// When it was last changed, as the source says.
    pub updated_at: DateTime<Utc>,
    /// The SHA-256 of its canonical document, with what an engine reports.
    pub sha256: Hash,
}

/// A SHA-256; prints in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What stands in the way of a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// The flow.
    pub id: Option<FlowId>,
    /// Its name, where it is known.
    pub name: Option<String>,
    /// Why it cannot move, or must not.
    pub reason: String,
}

/// A flow that is not in the target as it was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The flow.
    pub id: FlowId,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub problem: &'static str,
}

impl Report {
    pub(super) fn new(
        mut flows: Vec<MovedFlow>,
        histories: Option<MovedHistories>,
        others: usize,
        obstacles: Vec<Obstacle>,
        differences: Vec<Difference>,
    ) -> Self {
        flows.sort_unstable_by_key(|flow| flow.id);
        let mut counts = Counts { others, ..Counts::default() };
        let mut digest = Sha256::new();
        for flow in &flows {
            *match flow.outcome {
                Outcome::Created => &mut counts.created,
                Outcome::Replaced => &mut counts.replaced,
                Outcome::Unchanged => &mut counts.unchanged,
                Outcome::Skipped => &mut counts.skipped,
            } += 1;
            digest.update(format!("{} {}\n", flow.id, flow.sha256));
        }
        Self { counts, sha256: Hash(digest.finalize().into()), obstacles, differences, histories, flows }
    }

    /// Whether every flow is in the target as it should be; of a plan, whether nothing stands in the way.
    pub fn is_good(&self) -> bool {
        self.obstacles.is_empty() && self.differences.is_empty()
    }
}

impl Item {
    /// What came of it, and the version that it has in the target, where one is known.
    pub(super) fn moved(&self, decision: &Decision, there: Option<Version>) -> MovedFlow {
        let outcome = match decision {
            Decision::Adopt => Outcome::Created,
            Decision::Replace(_) => Outcome::Replaced,
            Decision::Unchanged(_) => Outcome::Unchanged,
            Decision::Skip => Outcome::Skipped,
        };
        let Version { revision, created_at, updated_at, .. } = self.version;
        let revision_there = there.map(|there| there.revision).filter(|there| *there != revision);
        MovedFlow {
            id: self.id,
            name: self.name.to_string(),
            outcome,
            revision: revision.number(),
            revision_there: revision_there.map(|revision| revision.number()),
            created_at,
            updated_at,
            sha256: Hash(self.hash),
        }
    }
}
