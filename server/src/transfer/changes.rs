//! The changes of an import. Documents are read from the spool on demand.

use std::io;
use std::sync::Arc;

use super::item::{ImportDecision, ImportItem, ImportedFlow};
use super::progress::Progress;
use super::prune::{Pruned, Pruning};
use super::replacements::Replacements;
use super::spool::{Slot, Spool};
use strom_store::flow::FlowId;
use strom_store::repository::{Change, ChangeList, Precondition};

/// The changes of an import, ordered by id. All writers lock rows in this order, which prevents deadlocks.
#[derive(Debug)]
pub(super) struct ImportChanges {
    spool: Arc<Spool>,
    progress: Arc<dyn Progress>,
    planned: Vec<PlannedChange>,
    replacements: Replacements,
}

#[derive(Debug)]
struct PlannedChange {
    id: FlowId,
    /// `None` deletes the flow.
    document: Option<Slot>,
    precondition: Precondition,
    is_ephemeral: bool,
}

impl ImportChanges {
    /// Plans the changes. Their preconditions are the documents that the import compared. With `is_unconditional`, flows
    /// that keep their id have no precondition.
    pub(super) fn new(
        spool: &Arc<Spool>,
        progress: &Arc<dyn Progress>,
        items: &[ImportItem],
        decisions: &[ImportDecision],
        pruning: &Pruning,
        replacements: Replacements,
        is_unconditional: bool,
    ) -> Self {
        let stored = items.iter().zip(decisions).filter_map(|(item, decision)| {
            let flow = item.flow.as_ref()?;
            let (id, precondition) = match decision {
                ImportDecision::Create | ImportDecision::Replace(_) if is_unconditional => (flow.id, Precondition::Any),
                ImportDecision::Create => (flow.id, Precondition::Absent),
                ImportDecision::Replace(revision) => (flow.id, replacements.precondition(flow.id, *revision)),
                ImportDecision::Clone(id) => (*id, Precondition::Absent),
                _ => return None,
            };
            let ImportedFlow { document, is_ephemeral, .. } = *flow;
            Some(PlannedChange { id, document: Some(document), precondition, is_ephemeral })
        });
        let deleted = pruning.flows.iter().map(|Pruned { id, revision, .. }| {
            let precondition = Precondition::At(*revision);
            PlannedChange { id: *id, document: None, precondition, is_ephemeral: false }
        });
        let mut planned: Vec<_> = stored.chain(deleted).collect();
        planned.sort_unstable_by_key(|planned| planned.id);
        Self { spool: Arc::clone(spool), progress: Arc::clone(progress), planned, replacements }
    }
}

impl ChangeList for ImportChanges {
    fn len(&self) -> usize {
        self.planned.len()
    }

    fn target(&self, index: usize) -> (FlowId, Precondition) {
        (self.planned[index].id, self.planned[index].precondition)
    }

    fn change(&self, index: usize) -> io::Result<Change> {
        let PlannedChange { id, document, precondition, .. } = &self.planned[index];
        let change = match document {
            Some(document) => {
                let flow = self.replacements.flow(*id, &self.spool, *document)?;
                let flow = if flow.id() == *id { flow } else { flow.with_id(*id).map_err(io::Error::other)? };
                Change::Put(flow, *precondition)
            }
            None => Change::Delete(*id, *precondition),
        };
        self.progress.handed_over(index + 1, self.planned.len());
        Ok(change)
    }

    fn is_ephemeral(&self, index: usize) -> io::Result<bool> {
        Ok(self.planned[index].is_ephemeral)
    }
}
