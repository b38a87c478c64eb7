//! Reads the target back and compares it with the source.

use std::collections::HashMap;

use futures::TryStreamExt;

use super::error::SwitchError;
use super::histories::{self, HistoryStream, SpooledHistory};
use super::items::SourceFlow;
use super::plan::Plan;
use super::report::Difference;
use super::source::Switch;
use strom_store::flow::{FlowId, Runtime};
use strom_store::repository::{FlowRepository, Stored, Version};

/// Compares every flow that the target should have with the source, also flows that it had before. `versions` are the
/// expected versions, in the order of the flows.
pub(super) async fn compare_flows(
    switch: &Switch,
    target: &dyn FlowRepository,
    versions: &[Option<Version>],
) -> Result<Vec<Difference>, SwitchError> {
    let indexes = switch.indexes();
    let mut missing: Vec<bool> = versions.iter().map(Option::is_some).collect();
    let mut differences = Vec::new();
    let mut read = 0;
    let mut flows = target.snapshot();
    while let Some(Stored { item: flow, version }) = flows.try_next().await.map_err(SwitchError::Target)? {
        let Some(&index) = indexes.get(&flow.id()) else { continue };
        let Some(expected) = &versions[index] else { continue };
        missing[index] = false;
        let item = &switch.items[index];
        if flow.hash(Runtime::Include).ok() != Some(item.hash) {
            differences.push(item.difference("the stored document differs from the transferred one"));
        } else if version != *expected {
            differences.push(item.difference("the stored revision, times or author differ from the transferred ones"));
        }
        read += 1;
        switch.progress.read_back(read, versions.len());
    }
    let missing = missing.iter().zip(&*switch.items).filter(|(is_missing, _)| **is_missing);
    differences.extend(missing.map(|(_, item)| item.difference("the flow is missing")));
    Ok(differences)
}

/// Compares the histories that moved. Skips flows that the target had deleted before: they continue the history of the
/// target.
pub(super) async fn compare_histories(
    switch: &Switch,
    target: &dyn FlowRepository,
    plan: &Plan,
) -> Result<Vec<Difference>, SwitchError> {
    if switch.histories.is_none() {
        return Ok(Vec::new());
    }
    let expected = plan.new_histories(switch).filter(|(id, ..)| !plan.deleted_in_target.contains(id));
    let mut missing: HashMap<FlowId, (&str, &SpooledHistory)> =
        expected.map(|(id, name, history)| (id, (name, history))).collect();
    let mut differences = Vec::new();
    let mut streams = HistoryStream::of(target);
    while let Some(records) = streams.next().await.map_err(SwitchError::Target)? {
        let id = records[0].item.id();
        if let Some((name, history)) = missing.remove(&id)
            && histories::hash(&records).ok() != Some(history.hash)
        {
            let problem = "the stored history differs from the transferred one";
            differences.push(Difference { id, name: name.to_owned(), problem });
        }
    }
    let problem = "the history is missing";
    differences.extend(missing.into_iter().map(|(id, (name, _))| Difference { id, name: name.to_owned(), problem }));
    Ok(differences)
}

impl SourceFlow {
    fn difference(&self, problem: &'static str) -> Difference {
        Difference { id: self.id, name: self.name.to_string(), problem }
    }
}
