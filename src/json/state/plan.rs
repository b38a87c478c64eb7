//! The effect of a list of changes on the flows. No I/O.

use chrono::SubsecRound;

use super::state_map::State;
use crate::flow::{Flow, FlowId, Refusal};
use crate::json::journal::{ChangeMeta, JournalEntry};
use crate::repository::{
    Applied, Change, ChangeList, Chronicle, Operation, Outcome, RepositoryError, Result, Revision, Stamp, Stored,
    Version, Violation, check_ids,
};

/// The result of applying a list of changes.
#[derive(Debug)]
pub(crate) struct PlannedChanges {
    pub(crate) applied: Vec<Applied>,
    pub(crate) state: State,
    /// The entries for the journal. Empty if nothing changes.
    pub(crate) entries: Vec<JournalEntry>,
    /// The number of the first entry.
    first: u64,
}

impl State {
    /// Checks all preconditions, then applies all changes to a copy. `first` is the number that the first change will have.
    pub(crate) fn apply(&self, changes: &dyn ChangeList, stamp: &Stamp, first: u64) -> Result<PlannedChanges> {
        check_ids(changes)?;
        let violations: Vec<Violation> = (0..changes.len())
            .filter_map(|index| {
                let (id, precondition) = changes.target(index);
                let kind = match self.get(id) {
                    Some(current) => current.violation(precondition),
                    None => precondition.violation(None),
                };
                Some(Violation { index, id, kind: kind? })
            })
            .collect();
        if !violations.is_empty() {
            return Err(RepositoryError::Conflict(violations));
        }
        let applied = Vec::with_capacity(changes.len());
        let mut plan = PlannedChanges { applied, state: self.clone(), entries: Vec::new(), first };
        for index in 0..changes.len() {
            let change = changes.change(index).map_err(|error| RepositoryError::Failed(Box::new(error)))?;
            let applied = match change {
                Change::Put(flow, _) => plan.put(&flow, Operation::Update, stamp)?,
                Change::Restore(flow, _) => plan.put(&flow, Operation::Restore, stamp)?,
                Change::Delete(id, _) => plan.delete(id, stamp),
                Change::Adopt(stored) => plan.adopt(&stored)?,
                Change::Inherit(chronicle) => plan.inherit(&chronicle, stamp)?,
            };
            plan.applied.push(applied);
        }
        Ok(plan)
    }
}

impl PlannedChanges {
    /// Stores a document. Checks it again: a document from a database may have been written by SQL, and the store
    /// could not open a file that contains an invalid one.
    fn put(&mut self, flow: &Flow, operation: Operation, stamp: &Stamp) -> Result<Applied> {
        let (flow, hash) = flow.checked().map_err(refused)?;
        let id = flow.id();
        let entry_for = |operation, revision, created_at| {
            JournalEntry::by(stamp, operation, revision, created_at, hash, flow.clone())
        };
        let Some(old) = self.state.get(id).cloned() else {
            let revision = self.state.deleted().get(&id).map_or(Revision::FIRST, |tombstone| tombstone.revision.next());
            let operation = if operation == Operation::Restore { operation } else { Operation::Create };
            let entry = entry_for(operation, revision, stamp.at);
            let version = entry.meta.version();
            self.state.insert_revision(flow, version.clone(), hash, None);
            self.entries.push(entry);
            return Ok(Applied { id, outcome: Outcome::Created, version: Some(version) });
        };
        let before = &old.stored.version;
        if old.hash != hash {
            let entry = entry_for(operation, before.revision.next(), before.created_at);
            let version = entry.meta.version();
            self.state.insert_revision(flow, version.clone(), hash, Some(old.position));
            self.entries.push(entry);
            return Ok(Applied { id, outcome: Outcome::Replaced, version: Some(version) });
        }
        // A different order of members or spelling of a number is not a change.
        if !old.stored.item.same_as(&flow).map_err(refused)? {
            let entry = entry_for(Operation::State, before.revision, before.created_at);
            self.state.insert(flow, before.clone(), hash, old.position);
            self.state.set_report(id, entry.meta.report(self.next()));
            self.entries.push(entry);
        }
        Ok(Applied { id, outcome: Outcome::Unchanged, version: Some(before.clone()) })
    }

    /// Adopts a flow of another store. Its id is free.
    fn adopt(&mut self, stored: &Stored<Flow>) -> Result<Applied> {
        let (flow, hash) = stored.item.checked().map_err(refused)?;
        let id = flow.id();
        let last = self.state.deleted().get(&id).map(|tombstone| tombstone.revision);
        let version = stored.version.adopted(last)?;
        let Version { revision, created_at, updated_at: at, author } = version.clone();
        let meta = ChangeMeta { operation: Operation::Create, revision, at, author, created_at, hash };
        self.entries.push(JournalEntry { meta, flow: flow.clone() });
        self.state.insert_last(flow, version.clone(), hash);
        Ok(Applied { id, outcome: Outcome::Created, version: Some(version) })
    }

    /// Adopts a flow of another store with its history. Its id is free.
    fn inherit(&mut self, chronicle: &Chronicle, stamp: &Stamp) -> Result<Applied> {
        let id = chronicle.id();
        let given = self.state.deleted().get(&id).map(|tombstone| tombstone.revision);
        let mut last = None;
        for (record, created_at) in chronicle.records().iter().zip(chronicle.creation_times()) {
            if given.is_some_and(|given| record.revision <= given) {
                continue;
            }
            let (flow, hash) = record.item.checked().map_err(refused)?;
            let (operation, revision, at, author) =
                (record.operation, record.revision, record.at.trunc_subsecs(6), record.author.clone());
            let entry = JournalEntry { meta: ChangeMeta { operation, revision, at, author, created_at, hash }, flow };
            self.entries.push(entry.clone());
            last = Some(entry);
        }
        match (chronicle.now(), last) {
            (Some(now), None) => self.adopt(now),
            (Some(now), Some(last)) => {
                let (flow, hash) = now.item.checked().map_err(refused)?;
                let version = now.version.adopted(given)?;
                let mut report = None;
                if !last.flow.same_as(&flow).map_err(refused)? {
                    let Version { revision, created_at, .. } = version;
                    let entry = JournalEntry::by(stamp, Operation::State, revision, created_at, hash, flow.clone());
                    report = entry.meta.report(self.next());
                    self.entries.push(entry);
                }
                self.state.insert_last(flow, version.clone(), hash);
                self.state.set_report(id, report);
                Ok(Applied { id, outcome: Outcome::Created, version: Some(version) })
            }
            (None, Some(last)) => {
                self.state.insert_tombstone(id, last.meta.tombstone());
                Ok(Applied { id, outcome: Outcome::Deleted, version: Some(last.meta.version()) })
            }
            (None, None) => Ok(Applied { id, outcome: Outcome::Absent, version: None }),
        }
    }

    /// Returns the number of the next entry.
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn delete(&mut self, id: FlowId, stamp: &Stamp) -> Applied {
        let Some(old) = self.state.get(id).cloned() else {
            return Applied { id, outcome: Outcome::Absent, version: None };
        };
        let entry = JournalEntry::deletion(&old.stored, old.hash, stamp);
        let version = entry.meta.version();
        self.state.insert_tombstone(id, entry.meta.tombstone());
        self.entries.push(entry);
        Applied { id, outcome: Outcome::Deleted, version: Some(version) }
    }
}

fn refused(refusal: Refusal) -> RepositoryError {
    RepositoryError::Failed(Box::new(refusal))
}
