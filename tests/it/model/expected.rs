//! A simple model of a repository.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use strom_store::Flow;
use strom_store::flow::Runtime;
use strom_store::internals::orders::{SORTS, compare};
use strom_store::internals::samples::{canonical, flow_with, id, number, parse, time};
use strom_store::repository::{
    Applied, Author, Change, Operation, Outcome, Precondition, Record, Revision, Stored, Version,
};

use super::{Condition, ListRequest, NAMES, Request, STATES, passes};

/// The existing flows, the last revisions of deleted flows, and all changes since the start.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) flows: BTreeMap<u32, Stored<Flow>>,
    pub(super) deleted: BTreeMap<u32, Revision>,
    pub(super) changes: Vec<Recorded>,
}

/// A record: flow, operation, revision, time, author and document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) number: u32,
    pub(super) operation: Operation,
    pub(super) revision: u64,
    pub(super) at: DateTime<Utc>,
    pub(super) author: Author,
    pub(super) document: String,
}

impl Recorded {
    pub(super) fn of(record: &Record<Flow>) -> Self {
        Self {
            number: number(record.item.id()),
            operation: record.operation,
            revision: record.revision.number(),
            at: record.at,
            author: record.author.clone(),
            document: canonical(&record.item),
        }
    }
}

/// The result of a call, as far as both implementations must agree.
#[derive(Debug, PartialEq)]
pub(super) enum CallResult {
    Applied(Vec<Applied>),
    Repeated(u32),
    /// Index, flow, kind of the violation, and current version.
    Conflict(Vec<(usize, u32, &'static str, Option<Version>)>),
}

impl Condition {
    pub(super) fn at(self, last: u64) -> Precondition {
        match self {
            Self::Any => Precondition::Any,
            Self::Absent => Precondition::Absent,
            Self::Present => Precondition::Present,
            Self::At(more) => Precondition::At(Revision::new(last + more)),
        }
    }
}

impl Model {
    pub(super) fn last(&self, number: u32) -> u64 {
        let last = self.flows.get(&number).map(|stored| stored.version.revision);
        last.or_else(|| self.deleted.get(&number).copied()).map_or(1, Revision::number)
    }

    /// Returns a flow at a revision since the start. For a deletion, this is the deleted flow.
    pub(super) fn flow_at(&self, number: u32, revision: Revision) -> Option<Flow> {
        let recorded = self.revisions(number).find(|recorded| recorded.revision == revision.number())?;
        Some(parse(&recorded.document))
    }

    /// Returns the changes of a flow that have a revision.
    pub(super) fn revisions(&self, number: u32) -> impl DoubleEndedIterator<Item = &Recorded> {
        self.changes.iter().filter(move |recorded| recorded.number == number && recorded.operation != Operation::State)
    }

    pub(super) fn change(&self, request: &Request) -> Change {
        let last = self.last(request.number);
        let condition = request.condition.at(last);
        let Some((name, edit, state)) = request.put else { return Change::Delete(id(request.number), condition) };
        let (state, auto_restart) = (STATES[state], edit % 2 == 0);
        let members = format!(r#""edit":{edit},"gst_state":{state},"properties":{{"auto_restart":{auto_restart}}}"#);
        Change::Put(flow_with(request.number, NAMES[name], &members), condition)
    }

    pub(super) fn apply(&mut self, changes: &[Change], at: DateTime<Utc>, author: &Author) -> CallResult {
        let ids: Vec<u32> = changes.iter().map(|change| number(change.id())).collect();
        if let Some(index) = (0..ids.len()).find(|&index| ids[..index].contains(&ids[index])) {
            return CallResult::Repeated(ids[index]);
        }
        let violations = changes.iter().enumerate().filter_map(|(index, change)| {
            let current = self.flows.get(&ids[index]);
            let (kind, version) = match (change.precondition(), current) {
                (Precondition::Absent, Some(_)) => ("exists", None),
                (Precondition::Present | Precondition::At(_), None) => ("missing", None),
                (Precondition::At(seen), Some(stored)) if stored.version.revision != seen => {
                    ("stale", Some(stored.version.clone()))
                }
                _ => return None,
            };
            Some((index, ids[index], kind, version))
        });
        let violations: Vec<_> = violations.collect();
        if !violations.is_empty() {
            return CallResult::Conflict(violations);
        }
        CallResult::Applied(changes.iter().map(|change| self.apply_one(change, at, author)).collect())
    }

    fn apply_one(&mut self, change: &Change, at: DateTime<Utc>, by: &Author) -> Applied {
        let number = number(change.id());
        let author = by.clone();
        let before = self.flows.remove(&number);
        let previous = before.clone();
        let (outcome, version) = match (change, before) {
            (Change::Delete(..), None) => (Outcome::Absent, None),
            (Change::Delete(..), Some(Stored { version, .. })) => {
                let revision = version.revision.next();
                self.deleted.insert(number, revision);
                (Outcome::Deleted, Some(Version { revision, updated_at: at, author, ..version }))
            }
            (Change::Put(..) | Change::Restore(..), None) => {
                let revision = self.deleted.remove(&number).map_or(Revision::FIRST, Revision::next);
                (Outcome::Created, Some(Version { revision, created_at: at, updated_at: at, author }))
            }
            (Change::Adopt(Stored { version, .. }), _) => {
                let least = self.deleted.remove(&number).map_or(Revision::FIRST, Revision::next);
                (Outcome::Created, Some(Version { revision: version.revision.max(least), ..version.clone() }))
            }
            (Change::Inherit(_), _) => unreachable!("no step inherits"),
            (Change::Put(flow, _) | Change::Restore(flow, _), Some(Stored { item, version })) => {
                let content = |flow: &Flow| flow.canonical(Runtime::Exclude).unwrap();
                if content(flow) == content(&item) {
                    (Outcome::Unchanged, Some(version))
                } else {
                    let revision = version.revision.next();
                    (Outcome::Replaced, Some(Version { revision, updated_at: at, author, ..version }))
                }
            }
        };
        if let (Some(flow), Some(version)) = (change.flow(), &version) {
            self.flows.insert(number, Stored { item: flow.clone(), version: version.clone() });
        }
        self.record(change, outcome, previous, at, by);
        Applied::new(change.id(), outcome, version)
    }

    fn record(
        &mut self,
        change: &Change,
        outcome: Outcome,
        previous: Option<Stored<Flow>>,
        at: DateTime<Utc>,
        by: &Author,
    ) {
        let number = number(change.id());
        let document = change.flow().or(previous.as_ref().map(|previous| &previous.item)).map(canonical);
        let operation = match (outcome, change) {
            (Outcome::Deleted, _) => Operation::Delete,
            (Outcome::Created | Outcome::Replaced, Change::Restore(..)) => Operation::Restore,
            (Outcome::Created, _) => Operation::Create,
            (Outcome::Replaced, _) => Operation::Update,
            (Outcome::Unchanged, _) if document != previous.map(|previous| canonical(&previous.item)) => {
                Operation::State
            }
            (Outcome::Unchanged | Outcome::Absent, _) => return,
        };
        let (revision, document) = (self.last(number), document.expect("the flow exists or existed"));
        self.changes.push(Recorded { number, operation, revision, at, author: by.clone(), document });
    }

    /// Returns number, revision and time of the last deletion of each deleted flow, the latest first.
    pub(super) fn deleted(&self) -> Vec<(u32, u64, DateTime<Utc>)> {
        let deletions = self.deleted.iter().map(|(&number, revision)| {
            let deletion = self.revisions(number).next_back();
            (number, revision.number(), deletion.map_or(time(0), |deletion| deletion.at))
        });
        let mut deletions: Vec<_> = deletions.collect();
        deletions.sort_by_key(|&(number, _, at)| (Reverse(at), number));
        deletions
    }

    pub(super) fn list(&self, request: &ListRequest) -> Vec<(u32, Version)> {
        let mut found: Vec<&Stored<Flow>> = self.flows.values().filter(|stored| passes(stored, request)).collect();
        found.sort_by(|a, b| compare(SORTS[request.sort], a, b));
        found.iter().map(|stored| (number(stored.item.id()), stored.version.clone())).collect()
    }
}
