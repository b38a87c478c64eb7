//! The changes of a switch. Documents and histories are read from the spool on demand.

use std::io;
use std::sync::Arc;

use super::histories::SourceHistories;
use super::items::SourceFlow;
use super::plan::{MoveDecision, Plan};
use super::report::MoveOutcome;
use super::source::Switch;
use crate::transfer::progress::Progress;
use crate::transfer::spool::Spool;
use strom_store::flow::FlowId;
use strom_store::repository::{Change, ChangeList, Precondition, Revision};

/// The changes of a switch, ordered by id. All writers lock rows in this order, which prevents deadlocks.
#[derive(Debug)]
pub(super) struct SwitchChanges {
    spool: Arc<Spool>,
    progress: Arc<dyn Progress>,
    items: Arc<[SourceFlow]>,
    histories: Option<Arc<SourceHistories>>,
    planned: Vec<PlannedChange>,
}

/// A planned change, with the index of the flow in the source.
#[derive(Debug, Clone, Copy)]
enum PlannedChange {
    /// Store a flow that is new in the target.
    Adopt(usize),
    /// Replace this revision of the target.
    Replace(usize, Revision),
    /// Store the history of a deleted flow.
    InsertDeleted(usize),
}

impl SwitchChanges {
    pub(super) fn new(switch: &Switch, plan: &Plan) -> Self {
        let items = Arc::clone(&switch.items);
        let flows = plan.decisions.iter().enumerate().filter_map(|(index, decision)| match decision {
            MoveDecision::Adopt => Some(PlannedChange::Adopt(index)),
            MoveDecision::Replace(revision) => Some(PlannedChange::Replace(index, *revision)),
            MoveDecision::Unchanged(_) | MoveDecision::Skip => None,
        });
        let deleted = plan.deleted.iter().enumerate().filter(|(_, outcome)| **outcome == MoveOutcome::Created);
        let deleted = deleted.map(|(index, _)| PlannedChange::InsertDeleted(index));
        let mut planned: Vec<_> = flows.chain(deleted).collect();
        let (spool, progress) = (Arc::clone(&switch.spool), Arc::clone(&switch.progress));
        let this = Self { spool, progress, items, histories: switch.histories.clone(), planned: Vec::new() };
        planned.sort_unstable_by_key(|change| this.id(*change));
        Self { planned, ..this }
    }

    /// Returns the index of the flow in the source for each change, or `None` for a deleted flow.
    pub(super) fn item_indexes(&self) -> Vec<Option<usize>> {
        let index = |change: &PlannedChange| match change {
            PlannedChange::Adopt(index) | PlannedChange::Replace(index, _) => Some(*index),
            PlannedChange::InsertDeleted(_) => None,
        };
        self.planned.iter().map(index).collect()
    }

    fn id(&self, change: PlannedChange) -> FlowId {
        match change {
            PlannedChange::Adopt(index) | PlannedChange::Replace(index, _) => self.items[index].id,
            PlannedChange::InsertDeleted(index) => {
                self.histories.as_ref().expect("deleted flows have histories").deleted[index].id
            }
        }
    }
}

impl ChangeList for SwitchChanges {
    fn len(&self) -> usize {
        self.planned.len()
    }

    fn target(&self, index: usize) -> (FlowId, Precondition) {
        let precondition = match self.planned[index] {
            PlannedChange::Replace(_, revision) => Precondition::At(revision),
            PlannedChange::Adopt(_) | PlannedChange::InsertDeleted(_) => Precondition::Absent,
        };
        (self.id(self.planned[index]), precondition)
    }

    fn change(&self, index: usize) -> io::Result<Change> {
        let change = match (self.planned[index], &self.histories) {
            (PlannedChange::Replace(index, revision), _) => {
                Change::replace_at(self.items[index].stored(&self.spool)?.item, revision)
            }
            (PlannedChange::Adopt(index), histories) => {
                let current = self.items[index].stored(&self.spool)?;
                let history = histories
                    .as_ref()
                    .and_then(|histories| Some((histories, histories.of_flows.get(&current.item.id())?)));
                match history {
                    Some((histories, history)) => Change::Inherit(histories.chronicle(history, Some(current))?),
                    None => Change::Adopt(current),
                }
            }
            (PlannedChange::InsertDeleted(index), Some(histories)) => {
                Change::Inherit(histories.chronicle(&histories.deleted[index].history, None)?)
            }
            (PlannedChange::InsertDeleted(_), None) => return Err(io::ErrorKind::NotFound.into()),
        };
        self.progress.handed_over(index + 1, self.planned.len());
        Ok(change)
    }
}
