//! A call: its part in memory and its part in the storage, both or none.
//!
//! Everything is checked before the storage is asked, and what is left for memory when that has answered cannot fail. What
//! others write to the storage between a look and the call makes it begin again.

use tokio::task::spawn;

use super::Ephemeral;
use super::plan::{Plan, Reason, Step};
use crate::flow::FlowId;
use crate::repository::{Applied, Change, Outcome, RepositoryError, Result, Stamp, Violation};

/// How often a call begins again when another writer was in between. Each time somebody else has got on.
const ATTEMPTS: usize = 100;

impl Ephemeral {
    /// In a task of its own: a caller who goes away cancels nothing that has begun.
    pub(super) async fn apply_all(&self, changes: Vec<Change>, stamp: Stamp) -> Result<Vec<Applied>> {
        let this = self.clone();
        let applied = spawn(async move { this.apply_in_turn(changes, stamp).await }).await;
        applied.unwrap_or_else(|panicked| Err(RepositoryError::Failed(panicked.into())))
    }

    async fn apply_in_turn(&self, changes: Vec<Change>, stamp: Stamp) -> Result<Vec<Applied>> {
        Change::check_ids(&changes)?;
        let ids: Vec<FlowId> = changes.iter().map(Change::id).collect();
        let _turn = self.scratch.turns.take(ids.clone()).await;
        for _ in 0..ATTEMPTS {
            let plan = self.plan(&self.scratch.view().flows, &changes).await?;
            if plan.is_of_the_storage() {
                return self.store.apply(changes, stamp).await;
            }
            if !plan.violations.is_empty() {
                return Err(RepositoryError::Conflict(self.all_violations(plan).await?));
            }
            if let Some(applied) = self.make(plan, &ids, &stamp).await? {
                return Ok(applied);
            }
        }
        Err(RepositoryError::Busy("other writers of the same flows were always faster".to_owned()))
    }

    /// `None` when the storage is not any more as the plan has it.
    async fn make(&self, plan: Plan, ids: &[FlowId], stamp: &Stamp) -> Result<Option<Vec<Applied>>> {
        let Plan { memory, storage, .. } = plan;
        let is_joint = !memory.is_empty() && !storage.is_empty();
        let effects = memory.iter().map(|(_, effect)| effect);
        let under_way = self.scratch.begin(effects, is_joint.then(|| ids.to_vec()))?;
        let mut applied = Vec::with_capacity(ids.len());
        if !storage.is_empty() {
            let changes = storage.iter().map(|step| step.change.clone()).collect();
            match self.store.apply(changes, stamp.clone()).await {
                Ok(stored) => applied.extend(storage.iter().zip(stored).filter_map(told)),
                Err(RepositoryError::Conflict(violations)) => {
                    return asked(violations, &storage).map_or(Ok(None), |asked| Err(RepositoryError::Conflict(asked)));
                }
                Err(error) => return Err(error),
            }
        }
        applied.extend(under_way.commit(memory, stamp));
        applied.sort_by_key(|(index, _)| *index);
        Ok(Some(applied.into_iter().map(|(_, applied)| applied).collect()))
    }
}

/// What the caller is told of a change to the storage; of a flow that comes into memory he is told there.
fn told((step, applied): (&Step, Applied)) -> Option<(usize, Applied)> {
    match step.reason {
        Reason::Asked | Reason::Report => Some((step.index, applied)),
        Reason::Leaves => Some((step.index, Applied { outcome: Outcome::Replaced, ..applied })),
        Reason::Comes => None,
    }
}

/// The violations of what the caller has asked for, at their places in his call; `None` when others are among them.
fn asked(violations: Vec<Violation>, storage: &[Step]) -> Option<Vec<Violation>> {
    let asked = violations.into_iter().map(|violation| {
        let step = storage.get(violation.index)?;
        (step.reason == Reason::Asked).then_some(Violation { index: step.index, ..violation })
    });
    asked.collect()
}
