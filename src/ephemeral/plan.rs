//! Which part of a call is for memory and which for the storage, as both are when it is made.

use tokio::task::spawn_blocking;

use super::Ephemeral;
use super::scratch::{Effect, Flows, Put};
use crate::flow::{Flow, Runtime};
use crate::repository::{Change, Precondition, RepositoryError, Result, Stored, Violation};

/// What a list of changes comes to. Parts have the index of the change that they are of.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) memory: Vec<(usize, Effect)>,
    pub(super) storage: Vec<Step>,
    /// Preconditions that do not hold, as far as they are known without asking the storage to make its part.
    pub(super) violations: Vec<Violation>,
}

/// A change to the storage.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) index: usize,
    pub(super) change: Change,
    pub(super) reason: Reason,
}

/// Why the storage is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The caller asks it to: the flow has nothing to do with memory.
    Asked,
    /// The flow leaves memory.
    Leaves,
    /// The flow comes into memory. It is still as it was seen, or the plan is wrong.
    Comes,
    /// An engine reports to a stored flow that says it is ephemeral. As for one that comes.
    Report,
}

impl Ephemeral {
    /// Looks, and changes nothing. Whoever calls has the turn of all these flows.
    pub(super) async fn plan(&self, flows: &Flows, changes: &[Change]) -> Result<Plan> {
        let mut plan = Plan::default();
        for (index, change) in changes.iter().enumerate() {
            let (id, precondition) = (change.id(), change.precondition());
            let ours = flows.get(&id);
            let ephemeral = change.flow().filter(|flow| flow.is_ephemeral());
            if ours.is_none() && ephemeral.is_none() {
                plan.ask(index, change.clone(), Reason::Asked);
                continue;
            }
            let theirs = if ours.is_none() { self.store.get(id).await? } else { None };
            let current = ours.map(|entry| &entry.stored).or(theirs.as_ref());
            if let Some(kind) = precondition.violation(current) {
                plan.violations.push(Violation { index, id, kind });
                continue;
            }
            match (change, ephemeral, theirs) {
                (Change::Delete(..), ..) => plan.memory.push((index, Effect::Delete(id))),
                (_, Some(flow), theirs) => {
                    let (flow, hash) = read(flow.clone()).await?;
                    plan.keep(index, change, flow, hash, theirs)?;
                }
                // What it is here replaces what somebody else may have stored, too; see the module.
                (_, None, _) => {
                    plan.memory.push((index, Effect::Leave(id)));
                    plan.ask(index, change.clone().under(Precondition::Any), Reason::Leaves);
                }
            }
        }
        Ok(plan)
    }

    /// The violations that are known and those of the changes that the storage was not asked to make.
    pub(super) async fn all_violations(&self, plan: Plan) -> Result<Vec<Violation>> {
        let mut violations = plan.violations;
        for Step { index, change, .. } in plan.storage.iter().filter(|step| step.reason == Reason::Asked) {
            let id = change.id();
            let current = self.store.get(id).await?;
            if let Some(kind) = change.precondition().violation(current.as_ref()) {
                violations.push(Violation { index: *index, id, kind });
            }
        }
        violations.sort_by_key(|violation| violation.index);
        Ok(violations)
    }
}

impl Plan {
    /// Whether all of it is for the storage, as it was asked.
    pub(super) fn is_of_the_storage(&self) -> bool {
        self.memory.is_empty() && self.violations.is_empty() && self.storage.iter().all(|s| s.reason == Reason::Asked)
    }

    fn ask(&mut self, index: usize, change: Change, reason: Reason) {
        self.storage.push(Step { index, change, reason });
    }

    /// An ephemeral flow, which may be stored.
    fn keep(
        &mut self,
        index: usize,
        change: &Change,
        flow: Flow,
        hash: [u8; 32],
        stored: Option<Stored<Flow>>,
    ) -> Result<()> {
        let id = flow.id();
        let created_at = stored.as_ref().map(|stored| stored.version.created_at);
        if let Some(Stored { item, version }) = stored {
            let seen = Precondition::At(version.revision);
            if item.is_ephemeral() && item.hash(Runtime::Left).map_err(refused)? == hash {
                // A report takes nothing from its owner, and makes no revision.
                self.ask(index, change.clone().under(seen), Reason::Report);
                return Ok(());
            }
            self.ask(index, Change::Delete(id, seen), Reason::Comes);
        }
        let is_restore = matches!(change, Change::Restore(..));
        self.memory.push((index, Effect::Put(Put { flow, hash, is_restore, created_at })));
        Ok(())
    }
}

/// The document is read again, as every storage does: it may come from a database, and have been written by SQL.
async fn read(flow: Flow) -> Result<(Flow, [u8; 32])> {
    let read = spawn_blocking(move || Flow::parse_hashed(flow.document().get())).await;
    read.map_err(|panicked| RepositoryError::Failed(panicked.into()))?.map_err(refused)
}

fn refused(refusal: crate::flow::Refusal) -> RepositoryError {
    RepositoryError::Failed(Box::new(refusal))
}
