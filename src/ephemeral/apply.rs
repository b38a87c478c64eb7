//! A call: its part in memory and its part in the storage, both or none.
//!
//! Everything is checked before the storage is asked, and what is left for memory when that has answered cannot fail. What
//! others write to the storage between a look and the call makes it begin again.

use std::io;
use std::sync::Arc;

use tokio::task::spawn;

use super::Ephemeral;
use super::plan::{Plan, Reason, Step};
use crate::flow::FlowId;
use crate::repository::{
    Applied, Change, ChangeList, Outcome, Precondition, RepositoryError, Result, Stamp, Violation, check_ids,
};

/// How often a call begins again when another writer was in between. Each time somebody else has got on.
const ATTEMPTS: usize = 100;

impl Ephemeral {
    /// In a task of its own: a caller who goes away cancels nothing that has begun.
    pub(super) async fn make(&self, list: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        let this = self.clone();
        let made = spawn(async move { this.make_in_turn(list, stamp).await }).await;
        made.unwrap_or_else(|panicked| Err(RepositoryError::Failed(panicked.into())))
    }

    async fn make_in_turn(&self, list: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        check_ids(&*list)?;
        let ids: Vec<FlowId> = (0..list.len()).map(|index| list.target(index).0).collect();
        let _turn = self.scratch.turns.take(ids.clone()).await;
        for _ in 0..ATTEMPTS {
            let Some(plan) = self.plan(&list).await? else { return self.store.apply_all(list, stamp).await };
            if !plan.violations.is_empty() {
                return Err(RepositoryError::Conflict(self.all_violations(&*list, plan).await?));
            }
            if let Some(applied) = self.make_plan(plan, &list, &ids, &stamp).await? {
                return Ok(applied);
            }
        }
        Err(RepositoryError::Busy("other writers of the same flows were always faster".to_owned()))
    }

    /// `None` when the storage is not any more as the plan has it.
    async fn make_plan(
        &self,
        plan: Plan,
        list: &Arc<dyn ChangeList>,
        ids: &[FlowId],
        stamp: &Stamp,
    ) -> Result<Option<Vec<Applied>>> {
        let Plan { memory, storage: steps, .. } = plan;
        let is_joint = !memory.is_empty() && !steps.is_empty();
        let effects = memory.iter().map(|(_, effect)| effect);
        let under_way = self.scratch.begin(effects, is_joint.then(|| ids.to_vec()))?;
        let mut applied = Vec::with_capacity(ids.len());
        if !steps.is_empty() {
            let part = Arc::new(Part { list: Arc::clone(list), steps });
            match self.store.apply_all(Arc::<Part>::clone(&part), stamp.clone()).await {
                Ok(stored) => applied.extend(part.steps.iter().zip(stored).filter_map(told)),
                Err(RepositoryError::Conflict(violations)) => {
                    let asked = asked(violations, &part.steps);
                    return asked.map_or(Ok(None), |asked| Err(RepositoryError::Conflict(asked)));
                }
                Err(error) => return Err(error),
            }
        }
        applied.extend(under_way.commit(memory, stamp));
        applied.sort_by_key(|(index, _)| *index);
        Ok(Some(applied.into_iter().map(|(_, applied)| applied).collect()))
    }
}

/// What is for the storage.
#[derive(Debug)]
struct Part {
    list: Arc<dyn ChangeList>,
    steps: Vec<Step>,
}

impl ChangeList for Part {
    fn len(&self) -> usize {
        self.steps.len()
    }

    fn target(&self, index: usize) -> (FlowId, Precondition) {
        let Step { index, reason } = &self.steps[index];
        match reason {
            Reason::Asked => self.list.target(*index),
            Reason::Leaves(change) | Reason::Comes(change) | Reason::Report(change) => {
                (change.id(), change.precondition())
            }
        }
    }

    fn change(&self, index: usize) -> io::Result<Change> {
        let Step { index, reason } = &self.steps[index];
        match reason {
            Reason::Asked => self.list.change(*index),
            Reason::Leaves(change) | Reason::Comes(change) | Reason::Report(change) => Ok(change.clone()),
        }
    }
}

/// What the caller is told of a change to the storage; of a flow that comes into memory he is told there.
fn told((step, applied): (&Step, Applied)) -> Option<(usize, Applied)> {
    match step.reason {
        Reason::Asked | Reason::Report(_) => Some((step.index, applied)),
        Reason::Leaves(_) => Some((step.index, Applied { outcome: Outcome::Replaced, ..applied })),
        Reason::Comes(_) => None,
    }
}

/// The violations of what the caller has asked for, at their places in his call; `None` when others are among them.
fn asked(violations: Vec<Violation>, steps: &[Step]) -> Option<Vec<Violation>> {
    let asked = violations.into_iter().map(|violation| {
        let Step { index, reason } = steps.get(violation.index)?;
        matches!(reason, Reason::Asked).then_some(Violation { index: *index, ..violation })
    });
    asked.collect()
}
