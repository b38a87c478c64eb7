//! Decides what to do with each flow, and lists the obstacles.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt;

use super::error::SwitchError;
use super::histories::SpooledHistory;
use super::items::SourceFlow;
use super::options::Existing;
use super::report::{MoveOutcome, Obstacle};
use super::source::Switch;
use strom_store::flow::{Flow, FlowId, Head, Runtime};
use strom_store::repository::{FlowRepository, Record, Revision, Stored, Version};

/// The decision about a flow.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum MoveDecision {
    Adopt,
    Replace(Revision),
    /// The target has the flow, in this version.
    Unchanged(Version),
    /// The target keeps other content.
    Skip,
}

/// The decisions and obstacles of a switch.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) decisions: Vec<MoveDecision>,
    /// The outcomes of deleted flows, if the switch includes histories.
    pub(super) deleted: Vec<MoveOutcome>,
    pub(super) obstacles: Vec<Obstacle>,
    /// The number of flows that only the target has.
    pub(super) others: usize,
    /// The flows that the target has deleted. Their histories in the target remain.
    pub(super) deleted_in_target: HashSet<FlowId>,
}

impl Plan {
    /// Compares the source with the target. `None` is a target that does not exist yet.
    pub(super) async fn make(
        switch: &Switch,
        target: Option<&dyn FlowRepository>,
        existing: Existing,
    ) -> Result<Self, SwitchError> {
        let mut plan = Self {
            decisions: vec![MoveDecision::Adopt; switch.items.len()],
            deleted: vec![MoveOutcome::Created; switch.deleted().len()],
            obstacles: switch.refused.clone(),
            others: 0,
            deleted_in_target: HashSet::new(),
        };
        let Some(target) = target else { return Ok(plan) };
        let indexes = switch.indexes();
        let deleted_indexes: HashMap<_, _> =
            switch.deleted().iter().zip(0..).map(|(flow, index)| (flow.id, index)).collect();
        let mut flows = target.snapshot();
        while let Some(stored) = flows.try_next().await.map_err(SwitchError::Target)? {
            let index = indexes.get(&stored.item.id()).copied();
            match index {
                Some(index) => plan.decisions[index] = switch.items[index].decide(&stored, existing),
                None => plan.others += 1,
            }
            if let Some(index) = deleted_indexes.get(&stored.item.id()) {
                plan.deleted[*index] = MoveOutcome::Skipped;
            }
            if existing == Existing::Fail
                && let Some(reason) =
                    obstacle(index.map(|index| (&switch.items[index], &plan.decisions[index])), &stored)
            {
                let name = stored.item.head().name.clone();
                plan.obstacles.push(Obstacle { id: Some(stored.item.id()), name: Some(name), reason });
            }
        }
        if switch.histories.is_some() {
            for deletion in target.deleted().await.map_err(SwitchError::Target)? {
                let id = deletion.item.id;
                let is_current = indexes.contains_key(&id);
                plan.add_deletion(switch, &deletion, existing, is_current, deleted_indexes.get(&id).copied());
            }
        }
        Ok(plan)
    }

    /// Returns the histories that are new in the target: of new flows, and of new deleted flows.
    pub(super) fn new_histories<'s>(
        &self,
        switch: &'s Switch,
    ) -> impl Iterator<Item = (FlowId, &'s str, &'s SpooledHistory)> {
        let histories = switch.histories.as_deref();
        let new = switch.items.iter().zip(&self.decisions).filter(|(_, decision)| **decision == MoveDecision::Adopt);
        let new = new.filter_map(move |(item, _)| Some((item.id, &*item.name, histories?.of_flows.get(&item.id)?)));
        let deleted =
            switch.deleted().iter().zip(&self.deleted).filter(|(_, outcome)| **outcome == MoveOutcome::Created);
        new.chain(deleted.map(|(flow, _)| (flow.id, &*flow.name, &flow.history)))
    }

    /// Compares a flow that the target has deleted with the source. The source may have the flow (`is_current`) or a
    /// deleted flow with the same id (`deleted_index`).
    fn add_deletion(
        &mut self,
        switch: &Switch,
        deletion: &Record<Head>,
        existing: Existing,
        is_current: bool,
        deleted_index: Option<usize>,
    ) {
        let Record { item: Head { id, name, .. }, revision, .. } = deletion;
        self.deleted_in_target.insert(*id);
        let is_obstacle = match deleted_index {
            Some(index) if switch.deleted()[index].revision == *revision => {
                self.deleted[index] = MoveOutcome::Unchanged;
                false
            }
            Some(index) => {
                self.deleted[index] = MoveOutcome::Skipped;
                true
            }
            None => is_current,
        };
        if is_obstacle && existing == Existing::Fail {
            let reason = format!("the target deleted this flow as revision {revision} and contains its history");
            self.obstacles.push(Obstacle { id: Some(*id), name: Some(name.clone()), reason });
        }
    }
}

impl MoveDecision {
    /// Returns the version in the target, if it is known before the write.
    pub(super) fn version(&self) -> Option<Version> {
        match self {
            Self::Unchanged(version) => Some(version.clone()),
            Self::Adopt | Self::Replace(_) | Self::Skip => None,
        }
    }
}

impl SourceFlow {
    fn decide(&self, target: &Stored<Flow>, existing: Existing) -> MoveDecision {
        // An invalid document, which was written by SQL, has no hash. It differs from every other document.
        let is_same = target.item.hash(Runtime::Include).ok() == Some(self.hash);
        match existing {
            _ if is_same => MoveDecision::Unchanged(target.version.clone()),
            Existing::Fail | Existing::Skip => MoveDecision::Skip,
            Existing::Replace => MoveDecision::Replace(target.version.revision),
        }
    }
}

/// Returns why a flow of the target is an obstacle under [`Existing::Fail`].
fn obstacle(source: Option<(&SourceFlow, &MoveDecision)>, target: &Stored<Flow>) -> Option<String> {
    let revision = target.version.revision;
    match source {
        None => Some("the target contains this flow, but the source does not".to_owned()),
        Some((item, MoveDecision::Unchanged(version))) if is_adopted(version, &item.version) => None,
        Some((item, MoveDecision::Unchanged(_))) => Some(format!(
            "the target contains this flow with the same document, but at revision {revision} instead of {}",
            item.version.revision
        )),
        Some(_) => Some(format!("the target contains this flow with another document at revision {revision}")),
    }
}

/// Whether an earlier attempt of the same switch stored the version. It has a higher revision if the target had deleted the flow
/// before (see [`Version::adopted`]).
fn is_adopted(target: &Version, source: &Version) -> bool {
    target.revision >= source.revision && Version { revision: source.revision, ..target.clone() } == *source
}
