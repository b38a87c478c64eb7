//! The flows that an import does not have, and that are deleted where it stands for all there are.

use std::collections::HashSet;

use futures::TryStreamExt;

use super::import::Item;
use super::options::Prune;
use crate::flow::FlowId;
use crate::repository::{FlowRepository, Result, Revision};

/// A flow that is deleted.
#[derive(Debug)]
pub(super) struct Pruned {
    pub(super) id: FlowId,
    pub(super) name: String,
    /// What it is until then.
    pub(super) revision: Revision,
}

/// What is deleted.
#[derive(Debug, Default)]
pub(super) struct Pruning {
    pub(super) flows: Vec<Pruned>,
    /// It would be every flow there is, and nobody has said that this is meant.
    pub(super) is_refused: bool,
}

/// Looks for them among the flows that an export has, so that what came out of one is left as it is. Ephemeral flows in the
/// memory of a server are none of these.
pub(super) async fn find(repository: &dyn FlowRepository, items: &[Item], prune: Prune) -> Result<Pruning> {
    let mut pruning = Pruning::default();
    if prune == Prune::Nothing {
        return Ok(pruning);
    }
    let imported: HashSet<_> = items.iter().filter_map(|item| Some(item.good.as_ref()?.id)).collect();
    let mut stays = false;
    let mut flows = repository.snapshot();
    while let Some(stored) = flows.try_next().await? {
        let (id, revision) = (stored.item.id(), stored.version.revision);
        match imported.contains(&id) {
            true => stays = true,
            false => pruning.flows.push(Pruned { id, name: stored.item.head().name.clone(), revision }),
        }
    }
    pruning.is_refused = prune == Prune::Rest && !stays && !pruning.flows.is_empty();
    Ok(pruning)
}
