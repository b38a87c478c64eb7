//! What is to be done with each flow, and what stands in the way.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt;

use super::past::Past;
use super::reading::Item;
use super::report::{Obstacle, Outcome};
use super::{Existing, Switch, SwitchError};
use crate::flow::{Flow, FlowId, Head, Runtime};
use crate::repository::{FlowRepository, Record, Revision, Stored, Version};

/// What is to be done with a flow.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    Adopt,
    Replace(Revision),
    /// It is there, in this version.
    Unchanged(Version),
    /// Another content is there and stays.
    Skip,
}

/// What is to be done, and what stands in the way.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) decisions: Vec<Decision>,
    /// Of the flows that were deleted, where histories are carried along.
    pub(super) gone: Vec<Outcome>,
    pub(super) obstacles: Vec<Obstacle>,
    /// Flows that only the target has.
    pub(super) others: usize,
    /// What the target itself has deleted. The history that it has stays.
    pub(super) deleted: HashSet<FlowId>,
}

impl Plan {
    /// Looks at the target; one that is not there yet has no flows.
    pub(super) async fn make(
        switch: &Switch,
        target: Option<&dyn FlowRepository>,
        existing: Existing,
    ) -> Result<Self, SwitchError> {
        let mut plan = Self {
            decisions: vec![Decision::Adopt; switch.items.len()],
            gone: vec![Outcome::Created; switch.gone().len()],
            obstacles: switch.refused.clone(),
            others: 0,
            deleted: HashSet::new(),
        };
        let Some(target) = target else { return Ok(plan) };
        let places = switch.places();
        let gone_places: HashMap<_, _> = switch.gone().iter().zip(0..).map(|(gone, place)| (gone.id, place)).collect();
        let mut there = target.snapshot();
        while let Some(stored) = there.try_next().await.map_err(SwitchError::Target)? {
            let place = places.get(&stored.item.id()).copied();
            match place {
                Some(place) => plan.decisions[place] = switch.items[place].decide(&stored, existing),
                None => plan.others += 1,
            }
            if let Some(place) = gone_places.get(&stored.item.id()) {
                plan.gone[*place] = Outcome::Skipped;
            }
            if existing == Existing::Fail
                && let Some(reason) =
                    obstacle(place.map(|place| (&switch.items[place], &plan.decisions[place])), &stored)
            {
                let name = stored.item.head().name.clone();
                plan.obstacles.push(Obstacle { id: Some(stored.item.id()), name: Some(name), reason });
            }
        }
        if switch.histories.is_some() {
            for deletion in target.deleted().await.map_err(SwitchError::Target)? {
                let id = deletion.item.id;
                let comes = places.contains_key(&id);
                plan.meet(switch, &deletion, existing, comes, gone_places.get(&id).copied());
            }
        }
        Ok(plan)
    }

    /// The histories that are carried along: of the flows that are new in the target, and of the deleted ones that are.
    pub(super) fn carried<'s>(&self, switch: &'s Switch) -> impl Iterator<Item = (FlowId, &'s str, &'s Past)> {
        let histories = switch.histories.as_deref();
        let new = switch.items.iter().zip(&self.decisions).filter(|(_, decision)| **decision == Decision::Adopt);
        let new = new.filter_map(move |(item, _)| Some((item.id, &*item.name, histories?.of.get(&item.id)?)));
        let gone = switch.gone().iter().zip(&self.gone).filter(|(_, outcome)| **outcome == Outcome::Created);
        new.chain(gone.map(|(gone, _)| (gone.id, &*gone.name, &gone.past)))
    }

    /// Compares a flow that the target has deleted with what is to come: a flow, or a deleted one.
    fn meet(&mut self, switch: &Switch, deletion: &Record<Head>, existing: Existing, comes: bool, gone: Option<usize>) {
        let Record { item: Head { id, name, .. }, revision, .. } = deletion;
        self.deleted.insert(*id);
        let is_in_the_way = match gone {
            Some(place) if switch.gone()[place].revision == *revision => {
                self.gone[place] = Outcome::Unchanged;
                false
            }
            Some(place) => {
                self.gone[place] = Outcome::Skipped;
                true
            }
            None => comes,
        };
        if is_in_the_way && existing == Existing::Fail {
            let reason = format!("the target has deleted this flow, as revision {revision}, and has its history");
            self.obstacles.push(Obstacle { id: Some(*id), name: Some(name.clone()), reason });
        }
    }
}

impl Decision {
    /// The version that the flow has, as far as it is known before anything is done.
    pub(super) fn version(&self) -> Option<Version> {
        match self {
            Self::Unchanged(version) => Some(version.clone()),
            Self::Adopt | Self::Replace(_) | Self::Skip => None,
        }
    }
}

impl Item {
    fn decide(&self, there: &Stored<Flow>, existing: Existing) -> Decision {
        // One that somebody wrote by SQL and that we would refuse is like no other.
        let is_same = there.item.hash(Runtime::Kept).ok() == Some(self.hash);
        match existing {
            _ if is_same => Decision::Unchanged(there.version.clone()),
            Existing::Fail | Existing::Skip => Decision::Skip,
            Existing::Replace => Decision::Replace(there.version.revision),
        }
    }
}

/// Why a flow of the target is in the way when none is to be touched.
fn obstacle(ours: Option<(&Item, &Decision)>, there: &Stored<Flow>) -> Option<String> {
    let revision = there.version.revision;
    match ours {
        None => Some("the target has this flow, and the source has not".to_owned()),
        Some((item, Decision::Unchanged(version))) if *version == item.version => None,
        Some((item, Decision::Unchanged(_))) => Some(format!(
            "the target has this flow with the same document, as revision {revision} instead of {}",
            item.version.revision
        )),
        Some(_) => Some(format!("the target has this flow with another document, at revision {revision}")),
    }
}
