//! The effect of each change on the state.

use strom_store::flow::Runtime;
use strom_store::repository::{
    Applied, Change, Chronicle, FeedCursor, Operation, Outcome, Record, RepositoryError, Result, Revision, Stamp,
    Stored, Version, check_ids, check_preconditions,
};
use strom_store::{Flow, FlowId, Refusal};

use crate::state::State;

impl State {
    /// Returns the state after all changes, and the outcome of each. `self` stays as it is, so an error needs no undo.
    pub(crate) fn with_changes(&self, changes: &Vec<Change>, stamp: &Stamp) -> Result<(Self, Vec<Applied>)> {
        check_ids(changes)?;
        check_preconditions(changes, |id| self.flows.get(&id))?;
        let mut next = self.clone();
        let applied: Result<Vec<_>> = changes.iter().map(|change| next.apply(change, stamp)).collect();
        Ok((next, applied?))
    }

    fn apply(&mut self, change: &Change, stamp: &Stamp) -> Result<Applied> {
        match change {
            Change::Put(flow, _) => self.put(flow, Operation::Update, stamp),
            Change::Restore(flow, _) => self.put(flow, Operation::Restore, stamp),
            Change::Delete(id, _) => Ok(self.delete(*id, stamp)),
            Change::Adopt(stored) => self.adopt(stored),
            Change::Inherit(chronicle) => self.inherit(chronicle, stamp),
        }
    }

    fn put(&mut self, flow: &Flow, operation: Operation, stamp: &Stamp) -> Result<Applied> {
        let flow = validated(flow)?;
        let id = flow.id();
        let (at, author) = (stamp.at(), stamp.author().clone());
        let Some(old) = self.flows.get(&id).cloned() else {
            let revision = self.tombstones.get(&id).map_or(Revision::FIRST, |deleted| deleted.next());
            let operation = if operation == Operation::Restore { operation } else { Operation::Create };
            let version = self.store(operation, flow, Version::new(revision, at, at, author));
            return Ok(Applied::new(id, Outcome::Created, Some(version)));
        };
        if content(&old.item)? != content(&flow)? {
            let version = Version::new(old.version.revision.next(), old.version.created_at, at, author);
            let version = self.store(operation, flow, version);
            return Ok(Applied::new(id, Outcome::Replaced, Some(version)));
        }
        // Another order of members or another spelling of a number is no change.
        if is_different(&old.item, &flow)? {
            self.report(flow, &old.version, stamp);
        }
        Ok(Applied::new(id, Outcome::Unchanged, Some(old.version)))
    }

    fn delete(&mut self, id: FlowId, stamp: &Stamp) -> Applied {
        let Some(old) = self.flows.get(&id).cloned() else { return Applied::new(id, Outcome::Absent, None) };
        let Version { revision, created_at, .. } = old.version;
        let version = Version::new(revision.next(), created_at, stamp.at(), stamp.author().clone());
        self.remove(id, version.revision);
        self.log.append(record(Operation::Delete, old.item, &version));
        Applied::new(id, Outcome::Deleted, Some(version))
    }

    fn adopt(&mut self, stored: &Stored<Flow>) -> Result<Applied> {
        let flow = validated(&stored.item)?;
        let id = flow.id();
        let version = stored.version.adopted(self.tombstones.get(&id).copied())?;
        let version = self.store(Operation::Create, flow, version);
        Ok(Applied::new(id, Outcome::Created, Some(version)))
    }

    fn inherit(&mut self, chronicle: &Chronicle, stamp: &Stamp) -> Result<Applied> {
        let id = chronicle.id();
        let deleted = self.tombstones.get(&id).copied();
        let mut last = None;
        for (record, created_at) in chronicle.records().iter().zip(chronicle.creation_times()) {
            // Revisions that this store assigned stay what they are.
            if deleted.is_none_or(|deleted| record.revision > deleted) {
                validated(&record.item)?;
                self.log.append(record.clone());
                last = Some((record, created_at));
            }
        }
        match (chronicle.now(), last) {
            (Some(now), None) => self.adopt(now),
            (Some(now), Some((last, _))) => {
                let version = now.version.adopted(deleted)?;
                self.insert(Stored { item: validated(&now.item)?, version: version.clone() });
                if is_different(&last.item, &now.item)? {
                    self.report(now.item.clone(), &version, stamp);
                }
                Ok(Applied::new(id, Outcome::Created, Some(version)))
            }
            (None, Some((last, created_at))) => {
                self.remove(id, last.revision);
                let version = Version::new(last.revision, created_at, last.at, last.author.clone());
                Ok(Applied::new(id, Outcome::Deleted, Some(version)))
            }
            (None, None) => Ok(Applied::new(id, Outcome::Absent, None)),
        }
    }

    /// Stores a new revision and records it.
    fn store(&mut self, operation: Operation, flow: Flow, version: Version) -> Version {
        self.log.append(record(operation, flow.clone(), &version));
        self.insert(Stored { item: flow, version: version.clone() });
        version
    }

    /// Stores runtime members. The version of the flow stays, and the record has the time and author of the report.
    fn report(&mut self, flow: Flow, version: &Version, stamp: &Stamp) {
        let Version { revision, created_at, .. } = *version;
        let reported = Version::new(revision, created_at, stamp.at(), stamp.author().clone());
        self.log.append(record(Operation::State, flow.clone(), &reported));
        self.insert(Stored { item: flow, version: version.clone() });
    }
}

/// Returns the record of a change. The log assigns its cursor.
fn record(operation: Operation, flow: Flow, version: &Version) -> Record<Flow> {
    let Version { revision, updated_at, .. } = *version;
    Record::new(FeedCursor::NOWHERE, operation, flow, revision, updated_at, version.author.clone())
}

/// Returns the flow as `Flow::parse` accepts it. A flow that another store has read from a table may never have been
/// validated.
fn validated(flow: &Flow) -> Result<Flow> {
    Flow::parse(flow.document().get()).map_err(rejected)
}

fn content(flow: &Flow) -> Result<[u8; 32]> {
    flow.hash(Runtime::Exclude).map_err(rejected)
}

fn is_different(a: &Flow, b: &Flow) -> Result<bool> {
    Ok(a.hash(Runtime::Include).map_err(rejected)? != b.hash(Runtime::Include).map_err(rejected)?)
}

fn rejected(refusal: Refusal) -> RepositoryError {
    RepositoryError::Failed(Box::new(refusal))
}
