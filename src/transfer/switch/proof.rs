//! Reading back: is everything in the target that was handed over?

use std::collections::HashMap;

use futures::TryStreamExt;

use super::past::{self, Histories, Past};
use super::plan::Plan;
use super::reading::Item;
use super::report::Difference;
use super::{Switch, SwitchError};
use crate::flow::{FlowId, Runtime};
use crate::repository::{FlowRepository, Stored, Version};

/// Compares every flow that should be there, whoever has stored it, with what was read from the source. `versions` are those
/// that they should have, in the order of the flows.
pub(super) async fn flows(
    switch: &Switch,
    target: &dyn FlowRepository,
    versions: &[Option<Version>],
) -> Result<Vec<Difference>, SwitchError> {
    let places = switch.places();
    let mut missing: Vec<bool> = versions.iter().map(Option::is_some).collect();
    let mut differences = Vec::new();
    let mut read = 0;
    let mut there = target.snapshot();
    while let Some(Stored { item: flow, version }) = there.try_next().await.map_err(SwitchError::Target)? {
        let Some(&place) = places.get(&flow.id()) else { continue };
        let Some(expected) = &versions[place] else { continue };
        missing[place] = false;
        let item = &switch.items[place];
        if flow.hash(Runtime::Kept).ok() != Some(item.hash) {
            differences.push(item.differs("its document is not the one that was handed over"));
        } else if version != *expected {
            differences.push(item.differs("its revision, times or author are not those that were handed over"));
        }
        read += 1;
        switch.progress.read_back(read, versions.len());
    }
    let missing = missing.iter().zip(&*switch.items).filter(|(is_missing, _)| **is_missing);
    differences.extend(missing.map(|(_, item)| item.differs("it is not there")));
    Ok(differences)
}

/// Compares the histories that were carried along. That of a flow which the target itself had deleted goes on there, and is
/// not the same.
pub(super) async fn histories(
    switch: &Switch,
    target: &dyn FlowRepository,
    plan: &Plan,
) -> Result<Vec<Difference>, SwitchError> {
    if switch.histories.is_none() {
        return Ok(Vec::new());
    }
    let expected = plan.carried(switch).filter(|(id, ..)| !plan.deleted.contains(id));
    let mut missing: HashMap<FlowId, (&str, &Past)> = expected.map(|(id, name, past)| (id, (name, past))).collect();
    let mut differences = Vec::new();
    let mut there = Histories::of(target);
    while let Some(records) = there.next().await.map_err(SwitchError::Target)? {
        let id = records[0].item.id();
        if let Some((name, past)) = missing.remove(&id)
            && past::hash(&records).ok() != Some(past.hash)
        {
            let problem = "its history is not the one that was handed over";
            differences.push(Difference { id, name: name.to_owned(), problem });
        }
    }
    let problem = "its history is not there";
    differences.extend(missing.into_iter().map(|(id, (name, _))| Difference { id, name: name.to_owned(), problem }));
    Ok(differences)
}

impl Item {
    fn differs(&self, problem: &'static str) -> Difference {
        Difference { id: self.id, name: self.name.to_string(), problem }
    }
}
