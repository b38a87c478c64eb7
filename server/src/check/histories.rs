//! Compares the histories of all flows with the flows.
//!
//! Flows and histories are read one after the other, while other writers may change them. Therefore every suspicious flow
//! is checked again: the flow must be unchanged before and after its history is read.

use std::collections::HashMap;

use futures::TryStreamExt;

use super::history::{Content, HistoryCheck};
use crate::clock;
use strom_store::flow::{Flow, FlowId};
use strom_store::repository::{FlowRepository, Result, Stored};

/// Maximum number of attempts to check a flow that other writers change.
const MAX_ATTEMPTS: usize = 5;
/// Maximum number of records in one call.
const PAGE: u32 = 1_000;

/// A fault in the history of a flow.
#[derive(Debug)]
pub(super) struct HistoryFault {
    pub(super) id: FlowId,
    pub(super) name: String,
    pub(super) problem: String,
    /// Whether the history only lacks the current content, so that storing the flow again repairs it.
    pub(super) lacks_current: bool,
}

/// Reads all histories and compares them with these flows.
pub(super) async fn compare(
    repository: &dyn FlowRepository,
    mut flows: HashMap<FlowId, Content>,
) -> Result<Vec<HistoryFault>> {
    let mut suspects = Vec::new();
    let mut finish = |id, history: HistoryCheck| {
        if !history.problems(flows.remove(&id).as_ref()).is_empty() {
            suspects.push(id);
        }
    };
    let mut histories = repository.histories();
    let mut open: Option<(FlowId, HistoryCheck)> = None;
    while let Some(record) = histories.try_next().await? {
        let id = record.item.id();
        if let Some((previous, history)) = open.take_if(|(previous, _)| *previous != id) {
            finish(previous, history);
        }
        let (_, history) = open.get_or_insert_with(|| (id, HistoryCheck::new(clock::now())));
        history.add(&record);
        history.document = Some(record.item);
    }
    drop(histories);
    if let Some((id, history)) = open {
        finish(id, history);
    }
    // The remaining flows have no history.
    suspects.extend(flows.into_keys());
    suspects.sort();
    let mut faults = Vec::new();
    for id in suspects {
        faults.extend(check_again(repository, id).await?);
    }
    Ok(faults)
}

/// Whether the history of a flow contains its current content.
pub(super) async fn has_current(repository: &dyn FlowRepository, id: FlowId) -> Result<bool> {
    Ok(!check_again(repository, id).await?.iter().any(|fault| fault.lacks_current))
}

/// Checks one flow while it does not change.
async fn check_again(repository: &dyn FlowRepository, id: FlowId) -> Result<Vec<HistoryFault>> {
    for _ in 0..MAX_ATTEMPTS {
        let before = repository.get(id).await?;
        let (history, last_name) = read_history(repository, id).await?;
        let after = repository.get(id).await?;
        let version = |stored: &Option<Stored<Flow>>| stored.as_ref().map(|stored| stored.version.clone());
        if version(&before) == version(&after) {
            let name = after.as_ref().map(|stored| stored.item.head().name.clone()).or(last_name);
            let Some(name) = name else { break };
            let current = after.map(|stored| Content::of(&stored.item, stored.version.revision));
            let lacks_current = history.lacks_current(current.as_ref());
            let problems = history.problems(current.as_ref());
            // Only the last problem is about the current content. Older problems cannot be repaired.
            let last = problems.len().saturating_sub(1);
            let fault = |(index, problem)| HistoryFault {
                id,
                name: name.clone(),
                problem,
                lacks_current: lacks_current && index == last,
            };
            return Ok(problems.into_iter().enumerate().map(fault).collect());
        }
    }
    // A writer that keeps changing the flow also writes its history.
    Ok(Vec::new())
}

/// Reads the history of a flow, and its last name.
async fn read_history(repository: &dyn FlowRepository, id: FlowId) -> Result<(HistoryCheck, Option<String>)> {
    let mut records = repository.history(id, None, PAGE).await?;
    while records.len().is_multiple_of(PAGE as usize)
        && let Some(oldest) = records.last().map(|record| record.revision)
    {
        let page = repository.history(id, Some(oldest), PAGE).await?;
        if page.is_empty() {
            break;
        }
        records.extend(page);
    }
    let mut history = HistoryCheck::new(clock::now());
    for record in records.iter().rev() {
        history.add(record);
    }
    let Some(newest) = records.into_iter().next() else { return Ok((history, None)) };
    history.document = repository.revision(id, newest.revision).await?.map(|record| record.item);
    Ok((history, Some(newest.item.name)))
}
