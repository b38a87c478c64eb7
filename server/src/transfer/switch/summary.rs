//! Builds the report of a switch.

use sha2::{Digest, Sha256};

use super::hash::Hash;
use super::items::SourceFlow;
use super::plan::{MoveDecision, Plan};
use super::report::{
    Difference, MoveOutcome, MovedDeletion, MovedFlow, MovedHistories, Obstacle, SwitchCounts, SwitchReport,
};
use super::source::Switch;
use strom_store::repository::Version;

impl Switch {
    pub(super) fn report(
        &self,
        plan: Plan,
        versions: Vec<Option<Version>>,
        differences: Vec<Difference>,
    ) -> SwitchReport {
        let flows = self.items.iter().zip(&plan.decisions).zip(versions);
        let flows = flows.map(|((item, decision), target)| item.moved(decision, target)).collect();
        let histories = self.histories.as_ref().map(|_| MovedHistories::new(self, &plan));
        SwitchReport::new(flows, histories, plan.others, plan.obstacles, differences)
    }
}

impl MovedHistories {
    fn new(switch: &Switch, plan: &Plan) -> Self {
        let mut new: Vec<_> = plan.new_histories(switch).collect();
        new.sort_unstable_by_key(|(id, ..)| *id);
        let mut digest = Sha256::new();
        for (id, _, history) in &new {
            digest.update(format!("{id} {}\n", Hash(history.hash)));
        }
        let deleted = switch.deleted().iter().zip(&plan.deleted).map(|(flow, outcome)| MovedDeletion {
            id: flow.id,
            name: flow.name.to_string(),
            outcome: *outcome,
            revision: flow.revision.number(),
        });
        Self {
            revisions: new.iter().map(|(.., history)| history.count).sum(),
            sha256: Hash(digest.finalize().into()),
            deleted: deleted.collect(),
        }
    }
}

impl SwitchReport {
    fn new(
        mut flows: Vec<MovedFlow>,
        histories: Option<MovedHistories>,
        others: usize,
        obstacles: Vec<Obstacle>,
        differences: Vec<Difference>,
    ) -> Self {
        flows.sort_unstable_by_key(|flow| flow.id);
        let mut counts = SwitchCounts { others, ..SwitchCounts::default() };
        let mut digest = Sha256::new();
        for flow in &flows {
            *match flow.outcome {
                MoveOutcome::Created => &mut counts.created,
                MoveOutcome::Replaced => &mut counts.replaced,
                MoveOutcome::Unchanged => &mut counts.unchanged,
                MoveOutcome::Skipped => &mut counts.skipped,
            } += 1;
            digest.update(format!("{} {}\n", flow.id, flow.sha256));
        }
        Self { counts, sha256: Hash(digest.finalize().into()), obstacles, differences, histories, flows }
    }
}

impl SourceFlow {
    /// Returns the report about the flow, given its version in the target if it is known.
    fn moved(&self, decision: &MoveDecision, target: Option<Version>) -> MovedFlow {
        let outcome = match decision {
            MoveDecision::Adopt => MoveOutcome::Created,
            MoveDecision::Replace(_) => MoveOutcome::Replaced,
            MoveDecision::Unchanged(_) => MoveOutcome::Unchanged,
            MoveDecision::Skip => MoveOutcome::Skipped,
        };
        let Version { revision, created_at, updated_at, .. } = self.version;
        let revision_there = target.map(|target| target.revision).filter(|target| *target != revision);
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
