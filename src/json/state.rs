//! All flows as of one moment, and what changes make of them. No I/O.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use rpds::HashTrieMapSync;

use super::file::{Member, Quarantined};
use crate::flow::{Flow, FlowId, Refusal, Runtime};
use crate::repository::{
    Applied, Author, Change, ChangeList, Chronicle, Operation, Outcome, RepositoryError, Result, Revision, Stamp,
    Stored, Version, Violation, check_ids,
};

/// SHA-256 of what people wrote in a document.
pub(super) type Hash = [u8; 32];

/// A flow, and what the file needs to know of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) stored: Stored<Flow>,
    pub(super) hash: Hash,
    /// Flows are printed in the order of their places.
    pub(super) place: u64,
}

/// What is remembered of a flow that is gone, for ever: its revisions go on if it comes back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deletion {
    pub(super) revision: Revision,
    pub(super) at: DateTime<Utc>,
    pub(super) author: Author,
}

impl Deletion {
    /// A deletion that somebody makes at this time.
    pub(super) fn by(stamp: &Stamp, revision: Revision) -> Self {
        let Stamp { at, author } = stamp.clone();
        Self { revision, at, author }
    }
}

/// What is told of a change besides the document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts {
    pub(super) operation: Operation,
    pub(super) revision: Revision,
    pub(super) at: DateTime<Utc>,
    pub(super) author: Author,
    /// When the flow was created.
    pub(super) created_at: DateTime<Utc>,
    /// Of the content.
    pub(super) hash: Hash,
}

impl Facts {
    /// The version of a flow whose last revision this is.
    pub(super) fn version(&self) -> Version {
        let Self { revision, created_at, at, author, .. } = self;
        Version { revision: *revision, created_at: *created_at, updated_at: *at, author: author.clone() }
    }

    /// What stays of a flow that this has deleted.
    pub(super) fn deletion(&self) -> Deletion {
        Deletion { revision: self.revision, at: self.at, author: self.author.clone() }
    }
}

/// A change that was made, for the journal.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) facts: Facts,
    /// As the change has left it; for a deletion as it was before.
    pub(super) flow: Flow,
}

impl Made {
    /// A change that somebody makes at this time.
    pub(super) fn by(
        stamp: &Stamp,
        operation: Operation,
        revision: Revision,
        created_at: DateTime<Utc>,
        hash: Hash,
        flow: Flow,
    ) -> Self {
        let Stamp { at, author } = stamp.clone();
        Self { facts: Facts { operation, revision, at, author, created_at, hash }, flow }
    }

    /// A deletion, which is a change like any other and has the next revision.
    pub(super) fn deletion(stored: &Stored<Flow>, hash: Hash, stamp: &Stamp) -> Self {
        let Version { revision, created_at, .. } = stored.version;
        Self::by(stamp, Operation::Delete, revision.next(), created_at, hash, stored.item.clone())
    }

    /// The change that has made a flow what it is.
    pub(super) fn again(entry: &Entry) -> Self {
        let Stored { item, version } = entry.stored.clone();
        let is_first = version.revision == Revision::FIRST;
        let facts = Facts {
            operation: if is_first { Operation::Create } else { Operation::Update },
            revision: version.revision,
            at: version.updated_at,
            author: version.author,
            created_at: version.created_at,
            hash: entry.hash,
        };
        Self { facts, flow: item }
    }
}

/// Cheap to clone, whatever its size: a write makes a new one that shares all but what it changed, and readers keep the
/// one that they have.
#[derive(Debug, Clone)]
pub(super) struct State {
    flows: HashTrieMapSync<FlowId, Arc<Entry>>,
    deleted: HashTrieMapSync<FlowId, Deletion>,
    members: Arc<[Member]>,
    quarantined: Arc<[Quarantined]>,
    next_place: u64,
}

/// What a list of changes comes to.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) applied: Vec<Applied>,
    pub(super) state: State,
    /// Nothing when everything stays as it is.
    pub(super) made: Vec<Made>,
}

impl State {
    /// A state without flows. What is added comes behind what stands in the file and could not be read.
    pub(super) fn new(members: Arc<[Member]>, quarantined: Arc<[Quarantined]>) -> Self {
        let next_place = quarantined.iter().map(|bad| bad.place + 1).max().unwrap_or(0);
        Self {
            flows: HashTrieMapSync::new_sync(),
            deleted: HashTrieMapSync::new_sync(),
            members,
            quarantined,
            next_place,
        }
    }

    pub(super) fn get(&self, id: FlowId) -> Option<&Arc<Entry>> {
        self.flows.get(&id)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.flows.values()
    }

    pub(super) fn flows(&self) -> impl Iterator<Item = &Stored<Flow>> {
        self.entries().map(|entry| &entry.stored)
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    pub(super) fn deleted(&self) -> &HashTrieMapSync<FlowId, Deletion> {
        &self.deleted
    }

    pub(super) fn forget(&mut self, id: FlowId, deletion: Deletion) {
        self.flows.remove_mut(&id);
        self.deleted.insert_mut(id, deletion);
    }

    /// Takes over a flow of another state.
    pub(super) fn share(&mut self, entry: &Arc<Entry>) {
        self.next_place = self.next_place.max(entry.place + 1);
        self.flows.insert_mut(entry.stored.item.id(), Arc::clone(entry));
    }

    pub(super) fn insert_last(&mut self, flow: Flow, version: Version, hash: Hash) {
        self.insert(flow, version, hash, self.next_place);
    }

    pub(super) fn insert(&mut self, flow: Flow, version: Version, hash: Hash, place: u64) {
        let id = flow.id();
        self.next_place = self.next_place.max(place + 1);
        self.deleted.remove_mut(&id);
        self.flows.insert_mut(id, Arc::new(Entry { stored: Stored { item: flow, version }, hash, place }));
    }

    /// Checks everything, then changes everything, in a copy.
    pub(super) fn apply(&self, changes: &dyn ChangeList, stamp: &Stamp) -> Result<Plan> {
        check_ids(changes)?;
        let violations: Vec<Violation> = (0..changes.len())
            .filter_map(|index| {
                let (id, precondition) = changes.target(index);
                let current = self.get(id).map(|entry| &entry.stored);
                Some(Violation { index, id, kind: precondition.violation(current)? })
            })
            .collect();
        if !violations.is_empty() {
            return Err(RepositoryError::Conflict(violations));
        }
        let mut plan = Plan { applied: Vec::with_capacity(changes.len()), state: self.clone(), made: Vec::new() };
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

impl Plan {
    /// The document is checked again: one that comes from a database may have been written by SQL, and a file with it
    /// would not open any more.
    fn put(&mut self, flow: &Flow, operation: Operation, stamp: &Stamp) -> Result<Applied> {
        let (flow, hash) = flow.checked().map_err(refused)?;
        let id = flow.id();
        let made =
            |operation, revision, created_at| Made::by(stamp, operation, revision, created_at, hash, flow.clone());
        let Some(old) = self.state.get(id).cloned() else {
            let revision = self.state.deleted.get(&id).map_or(Revision::FIRST, |deletion| deletion.revision.next());
            let operation = if operation == Operation::Restore { operation } else { Operation::Create };
            let made = made(operation, revision, stamp.at);
            let version = made.facts.version();
            self.state.insert_last(flow, version.clone(), hash);
            self.made.push(made);
            return Ok(Applied { id, outcome: Outcome::Created, version: Some(version) });
        };
        let before = &old.stored.version;
        if old.hash != hash {
            let made = made(operation, before.revision.next(), before.created_at);
            let version = made.facts.version();
            self.state.insert(flow, version.clone(), hash, old.place);
            self.made.push(made);
            return Ok(Applied { id, outcome: Outcome::Replaced, version: Some(version) });
        }
        // Another order of members or another spelling of a number is no change.
        if !same_value(&old.stored.item, &flow).map_err(refused)? {
            self.made.push(made(Operation::State, before.revision, before.created_at));
            self.state.insert(flow, before.clone(), hash, old.place);
        }
        Ok(Applied { id, outcome: Outcome::Unchanged, version: Some(before.clone()) })
    }

    /// A flow of another store, whose id is free.
    fn adopt(&mut self, stored: &Stored<Flow>) -> Result<Applied> {
        let (flow, hash) = stored.item.checked().map_err(refused)?;
        let id = flow.id();
        let last = self.state.deleted.get(&id).map(|deletion| deletion.revision);
        let version = stored.version.adopted(last)?;
        let Version { revision, created_at, updated_at: at, author } = version.clone();
        let facts = Facts { operation: Operation::Create, revision, at, author, created_at, hash };
        self.made.push(Made { facts, flow: flow.clone() });
        self.state.insert_last(flow, version.clone(), hash);
        Ok(Applied { id, outcome: Outcome::Created, version: Some(version) })
    }

    /// A flow of another store, whose id is free, with its history.
    fn inherit(&mut self, chronicle: &Chronicle, stamp: &Stamp) -> Result<Applied> {
        let id = chronicle.id();
        let given = self.state.deleted.get(&id).map(|deletion| deletion.revision);
        let mut last = None;
        for (record, created_at) in chronicle.records().iter().zip(chronicle.births()) {
            if given.is_some_and(|given| record.revision <= given) {
                continue;
            }
            let (flow, hash) = record.item.checked().map_err(refused)?;
            let (operation, revision, at, author) =
                (record.operation, record.revision, record.at.trunc_subsecs(6), record.author.clone());
            let made = Made { facts: Facts { operation, revision, at, author, created_at, hash }, flow };
            self.made.push(made.clone());
            last = Some(made);
        }
        match (chronicle.now(), last) {
            (Some(now), None) => self.adopt(now),
            (Some(now), Some(last)) => {
                let (flow, hash) = now.item.checked().map_err(refused)?;
                let version = now.version.adopted(given)?;
                if !same_value(&last.flow, &flow).map_err(refused)? {
                    let Version { revision, created_at, .. } = version;
                    self.made.push(Made::by(stamp, Operation::State, revision, created_at, hash, flow.clone()));
                }
                self.state.insert_last(flow, version.clone(), hash);
                Ok(Applied { id, outcome: Outcome::Created, version: Some(version) })
            }
            (None, Some(last)) => {
                self.state.forget(id, last.facts.deletion());
                Ok(Applied { id, outcome: Outcome::Deleted, version: Some(last.facts.version()) })
            }
            (None, None) => Ok(Applied { id, outcome: Outcome::Absent, version: None }),
        }
    }

    fn delete(&mut self, id: FlowId, stamp: &Stamp) -> Applied {
        let Some(old) = self.state.get(id).cloned() else {
            return Applied { id, outcome: Outcome::Absent, version: None };
        };
        let made = Made::deletion(&old.stored, old.hash, stamp);
        let version = made.facts.version();
        self.state.forget(id, made.facts.deletion());
        self.made.push(made);
        Applied { id, outcome: Outcome::Deleted, version: Some(version) }
    }
}

fn refused(refusal: Refusal) -> RepositoryError {
    RepositoryError::Failed(Box::new(refusal))
}

fn same_value(a: &Flow, b: &Flow) -> std::result::Result<bool, Refusal> {
    Ok(a.document().get() == b.document().get() || a.canonical(Runtime::Kept)? == b.canonical(Runtime::Kept)?)
}
