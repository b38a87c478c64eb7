//! Flows that start by themselves and claim the same port, name or device as another one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::import::{Decision, Item};
use super::prune::Pruned;
use super::report::FlowWarning;
use super::spool::Spool;
use crate::flow::{Claim, Flow, FlowId};
use crate::repository::{Filter, FlowRepository, ListQuery};

/// How many flows of either side are compared.
const COMPARED: usize = 1_000;

/// Who claims something.
type Claimants = HashMap<Claim, Vec<(FlowId, String)>>;

/// Warnings about the flows that are stored, by their place in the import. Where others cannot be read, nothing is said of
/// them: this is never a reason to refuse anything.
pub(super) async fn find(
    repository: &dyn FlowRepository,
    spool: &Arc<Spool>,
    items: &[Item],
    decisions: &[Decision],
    pruned: &[Pruned],
) -> HashMap<usize, Vec<FlowWarning>> {
    let mut imported = Vec::new();
    for (index, (item, decision)) in items.iter().zip(decisions).enumerate() {
        let Some(good) = item.good.as_ref().filter(|good| good.auto_restart) else { continue };
        let id = match decision {
            Decision::Create | Decision::Replace(_) | Decision::Unchanged => good.id,
            Decision::Clone(id) | Decision::Cloned(id) => *id,
            Decision::Skip(_) | Decision::Refuse(_) | Decision::Bad => continue,
        };
        if imported.len() == COMPARED {
            break;
        }
        if let Ok(text) = spool.text(good.document)
            && let Ok(flow) = Flow::parse(&text)
        {
            imported.push((index, id, flow));
        }
    }
    if imported.is_empty() {
        return HashMap::new();
    }
    let mut claimants = Claimants::new();
    for (_, id, flow) in &imported {
        add(&mut claimants, *id, flow);
    }
    let is_imported = |id| imported.iter().any(|(_, imported, _)| *imported == id);
    // They are still there when nothing was to be stored.
    let pruned: HashSet<_> = pruned.iter().map(|pruned| pruned.id).collect();
    let stays = |id| !is_imported(id) && !pruned.contains(&id);
    for other in stored(repository).await.iter().filter(|other| stays(other.id())) {
        add(&mut claimants, other.id(), other);
    }
    let mut warnings: HashMap<_, Vec<_>> = HashMap::new();
    for (index, id, flow) in &imported {
        for (path, claim) in flow.claims().unwrap_or_default() {
            let others = claimants.get(&claim).into_iter().flatten().filter(|(other, _)| other != id);
            warnings.entry(*index).or_default().extend(others.map(|(other, name)| FlowWarning {
                path: path.to_string(),
                message: claim.also_claimed_by(name, *other),
            }));
        }
    }
    warnings
}

async fn stored(repository: &dyn FlowRepository) -> Vec<Flow> {
    let filter = Filter { auto_restart: Some(true), ..Filter::default() };
    let query = ListQuery { filter, limit: Some(COMPARED as u32), ..ListQuery::default() };
    match repository.list(&query).await {
        Ok(page) => page.items.into_iter().map(|stored| stored.item).collect(),
        Err(error) => {
            tracing::debug!(%error, "an import is not compared with what is stored");
            Vec::new()
        }
    }
}

fn add(claimants: &mut Claimants, id: FlowId, flow: &Flow) {
    for (_, claim) in flow.claims().unwrap_or_default() {
        let claimants = claimants.entry(claim).or_default();
        // Beyond it nobody reads on, and a thousand flows with one port would be a million warnings.
        if claimants.len() < 10 {
            claimants.push((id, flow.head().name.clone()));
        }
    }
}
