//! Applies a call: its part in memory and its part in the storage, both or none.
//!
//! All checks come before the call to the storage, and the part in memory cannot fail afterwards. If another writer
//! changes the storage between the check and the call, the call is planned again.

use std::io;
use std::sync::Arc;

use tokio::task::spawn;

use super::decorator::Ephemeral;
use super::plan::{Reason, SplitPlan, StorageStep};
use crate::flow::FlowId;
use crate::repository::{
    Applied, Change, ChangeList, Outcome, Precondition, RepositoryError, Result, Stamp, Violation, check_ids,
};

/// The number of attempts if other writers interfere. With each failed attempt another writer has succeeded.
const ATTEMPTS: usize = 100;

impl Ephemeral {
    /// Runs in its own task, so that dropping the future does not cancel a call that has begun.
    pub(super) async fn make(&self, list: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        let this = self.clone();
        let made = spawn(async move { this.make_with_permit(list, stamp).await }).await;
        made.unwrap_or_else(|panicked| Err(RepositoryError::Failed(panicked.into())))
    }

    async fn make_with_permit(&self, list: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        check_ids(&*list)?;
        let ids: Vec<FlowId> = (0..list.len()).map(|index| list.target(index).0).collect();
        let _permit = self.scratch.permits.acquire(ids.clone()).await;
        for _ in 0..ATTEMPTS {
            let Some(plan) = self.plan(&list).await? else { return self.store.apply(list, stamp).await };
            if !plan.violations.is_empty() {
                return Err(RepositoryError::Conflict(self.all_violations(&*list, plan).await?));
            }
            if let Some(applied) = self.make_plan(plan, &list, &ids, &stamp).await? {
                return Ok(applied);
            }
        }
        Err(RepositoryError::Busy("other writers changed the same flows during every attempt".to_owned()))
    }

    /// Applies a plan. Returns `None` if the storage has changed since it was made.
    async fn make_plan(
        &self,
        plan: SplitPlan,
        list: &Arc<dyn ChangeList>,
        ids: &[FlowId],
        stamp: &Stamp,
    ) -> Result<Option<Vec<Applied>>> {
        let SplitPlan { memory, storage: steps, .. } = plan;
        let is_joint = !memory.is_empty() && !steps.is_empty();
        let effects = memory.iter().map(|(_, effect)| effect);
        let reservation = self.scratch.begin(effects, is_joint.then(|| ids.to_vec()))?;
        let mut applied = Vec::with_capacity(ids.len());
        if !steps.is_empty() {
            let part = Arc::new(Part { list: Arc::clone(list), steps });
            match self.store.apply(Arc::<Part>::clone(&part), stamp.clone()).await {
                Ok(stored) => applied.extend(part.steps.iter().zip(stored).filter_map(visible_result)),
                Err(RepositoryError::Conflict(violations)) => {
                    let asked = requested_violations(violations, &part.steps);
                    return asked.map_or(Ok(None), |asked| Err(RepositoryError::Conflict(asked)));
                }
                Err(error) => return Err(error),
            }
        }
        applied.extend(reservation.commit(memory, stamp));
        applied.sort_by_key(|(index, _)| *index);
        Ok(Some(applied.into_iter().map(|(_, applied)| applied).collect()))
    }
}

/// The part of a call that the storage applies.
#[derive(Debug)]
struct Part {
    list: Arc<dyn ChangeList>,
    steps: Vec<StorageStep>,
}

impl ChangeList for Part {
    fn len(&self) -> usize {
        self.steps.len()
    }

    fn target(&self, index: usize) -> (FlowId, Precondition) {
        let StorageStep { index, reason } = &self.steps[index];
        match reason {
            Reason::Requested => self.list.target(*index),
            Reason::LeavesMemory(change) | Reason::EntersMemory(change) | Reason::Report(change) => {
                (change.id(), change.precondition())
            }
        }
    }

    fn change(&self, index: usize) -> io::Result<Change> {
        let StorageStep { index, reason } = &self.steps[index];
        match reason {
            Reason::Requested => self.list.change(*index),
            Reason::LeavesMemory(change) | Reason::EntersMemory(change) | Reason::Report(change) => Ok(change.clone()),
        }
    }
}

/// Returns the result of a change to the storage that the caller receives. A flow that enters memory has its result
/// there.
fn visible_result((step, applied): (&StorageStep, Applied)) -> Option<(usize, Applied)> {
    match step.reason {
        Reason::Requested | Reason::Report(_) => Some((step.index, applied)),
        Reason::LeavesMemory(_) => Some((step.index, Applied { outcome: Outcome::Replaced, ..applied })),
        Reason::EntersMemory(_) => None,
    }
}

/// Returns the violations of requested changes with their index in the call, or `None` if there are others.
fn requested_violations(violations: Vec<Violation>, steps: &[StorageStep]) -> Option<Vec<Violation>> {
    let asked = violations.into_iter().map(|violation| {
        let StorageStep { index, reason } = steps.get(violation.index)?;
        matches!(reason, Reason::Requested).then_some(Violation { index: *index, ..violation })
    });
    asked.collect()
}
