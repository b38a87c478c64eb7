//! What the target is asked to do, read from the spool as it is done.

use std::io;
use std::sync::Arc;

use super::Switch;
use super::past::Pasts;
use super::plan::{Decision, Plan};
use super::reading::Item;
use super::report::Outcome;
use crate::flow::FlowId;
use crate::repository::{Change, ChangeList, Precondition, Revision};
use crate::transfer::options::Progress;
use crate::transfer::spool::Spool;

/// In the order of ids, in which writers lock.
#[derive(Debug)]
pub(super) struct Moves {
    spool: Arc<Spool>,
    progress: Arc<dyn Progress>,
    items: Arc<[Item]>,
    histories: Option<Arc<Pasts>>,
    moves: Vec<Move>,
}

/// Flows by their places among those that were read.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// A flow that is new in the target.
    Adopt(usize),
    /// One that takes the place of this revision.
    Replace(usize, Revision),
    /// The history of one that was deleted.
    Bury(usize),
}

impl Moves {
    pub(super) fn new(switch: &Switch, plan: &Plan) -> Self {
        let items = Arc::clone(&switch.items);
        let moves = plan.decisions.iter().enumerate().filter_map(|(place, decision)| match decision {
            Decision::Adopt => Some(Move::Adopt(place)),
            Decision::Replace(revision) => Some(Move::Replace(place, *revision)),
            Decision::Unchanged(_) | Decision::Skip => None,
        });
        let gone = plan.gone.iter().enumerate().filter(|(_, outcome)| **outcome == Outcome::Created);
        let moves = moves.chain(gone.map(|(place, _)| Move::Bury(place))).collect();
        let (spool, progress) = (Arc::clone(&switch.spool), Arc::clone(&switch.progress));
        let mut this = Self { spool, progress, items, histories: switch.histories.clone(), moves };
        let mut moves = std::mem::take(&mut this.moves);
        moves.sort_unstable_by_key(|moved| this.id(*moved));
        Self { moves, ..this }
    }

    /// The places of the flows among those that were read, in the order of the changes; of a deleted one there is none.
    pub(super) fn items(&self) -> Vec<Option<usize>> {
        let place = |moved: &Move| match moved {
            Move::Adopt(place) | Move::Replace(place, _) => Some(*place),
            Move::Bury(_) => None,
        };
        self.moves.iter().map(place).collect()
    }

    fn id(&self, moved: Move) -> FlowId {
        match moved {
            Move::Adopt(place) | Move::Replace(place, _) => self.items[place].id,
            Move::Bury(place) => self.histories.as_ref().expect("only they tell of deleted flows").gone[place].id,
        }
    }
}

impl ChangeList for Moves {
    fn len(&self) -> usize {
        self.moves.len()
    }

    fn target(&self, index: usize) -> (FlowId, Precondition) {
        let precondition = match self.moves[index] {
            Move::Replace(_, revision) => Precondition::At(revision),
            Move::Adopt(_) | Move::Bury(_) => Precondition::Absent,
        };
        (self.id(self.moves[index]), precondition)
    }

    fn change(&self, index: usize) -> io::Result<Change> {
        let change = match (self.moves[index], &self.histories) {
            (Move::Replace(place, revision), _) => {
                Change::replace_at(self.items[place].stored(&self.spool)?.item, revision)
            }
            (Move::Adopt(place), histories) => {
                let now = self.items[place].stored(&self.spool)?;
                let past =
                    histories.as_ref().and_then(|histories| Some((histories, histories.of.get(&now.item.id())?)));
                match past {
                    Some((histories, past)) => Change::Inherit(histories.chronicle(past, Some(now))?),
                    None => Change::Adopt(now),
                }
            }
            (Move::Bury(place), Some(histories)) => {
                Change::Inherit(histories.chronicle(&histories.gone[place].past, None)?)
            }
            (Move::Bury(_), None) => return Err(io::ErrorKind::NotFound.into()),
        };
        self.progress.handed_over(index + 1, self.moves.len());
        Ok(change)
    }
}
