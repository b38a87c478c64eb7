//! Divides a call into a part for memory and a part for the storage.

use std::collections::HashMap;
use std::io;
use std::iter::Peekable;
use std::sync::Arc;
use std::vec::IntoIter;

use futures::TryStreamExt;
use tokio::task::spawn_blocking;

use super::decorator::Ephemeral;
use super::scratch::{Effect, Put, View, size_of};
use crate::flow::{Flow, FlowId, Refusal, Runtime};
use crate::repository::{Change, ChangeList, Precondition, RepositoryError, Result, Stored, Violation};

/// A divided list of changes. Each part has the index of its change.
#[derive(Debug, Default)]
pub(super) struct SplitPlan {
    pub(super) memory: Vec<(usize, Effect)>,
    pub(super) storage: Vec<StorageStep>,
    /// Violated preconditions, as far as they are known without calling the storage.
    pub(super) violations: Vec<Violation>,
}

/// A change to the storage.
#[derive(Debug)]
pub(super) struct StorageStep {
    pub(super) index: usize,
    pub(super) reason: Reason,
}

/// Why the storage is changed.
#[derive(Debug)]
pub(super) enum Reason {
    /// The caller requested it. The flow is not in memory.
    Requested,
    /// The flow moves from memory to the storage.
    LeavesMemory(Change),
    /// The flow moves into memory. The plan is only valid if the stored flow is unchanged.
    EntersMemory(Change),
    /// A report to a stored flow with `ephemeral: true`. The plan is only valid if the stored flow is unchanged.
    Report(Change),
}

/// A change that affects memory.
#[derive(Debug)]
struct MemoryChange {
    index: usize,
    change: Change,
    /// The flow and its hash, if it is ephemeral.
    kept: Option<(Flow, [u8; 32])>,
}

impl Ephemeral {
    /// Plans a call without changing anything. Returns `None` if the storage can apply it unchanged. The caller holds
    /// the permit for these flows.
    pub(super) async fn plan(&self, list: &Arc<dyn ChangeList>) -> Result<Option<SplitPlan>> {
        let view = self.scratch.view();
        let budget = self.scratch.budget;
        if list.len() == 1 && !view.flows.contains_key(&list.target(0).0) && !list.is_ephemeral(0).map_err(failed)? {
            return Ok(None);
        }
        let (read_from, seen) = (Arc::clone(list), view.clone());
        let reading = spawn_blocking(move || read(&*read_from, &seen, budget)).await;
        let read = reading.map_err(|panicked| RepositoryError::Failed(panicked.into()))??;
        if read.is_empty() {
            return Ok(None);
        }
        let ids = read.iter().map(|read| read.change.id()).filter(|id| !view.flows.contains_key(id));
        let mut theirs = self.stored(ids.collect()).await?;
        let mut plan = SplitPlan::default();
        for (index, read) in spread(read.into_iter().peekable(), list.len()) {
            let Some(read) = read else {
                plan.storage.push(StorageStep { index, reason: Reason::Requested });
                continue;
            };
            let id = read.change.id();
            let (ours, theirs) = (view.flows.get(&id), theirs.remove(&id));
            let current = ours.map(|entry| &entry.stored).or(theirs.as_ref());
            match read.change.precondition().violation(current) {
                Some(kind) => plan.violations.push(Violation { index, id, kind }),
                None => plan.add(read, theirs)?,
            }
        }
        Ok(Some(plan))
    }

    /// Returns the known violations and those of requested changes to the storage.
    pub(super) async fn all_violations(&self, list: &dyn ChangeList, plan: SplitPlan) -> Result<Vec<Violation>> {
        let asked: Vec<_> = plan.storage.iter().filter(|step| matches!(step.reason, Reason::Requested)).collect();
        let stored = self.stored(asked.iter().map(|step| list.target(step.index).0).collect()).await?;
        let mut violations = plan.violations;
        violations.extend(asked.into_iter().filter_map(|&StorageStep { index, .. }| {
            let (id, precondition) = list.target(index);
            Some(Violation { index, id, kind: precondition.violation(stored.get(&id))? })
        }));
        violations.sort_by_key(|violation| violation.index);
        Ok(violations)
    }

    /// Returns the flows with these ids that the storage contains.
    async fn stored(&self, ids: Vec<FlowId>) -> Result<HashMap<FlowId, Stored<Flow>>> {
        let stored: Vec<_> = match ids[..] {
            [] => Vec::new(),
            [id] => self.store.get(id).await?.into_iter().collect(),
            _ => self.store.get_each(ids).try_collect().await?,
        };
        Ok(stored.into_iter().map(|stored| (stored.item.id(), stored)).collect())
    }
}

impl SplitPlan {
    /// Adds a change that affects memory and whose precondition holds. `stored` is the flow in the storage.
    fn add(&mut self, read: MemoryChange, stored: Option<Stored<Flow>>) -> Result<()> {
        let MemoryChange { index, change, kept } = read;
        let id = change.id();
        let Some((flow, hash)) = kept else {
            if change.flow().is_none() {
                self.memory.push((index, Effect::Delete(id)));
            } else {
                // This also replaces a flow that another writer has stored; see the module.
                self.memory.push((index, Effect::MoveToStorage(id)));
                self.storage.push(StorageStep {
                    index,
                    reason: Reason::LeavesMemory(change.with_precondition(Precondition::Any)),
                });
            }
            return Ok(());
        };
        let created_at = stored.as_ref().map(|stored| stored.version.created_at);
        if let Some(stored) = stored {
            let (item, seen) = (&stored.item, Precondition::exactly(&stored));
            if item.is_ephemeral() && item.hash(Runtime::Exclude).map_err(refused)? == hash {
                // A report does not move the flow and creates no revision.
                self.storage.push(StorageStep { index, reason: Reason::Report(change.with_precondition(seen)) });
                return Ok(());
            }
            self.storage.push(StorageStep { index, reason: Reason::EntersMemory(Change::Delete(id, seen)) });
        }
        let is_restore = matches!(change, Change::Restore(..));
        self.memory.push((index, Effect::Put(Put { flow, hash, is_restore, created_at })));
        Ok(())
    }
}

/// Returns the changes that affect memory. Checks ephemeral documents again, as every storage does: a document from a
/// database may have been written by SQL. Stops early if they exceed the budget.
fn read(list: &dyn ChangeList, view: &View, budget: u64) -> Result<Vec<MemoryChange>> {
    let mut found = Vec::new();
    let mut wanted = 0;
    for index in 0..list.len() {
        let is_ephemeral = list.is_ephemeral(index).map_err(failed)?;
        if !is_ephemeral && !view.flows.contains_key(&list.target(index).0) {
            continue;
        }
        let change = list.change(index).map_err(failed)?;
        let flow = change.flow().filter(|_| is_ephemeral);
        wanted += flow.map_or(0, size_of);
        if wanted > view.bytes + budget {
            return Err(RepositoryError::NoRoom { limit: budget, wanted });
        }
        let kept = flow.map(Flow::checked).transpose().map_err(refused)?;
        found.push(MemoryChange { index, change, kept });
    }
    Ok(found)
}

/// Returns every index of the list with its change, if that affects memory.
fn spread(
    mut read: Peekable<IntoIter<MemoryChange>>,
    count: usize,
) -> impl Iterator<Item = (usize, Option<MemoryChange>)> {
    (0..count).map(move |index| (index, read.next_if(|read| read.index == index)))
}

fn failed(error: io::Error) -> RepositoryError {
    RepositoryError::Failed(Box::new(error))
}

fn refused(refusal: Refusal) -> RepositoryError {
    RepositoryError::Failed(Box::new(refusal))
}
