//! Warnings about imported flows that start automatically and claim the same port, name or device as another flow.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::item::{ImportDecision, ImportItem};
use super::prune::Pruned;
use super::report::FlowWarning;
use super::spool::Spool;
use crate::claims::{Claimants, MAX_COMPARED, SharedClaim, automatic_flows};
use strom_store::flow::Flow;
use strom_store::repository::FlowRepository;

/// Maximum number of flows per claim. Without a limit, a thousand flows with one port would produce a million warnings.
const MAX_NAMED: usize = 10;

/// Returns the warnings by the index of the flow in the import. If stored flows cannot be read, they are not compared: a
/// warning must not fail an import.
pub(super) async fn find_shared(
    repository: &dyn FlowRepository,
    spool: &Arc<Spool>,
    items: &[ImportItem],
    decisions: &[ImportDecision],
    pruned: &[Pruned],
) -> HashMap<usize, Vec<FlowWarning>> {
    let mut imported = Vec::new();
    for (index, (item, decision)) in items.iter().zip(decisions).enumerate() {
        let Some(imported_flow) = item.flow.as_ref().filter(|flow| flow.auto_restart) else { continue };
        let id = match decision {
            ImportDecision::Create | ImportDecision::Replace(_) | ImportDecision::Unchanged => imported_flow.id,
            ImportDecision::Clone(id) => *id,
            ImportDecision::Skip(_) | ImportDecision::Refuse(_) | ImportDecision::Invalid => continue,
        };
        if imported.len() == MAX_COMPARED as usize {
            break;
        }
        if let Ok(text) = spool.text(imported_flow.document)
            && let Ok(flow) = Flow::parse(&text)
        {
            imported.push((index, id, flow));
        }
    }
    if imported.is_empty() {
        return HashMap::new();
    }
    let mut claimants = Claimants::with_limit(MAX_NAMED);
    for (_, id, flow) in &imported {
        claimants.add(*id, flow);
    }
    let is_imported = |id| imported.iter().any(|(_, imported, _)| *imported == id);
    // A dry run does not delete them.
    let pruned: HashSet<_> = pruned.iter().map(|pruned| pruned.id).collect();
    let is_compared = |id| !is_imported(id) && !pruned.contains(&id);
    match automatic_flows(repository).await {
        Ok(stored) => {
            stored.iter().filter(|other| is_compared(other.id())).for_each(|other| claimants.add(other.id(), other));
        }
        Err(error) => tracing::debug!(%error, "cannot compare the import with the stored flows"),
    }
    let warnings = imported.iter().map(|(index, id, flow)| {
        let shared = claimants.shared_with(*id, flow).into_iter();
        (*index, shared.map(|SharedClaim { path, message }| FlowWarning { path, message }).collect())
    });
    warnings.collect()
}
