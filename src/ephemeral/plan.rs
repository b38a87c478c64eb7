//! Which part of a call is for memory and which for the storage, as both are when it is made.

use std::collections::HashMap;
use std::io;
use std::iter::Peekable;
use std::sync::Arc;
use std::vec::IntoIter;

use futures::TryStreamExt;
use tokio::task::spawn_blocking;

use super::Ephemeral;
use super::scratch::{Effect, Put, View, size_of};
use crate::flow::{Flow, FlowId, Refusal, Runtime};
use crate::repository::{Change, ChangeList, Precondition, RepositoryError, Result, Stored, Violation};

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
    pub(super) reason: Reason,
}

/// Why the storage is changed.
#[derive(Debug)]
pub(super) enum Reason {
    /// The caller asks it to, as it stands in his list: the flow has nothing to do with memory.
    Asked,
    /// The flow leaves memory.
    Leaves(Change),
    /// The flow comes into memory. It is still as it was seen, or the plan is wrong.
    Comes(Change),
    /// An engine reports to a stored flow that says it is ephemeral. As for one that comes.
    Report(Change),
}

/// A change that concerns memory.
#[derive(Debug)]
struct Read {
    index: usize,
    change: Change,
    /// The flow, when it is ephemeral, with the hash of what people wrote.
    kept: Option<(Flow, [u8; 32])>,
}

impl Ephemeral {
    /// Looks, and changes nothing; `None` when all of it is for the storage as it stands. Whoever calls has the turn of all
    /// these flows.
    pub(super) async fn plan(&self, list: &Arc<dyn ChangeList>) -> Result<Option<Plan>> {
        let view = self.scratch.view();
        let room = self.scratch.room;
        if list.len() == 1 && !view.flows.contains_key(&list.target(0).0) && !list.is_ephemeral(0).map_err(failed)? {
            return Ok(None);
        }
        let (read_from, seen) = (Arc::clone(list), view.clone());
        let reading = spawn_blocking(move || read(&*read_from, &seen, room)).await;
        let read = reading.map_err(|panicked| RepositoryError::Failed(panicked.into()))??;
        if read.is_empty() {
            return Ok(None);
        }
        let ids = read.iter().map(|read| read.change.id()).filter(|id| !view.flows.contains_key(id));
        let mut theirs = self.stored(ids.collect()).await?;
        let mut plan = Plan::default();
        for (index, read) in spread(read.into_iter().peekable(), list.len()) {
            let Some(read) = read else {
                plan.storage.push(Step { index, reason: Reason::Asked });
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

    /// The violations that are known and those of the changes that the storage was not asked to make.
    pub(super) async fn all_violations(&self, list: &dyn ChangeList, plan: Plan) -> Result<Vec<Violation>> {
        let asked: Vec<_> = plan.storage.iter().filter(|step| matches!(step.reason, Reason::Asked)).collect();
        let stored = self.stored(asked.iter().map(|step| list.target(step.index).0).collect()).await?;
        let mut violations = plan.violations;
        violations.extend(asked.into_iter().filter_map(|&Step { index, .. }| {
            let (id, precondition) = list.target(index);
            Some(Violation { index, id, kind: precondition.violation(stored.get(&id))? })
        }));
        violations.sort_by_key(|violation| violation.index);
        Ok(violations)
    }

    /// Those of these flows that the storage has.
    async fn stored(&self, ids: Vec<FlowId>) -> Result<HashMap<FlowId, Stored<Flow>>> {
        let stored: Vec<_> = match ids[..] {
            [] => Vec::new(),
            [id] => self.store.get(id).await?.into_iter().collect(),
            _ => self.store.get_each(ids).try_collect().await?,
        };
        Ok(stored.into_iter().map(|stored| (stored.item.id(), stored)).collect())
    }
}

impl Plan {
    /// A change that concerns memory and whose precondition holds. `stored` is its flow, when that is in the storage.
    fn add(&mut self, read: Read, stored: Option<Stored<Flow>>) -> Result<()> {
        let Read { index, change, kept } = read;
        let id = change.id();
        let Some((flow, hash)) = kept else {
            if change.flow().is_none() {
                self.memory.push((index, Effect::Delete(id)));
            } else {
                // What it is here replaces what somebody else may have stored, too; see the module.
                self.memory.push((index, Effect::Leave(id)));
                self.storage.push(Step { index, reason: Reason::Leaves(change.under(Precondition::Any)) });
            }
            return Ok(());
        };
        let created_at = stored.as_ref().map(|stored| stored.version.created_at);
        if let Some(Stored { item, version }) = stored {
            let seen = Precondition::At(version.revision);
            if item.is_ephemeral() && item.hash(Runtime::Left).map_err(refused)? == hash {
                // A report takes nothing from its owner, and makes no revision.
                self.storage.push(Step { index, reason: Reason::Report(change.under(seen)) });
                return Ok(());
            }
            self.storage.push(Step { index, reason: Reason::Comes(Change::Delete(id, seen)) });
        }
        let is_restore = matches!(change, Change::Restore(..));
        self.memory.push((index, Effect::Put(Put { flow, hash, is_restore, created_at })));
        Ok(())
    }
}

/// The changes of a list that concern memory. Ephemeral documents are read again, as every storage does it: one may come
/// from a database and have been written by SQL. Many do not come into memory to be refused for their size.
fn read(list: &dyn ChangeList, view: &View, room: u64) -> Result<Vec<Read>> {
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
        if wanted > view.bytes + room {
            return Err(RepositoryError::NoRoom { limit: room, wanted });
        }
        let kept = flow.map(Flow::checked).transpose().map_err(refused)?;
        found.push(Read { index, change, kept });
    }
    Ok(found)
}

/// Every index of the list, with what was read there.
fn spread(mut read: Peekable<IntoIter<Read>>, count: usize) -> impl Iterator<Item = (usize, Option<Read>)> {
    (0..count).map(move |index| (index, read.next_if(|read| read.index == index)))
}

fn failed(error: io::Error) -> RepositoryError {
    RepositoryError::Failed(Box::new(error))
}

fn refused(refusal: Refusal) -> RepositoryError {
    RepositoryError::Failed(Box::new(refusal))
}
