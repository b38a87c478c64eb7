//! The changes of an import, read from the spool as they are made.

use std::io;
use std::sync::Arc;

use super::import::{Decision, Good, Import};
use super::options::Progress;
use super::prune::{Pruned, Pruning};
use super::spool::{Slot, Spool};
use crate::flow::{Flow, FlowId};
use crate::repository::{Change, ChangeList, Precondition};

/// In the order of ids, in which writers lock.
#[derive(Debug)]
pub(super) struct Changes {
    spool: Arc<Spool>,
    progress: Arc<dyn Progress>,
    planned: Vec<Planned>,
}

#[derive(Debug)]
struct Planned {
    id: FlowId,
    /// `None` of a flow that is deleted.
    document: Option<Slot>,
    precondition: Precondition,
    is_ephemeral: bool,
}

impl Changes {
    /// Under the revisions that were seen, or at whatever revision a flow is that is stored under its own id.
    pub(super) fn new(import: &Import, decisions: &[Decision], pruning: &Pruning, insists: bool) -> Self {
        let stored = import.items.iter().zip(decisions).filter_map(|(item, decision)| {
            let good = item.good.as_ref()?;
            let (id, precondition) = match decision {
                Decision::Create | Decision::Replace(_) if insists => (good.id, Precondition::Any),
                Decision::Create => (good.id, Precondition::Absent),
                Decision::Replace(revision) => (good.id, Precondition::At(*revision)),
                Decision::Clone(id) => (*id, Precondition::Absent),
                _ => return None,
            };
            let Good { document, is_ephemeral, .. } = *good;
            Some(Planned { id, document: Some(document), precondition, is_ephemeral })
        });
        let deleted = pruning.flows.iter().map(|Pruned { id, revision, .. }| {
            let precondition = Precondition::At(*revision);
            Planned { id: *id, document: None, precondition, is_ephemeral: false }
        });
        let mut planned: Vec<_> = stored.chain(deleted).collect();
        planned.sort_unstable_by_key(|planned| planned.id);
        Self { spool: Arc::clone(&import.spool), progress: Arc::clone(&import.progress), planned }
    }
}

impl ChangeList for Changes {
    fn len(&self) -> usize {
        self.planned.len()
    }

    fn target(&self, index: usize) -> (FlowId, Precondition) {
        (self.planned[index].id, self.planned[index].precondition)
    }

    fn change(&self, index: usize) -> io::Result<Change> {
        let Planned { id, document, precondition, .. } = &self.planned[index];
        let change = match document {
            Some(document) => {
                let flow = Flow::parse(&self.spool.text(*document)?).map_err(io::Error::other)?;
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
