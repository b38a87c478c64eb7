//! Finds the stored flows that an import with [`Prune`] deletes.

use std::collections::HashSet;

use futures::TryStreamExt;

use super::item::ImportItem;
use super::options::Prune;
use strom_store::flow::FlowId;
use strom_store::repository::{FlowRepository, Result, Revision};

/// A stored flow to delete.
#[derive(Debug)]
pub(super) struct Pruned {
    pub(super) id: FlowId,
    pub(super) name: String,
    pub(super) revision: Revision,
}

/// The stored flows to delete.
#[derive(Debug, Default)]
pub(super) struct Pruning {
    pub(super) flows: Vec<Pruned>,
    /// Whether the import is refused because it would delete every stored flow.
    pub(super) is_refused: bool,
}

/// Finds the stored flows that the import does not contain. Considers only flows that an export contains, so no ephemeral
/// flows.
pub(super) async fn find(repository: &dyn FlowRepository, items: &[ImportItem], prune: Prune) -> Result<Pruning> {
    let mut pruning = Pruning::default();
    if prune == Prune::Nothing {
        return Ok(pruning);
    }
    let imported: HashSet<_> = items.iter().filter_map(|item| Some(item.flow.as_ref()?.id)).collect();
    let mut keeps_any = false;
    let mut flows = repository.snapshot();
    while let Some(stored) = flows.try_next().await? {
        let (id, revision) = (stored.item.id(), stored.version.revision);
        match imported.contains(&id) {
            true => keeps_any = true,
            false => pruning.flows.push(Pruned { id, name: stored.item.head().name.clone(), revision }),
        }
    }
    pruning.is_refused = prune == Prune::Rest && !keeps_any && !pruning.flows.is_empty();
    Ok(pruning)
}
