//! A repository that is simple enough to be believed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use strom::Flow;
use strom::flow::Runtime;
use strom::repository::{Applied, Author, Change, Operation, Outcome, Precondition, Record, Revision, Stored, Version};
use strom::testkit::lists::{SORTS, compare};
use strom::testkit::samples::{canonical, flow_with, id, number, parse, time};

use super::{Asked, Condition, NAMES, STATES, Wanted, passes};

/// Flows that are there, the last revision of those that are gone, and all changes since the beginning.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) flows: BTreeMap<u32, Stored<Flow>>,
    pub(super) gone: BTreeMap<u32, Revision>,
    pub(super) changes: Vec<Made>,
}

/// A record: flow, operation, revision, time, author and document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) number: u32,
    pub(super) operation: Operation,
    pub(super) revision: u64,
    pub(super) at: DateTime<Utc>,
    pub(super) author: Author,
    pub(super) document: String,
}

impl Made {
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

/// What a call comes to, as far as it can be compared.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Applied(Vec<Applied>),
    Repeated(u32),
    /// Place, id, and what is the case.
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
        last.or_else(|| self.gone.get(&number).copied()).map_or(1, Revision::number)
    }

    /// A flow as it was at a revision that was made since the beginning; for a deletion as it was before.
    pub(super) fn flow_at(&self, number: u32, revision: Revision) -> Option<Flow> {
        let made = self.revisions(number).find(|made| made.revision == revision.number())?;
        Some(parse(&made.document))
    }

    /// The changes that made revisions of a flow.
    pub(super) fn revisions(&self, number: u32) -> impl DoubleEndedIterator<Item = &Made> {
        self.changes.iter().filter(move |made| made.number == number && made.operation != Operation::State)
    }

    pub(super) fn change(&self, asked: &Asked) -> Change {
        let last = self.last(asked.number);
        let condition = asked.condition.at(last);
        let Some((name, edit, state)) = asked.put else { return Change::Delete(id(asked.number), condition) };
        let (state, auto_restart) = (STATES[state], edit % 2 == 0);
        let members = format!(r#""edit":{edit},"gst_state":{state},"properties":{{"auto_restart":{auto_restart}}}"#);
        Change::Put(flow_with(asked.number, NAMES[name], &members), condition)
    }

    pub(super) fn apply(&mut self, changes: &[Change], at: DateTime<Utc>, author: &Author) -> Answer {
        let ids: Vec<u32> = changes.iter().map(|change| number(change.id())).collect();
        if let Some(place) = (0..ids.len()).find(|&place| ids[..place].contains(&ids[place])) {
            return Answer::Repeated(ids[place]);
        }
        let violations = changes.iter().enumerate().filter_map(|(place, change)| {
            let there = self.flows.get(&ids[place]);
            let (what, current) = match (change.precondition(), there) {
                (Precondition::Absent, Some(_)) => ("exists", None),
                (Precondition::Present | Precondition::At(_), None) => ("missing", None),
                (Precondition::At(seen), Some(stored)) if stored.version.revision != seen => {
                    ("stale", Some(stored.version.clone()))
                }
                _ => return None,
            };
            Some((place, ids[place], what, current))
        });
        let violations: Vec<_> = violations.collect();
        if !violations.is_empty() {
            return Answer::Conflict(violations);
        }
        Answer::Applied(changes.iter().map(|change| self.make(change, at, author)).collect())
    }

    fn make(&mut self, change: &Change, at: DateTime<Utc>, by: &Author) -> Applied {
        let number = number(change.id());
        let author = by.clone();
        let before = self.flows.remove(&number);
        let was = before.clone();
        let (outcome, version) = match (change, before) {
            (Change::Delete(..), None) => (Outcome::Absent, None),
            (Change::Delete(..), Some(Stored { version, .. })) => {
                let revision = version.revision.next();
                self.gone.insert(number, revision);
                (Outcome::Deleted, Some(Version { revision, updated_at: at, author, ..version }))
            }
            (Change::Put(..) | Change::Restore(..), None) => {
                let revision = self.gone.remove(&number).map_or(Revision::FIRST, Revision::next);
                (Outcome::Created, Some(Version { revision, created_at: at, updated_at: at, author }))
            }
            (Change::Adopt(Stored { version, .. }), _) => {
                let least = self.gone.remove(&number).map_or(Revision::FIRST, Revision::next);
                (Outcome::Created, Some(Version { revision: version.revision.max(least), ..version.clone() }))
            }
            (Change::Inherit(_), _) => unreachable!("no step does"),
            (Change::Put(flow, _) | Change::Restore(flow, _), Some(Stored { item, version })) => {
                let content = |flow: &Flow| flow.canonical(Runtime::Left).unwrap();
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
        self.record(change, outcome, was, at, by);
        Applied { id: change.id(), outcome, version }
    }

    fn record(&mut self, change: &Change, outcome: Outcome, was: Option<Stored<Flow>>, at: DateTime<Utc>, by: &Author) {
        let number = number(change.id());
        let document = change.flow().or(was.as_ref().map(|was| &was.item)).map(canonical);
        let operation = match (outcome, change) {
            (Outcome::Deleted, _) => Operation::Delete,
            (Outcome::Created | Outcome::Replaced, Change::Restore(..)) => Operation::Restore,
            (Outcome::Created, _) => Operation::Create,
            (Outcome::Replaced, _) => Operation::Update,
            (Outcome::Unchanged, _) if document != was.map(|was| canonical(&was.item)) => Operation::State,
            (Outcome::Unchanged | Outcome::Absent, _) => return,
        };
        let (revision, document) = (self.last(number), document.expect("the flow is there, or was"));
        self.changes.push(Made { number, operation, revision, at, author: by.clone(), document });
    }

    /// The last deletions of the flows that are gone: when, and which.
    pub(super) fn deleted(&self) -> Vec<(u32, u64, DateTime<Utc>)> {
        let gone = self.gone.iter().map(|(&number, revision)| {
            let deletion = self.revisions(number).next_back();
            (number, revision.number(), deletion.map_or(time(0), |deletion| deletion.at))
        });
        let mut gone: Vec<_> = gone.collect();
        gone.sort_by_key(|&(number, _, at)| (Reverse(at), number));
        gone
    }

    pub(super) fn list(&self, wanted: &Wanted) -> Vec<(u32, Version)> {
        let mut found: Vec<&Stored<Flow>> = self.flows.values().filter(|stored| passes(stored, wanted)).collect();
        found.sort_by(|a, b| compare(SORTS[wanted.sort], a, b));
        found.iter().map(|stored| (number(stored.item.id()), stored.version.clone())).collect()
    }
}
