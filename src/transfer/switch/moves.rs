//! What the target is asked to do, read from the spool as it is done.

use std::io;
use std::sync::Arc;

use super::reading::Item;
use super::{Decision, Switch};
use crate::flow::{Flow, FlowId};
use crate::repository::{Change, ChangeList, Precondition, Revision, Stored};
use crate::transfer::options::Progress;
use crate::transfer::spool::Spool;

/// In the order of ids, in which writers lock.
#[derive(Debug)]
pub(super) struct Moves {
    spool: Arc<Spool>,
    progress: Arc<dyn Progress>,
    items: Arc<[Item]>,
    moves: Vec<Move>,
}

#[derive(Debug)]
struct Move {
    item: usize,
    /// The revision that it takes the place of.
    replaced: Option<Revision>,
}

impl Moves {
    pub(super) fn new(switch: &Switch, decisions: &[Decision]) -> Self {
        let items = Arc::clone(&switch.items);
        let moves = decisions.iter().enumerate().filter_map(|(item, decision)| match decision {
            Decision::Adopt => Some(Move { item, replaced: None }),
            Decision::Replace(revision) => Some(Move { item, replaced: Some(*revision) }),
            Decision::Unchanged(_) | Decision::Skip => None,
        });
        let mut moves: Vec<_> = moves.collect();
        moves.sort_unstable_by_key(|moved| items[moved.item].id);
        Self { spool: Arc::clone(&switch.spool), progress: Arc::clone(&switch.progress), items, moves }
    }

    /// The places of the flows among those that were read, in the order of the changes.
    pub(super) fn items(&self) -> Vec<usize> {
        self.moves.iter().map(|moved| moved.item).collect()
    }
}

impl ChangeList for Moves {
    fn len(&self) -> usize {
        self.moves.len()
    }

    fn target(&self, index: usize) -> (FlowId, Precondition) {
        let Move { item, replaced } = self.moves[index];
        (self.items[item].id, replaced.map_or(Precondition::Absent, Precondition::At))
    }

    fn change(&self, index: usize) -> io::Result<Change> {
        let Move { item, replaced } = self.moves[index];
        let Item { document, version, .. } = &self.items[item];
        let flow = Flow::parse(&self.spool.text(*document)?).map_err(io::Error::other)?;
        self.progress.handed_over(index + 1, self.moves.len());
        Ok(match replaced {
            None => Change::Adopt(Stored { item: flow, version: version.clone() }),
            Some(revision) => Change::replace_at(flow, revision),
        })
    }
}
