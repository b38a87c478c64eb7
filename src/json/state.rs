//! All flows as of one moment, and what changes make of them. No I/O.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::file::Member;
use crate::flow::{Flow, FlowId, Runtime};
use crate::repository::{
    Applied, Author, Change, Outcome, Precondition, RepositoryError, Result, Revision, Stamp, Stored, Version,
    Violation, ViolationKind,
};

/// SHA-256 of what people wrote in a document.
pub(super) type Hash = [u8; 32];

/// A flow, and what the file needs to know of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) stored: Stored<Flow>,
    pub(super) hash: Hash,
    /// Flows are printed in the order of their places.
    place: u64,
}

/// What is remembered of a flow that is gone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deletion {
    pub(super) revision: Revision,
    pub(super) at: DateTime<Utc>,
    pub(super) author: Author,
}

/// Cheap to clone: the documents are shared. A write makes a new one, and readers keep the one that they have.
#[derive(Debug, Clone)]
pub(super) struct State {
    flows: HashMap<FlowId, Arc<Entry>>,
    deleted: BTreeMap<FlowId, Deletion>,
    members: Vec<Member>,
    next_place: u64,
}

/// What a list of changes comes to.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) applied: Vec<Applied>,
    /// `None` when everything stays as it is.
    pub(super) state: Option<State>,
}

impl State {
    pub(super) fn new(members: Vec<Member>) -> Self {
        Self { flows: HashMap::new(), deleted: BTreeMap::new(), members, next_place: 0 }
    }

    pub(super) fn get(&self, id: FlowId) -> Option<&Stored<Flow>> {
        self.flows.get(&id).map(|entry| &entry.stored)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.flows.values()
    }

    pub(super) fn in_file_order(&self) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> = self.flows.values().map(Arc::as_ref).collect();
        entries.sort_unstable_by_key(|entry| entry.place);
        entries
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn deleted(&self) -> &BTreeMap<FlowId, Deletion> {
        &self.deleted
    }

    pub(super) fn set_deleted(&mut self, deleted: BTreeMap<FlowId, Deletion>) {
        self.deleted = deleted;
    }

    pub(super) fn insert_last(&mut self, flow: Flow, version: Version, hash: Hash) {
        let place = self.next_place;
        self.next_place += 1;
        self.insert(flow, version, hash, place);
    }

    fn insert(&mut self, flow: Flow, version: Version, hash: Hash, place: u64) {
        let id = flow.id();
        self.flows.insert(id, Arc::new(Entry { stored: Stored { item: flow, version }, hash, place }));
    }

    /// Checks everything, then changes everything, in a copy.
    pub(super) fn apply(&self, changes: Vec<Change>, stamp: &Stamp) -> Result<Plan> {
        Change::check_ids(&changes)?;
        let violations: Vec<Violation> = changes
            .iter()
            .enumerate()
            .filter_map(|(index, change)| Some(Violation { index, id: change.id(), kind: self.violation(change)? }))
            .collect();
        if !violations.is_empty() {
            return Err(RepositoryError::Conflict(violations));
        }
        let mut next = self.clone();
        let mut changed = false;
        let mut applied = Vec::with_capacity(changes.len());
        for change in changes {
            applied.push(match change {
                Change::Put(flow, _) | Change::Restore(flow, _) => next.put(&flow, stamp, &mut changed)?,
                Change::Delete(id, _) => next.delete(id, stamp, &mut changed),
            });
        }
        Ok(Plan { applied, state: changed.then_some(next) })
    }

    fn violation(&self, change: &Change) -> Option<ViolationKind> {
        match (change.precondition(), self.get(change.id())) {
            (Precondition::Any, _) | (Precondition::Absent, None) | (Precondition::Present, Some(_)) => None,
            (Precondition::Absent, Some(_)) => Some(ViolationKind::AlreadyExists),
            (Precondition::Present | Precondition::At(_), None) => Some(ViolationKind::NotFound),
            (Precondition::At(expected), Some(current)) => (current.version.revision != expected)
                .then(|| ViolationKind::Stale { expected, current: Box::new(current.clone()) }),
        }
    }

    /// The document is checked again: one that comes from a database may have been written by SQL, and a file with it
    /// would not open any more.
    fn put(&mut self, flow: &Flow, stamp: &Stamp, changed: &mut bool) -> Result<Applied> {
        let checked = Flow::parse(flow.document().get()).and_then(|flow| Ok((flow.hash(Runtime::Left)?, flow)));
        let (hash, flow) = checked.map_err(|refusal| RepositoryError::Failed(Box::new(refusal)))?;
        let id = flow.id();
        let Some(old) = self.flows.get(&id).cloned() else {
            let version = Version {
                revision: self.deleted.remove(&id).map_or(Revision::FIRST, |deletion| deletion.revision.next()),
                created_at: stamp.at,
                updated_at: stamp.at,
                author: stamp.author.clone(),
            };
            *changed = true;
            self.insert_last(flow, version.clone(), hash);
            return Ok(Applied { id, outcome: Outcome::Created, version: Some(version) });
        };
        let mut version = old.stored.version.clone();
        let outcome = if old.hash == hash {
            Outcome::Unchanged
        } else {
            version.revision = version.revision.next();
            version.updated_at = stamp.at;
            version.author = stamp.author.clone();
            Outcome::Replaced
        };
        if old.stored.item.document().get() != flow.document().get() {
            *changed = true;
            self.insert(flow, version.clone(), hash, old.place);
        }
        Ok(Applied { id, outcome, version: Some(version) })
    }

    fn delete(&mut self, id: FlowId, stamp: &Stamp, changed: &mut bool) -> Applied {
        let Some(old) = self.flows.remove(&id) else {
            return Applied { id, outcome: Outcome::Absent, version: None };
        };
        *changed = true;
        let version = Version {
            revision: old.stored.version.revision.next(),
            created_at: old.stored.version.created_at,
            updated_at: stamp.at,
            author: stamp.author.clone(),
        };
        let deletion = Deletion { revision: version.revision, at: stamp.at, author: stamp.author.clone() };
        self.deleted.insert(id, deletion);
        Applied { id, outcome: Outcome::Deleted, version: Some(version) }
    }
}
