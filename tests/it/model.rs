//! Random operations against a model that is simple enough to be believed.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use strom::flow::Runtime;
use strom::repository::{
    Applied, Author, Change, Containment, Filter, ListQuery, NamePart, Outcome, Precondition, RepositoryError,
    Revision, Stored, Version, ViolationKind,
};
use strom::testkit::lists::{SORTS, compare, sort};
use strom::testkit::samples::{canonical, change_all, flow_with, id, moment, number, stamp, time};
use strom::{Flow, FlowRepository, GstState};

use crate::support::{json, postgres};

const IDS: u32 = 6;
const NAMES: [&str; 5] = ["a", "B", "ä b", "a%", "A_b"];
const STATES: [&str; 3] = ["null", "\"Playing\"", "\"Paused\""];

#[derive(Debug, Clone)]
enum Operation {
    Apply { changes: Vec<Asked>, at: i64 },
    List(Wanted),
}

#[derive(Debug, Clone)]
struct Asked {
    number: u32,
    /// Name, content, state; `None` deletes.
    put: Option<(usize, u32, usize)>,
    condition: Condition,
}

#[derive(Debug, Clone, Copy)]
enum Condition {
    Any,
    Absent,
    Present,
    /// At the last known revision plus this.
    At(u64),
}

#[derive(Debug, Clone)]
struct Wanted {
    /// Only those that play.
    playing: bool,
    auto_restart: Option<bool>,
    name: Option<usize>,
    edit: Option<u32>,
    sort: usize,
    limit: Option<u32>,
}

fn operation() -> impl Strategy<Value = Operation> {
    let condition = prop_oneof![
        4 => Just(Condition::Any),
        1 => Just(Condition::Absent),
        1 => Just(Condition::Present),
        3 => (0..2_u64).prop_map(Condition::At),
    ];
    let put = prop::option::weighted(0.75, (0..NAMES.len(), 0..4_u32, 0..STATES.len()));
    let asked = (0..IDS, put, condition).prop_map(|(number, put, condition)| Asked { number, put, condition });
    let apply = (vec(asked, 0..4), 0..4_i64).prop_map(|(changes, at)| Operation::Apply { changes, at });
    let wanted = (any::<bool>(), of(any::<bool>()), of(0..5_usize), of(0..4_u32), 0..SORTS.len(), of(1..4_u32));
    let list = wanted.prop_map(|(playing, auto_restart, name, edit, sort, limit)| {
        Operation::List(Wanted { playing, auto_restart, name, edit, sort, limit })
    });
    prop_oneof![3 => apply, 1 => list]
}

/// Flows that are there, and the last revision of those that are gone.
#[derive(Debug, Default)]
struct Model {
    flows: BTreeMap<u32, Stored<Flow>>,
    gone: BTreeMap<u32, Revision>,
}

/// What a call comes to, as far as it can be compared.
#[derive(Debug, PartialEq)]
enum Answer {
    Applied(Vec<Applied>),
    Repeated(u32),
    /// Place, id, and what is the case.
    Conflict(Vec<(usize, u32, &'static str, Option<Version>)>),
}

impl Model {
    fn change(&self, asked: &Asked) -> Change {
        let last = self.flows.get(&asked.number).map(|stored| stored.version.revision);
        let last = last.or_else(|| self.gone.get(&asked.number).copied()).map_or(1, Revision::number);
        let condition = match asked.condition {
            Condition::Any => Precondition::Any,
            Condition::Absent => Precondition::Absent,
            Condition::Present => Precondition::Present,
            Condition::At(more) => Precondition::At(Revision::new(last + more)),
        };
        let Some((name, edit, state)) = asked.put else { return Change::Delete(id(asked.number), condition) };
        let (state, auto_restart) = (STATES[state], edit % 2 == 0);
        let members = format!(r#""edit":{edit},"gst_state":{state},"properties":{{"auto_restart":{auto_restart}}}"#);
        Change::Put(flow_with(asked.number, NAMES[name], &members), condition)
    }

    fn apply(&mut self, changes: &[Change], at: i64) -> Answer {
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
        Answer::Applied(changes.iter().map(|change| self.make(change, at)).collect())
    }

    fn make(&mut self, change: &Change, at: i64) -> Applied {
        let number = number(change.id());
        let author = Author::new("tester");
        let before = self.flows.remove(&number);
        let (outcome, version) = match (change, before) {
            (Change::Delete(..), None) => (Outcome::Absent, None),
            (Change::Delete(..), Some(Stored { version, .. })) => {
                let revision = version.revision.next();
                self.gone.insert(number, revision);
                (Outcome::Deleted, Some(Version { revision, updated_at: time(at), author, ..version }))
            }
            (Change::Put(..) | Change::Restore(..), None) => {
                let revision = self.gone.remove(&number).map_or(Revision::FIRST, Revision::next);
                (Outcome::Created, Some(Version { revision, created_at: time(at), updated_at: time(at), author }))
            }
            (Change::Put(flow, _) | Change::Restore(flow, _), Some(Stored { item, version })) => {
                let content = |flow: &Flow| flow.canonical(Runtime::Left).unwrap();
                if content(flow) == content(&item) {
                    (Outcome::Unchanged, Some(version))
                } else {
                    let revision = version.revision.next();
                    (Outcome::Replaced, Some(Version { revision, updated_at: time(at), author, ..version }))
                }
            }
        };
        if let (Some(flow), Some(version)) = (change.flow(), &version) {
            self.flows.insert(number, Stored { item: flow.clone(), version: version.clone() });
        }
        Applied { id: change.id(), outcome, version }
    }

    fn list(&self, wanted: &Wanted) -> Vec<(u32, Version)> {
        let mut found: Vec<&Stored<Flow>> = self.flows.values().filter(|stored| passes(stored, wanted)).collect();
        found.sort_by(|a, b| compare(SORTS[wanted.sort], a, b));
        found.iter().map(|stored| (number(stored.item.id()), stored.version.clone())).collect()
    }
}

fn passes(stored: &Stored<Flow>, wanted: &Wanted) -> bool {
    let head = stored.item.head();
    let edit = |edit| stored.item.document().get().contains(&format!("\"edit\":{edit},"));
    (!wanted.playing || head.state == GstState::Playing)
        && wanted.auto_restart.is_none_or(|auto_restart| head.auto_restart == auto_restart)
        && wanted.name.is_none_or(|name| head.name.to_lowercase().contains(&NAMES[name].to_lowercase()))
        && wanted.edit.is_none_or(edit)
}

fn query(wanted: &Wanted) -> ListQuery {
    let containment = |edit| Containment::parse(&format!(r#"{{"edit":{edit}.0}}"#)).unwrap();
    let filter = Filter {
        state: wanted.playing.then_some(GstState::Playing),
        auto_restart: wanted.auto_restart,
        name: wanted.name.map(|name| NamePart::parse(&NAMES[name].to_uppercase()).unwrap()),
        contains: wanted.edit.map(containment),
    };
    ListQuery { filter, sort: sort(SORTS[wanted.sort]), limit: wanted.limit, after: None, count: true }
}

/// What the repository makes of the changes.
async fn ask(repository: &dyn FlowRepository, changes: Vec<Change>, at: i64) -> Answer {
    match repository.apply(changes, stamp(at)).await {
        Ok(applied) => Answer::Applied(applied),
        Err(RepositoryError::RepeatedId(repeated)) => Answer::Repeated(number(repeated)),
        Err(RepositoryError::Conflict(violations)) => {
            let violations = violations.into_iter().map(|violation| {
                let (what, current) = match violation.kind {
                    ViolationKind::AlreadyExists => ("exists", None),
                    ViolationKind::NotFound => ("missing", None),
                    ViolationKind::Stale { current, .. } => ("stale", Some(current.version)),
                };
                (violation.index, number(violation.id), what, current)
            });
            Answer::Conflict(violations.collect())
        }
        Err(error) => panic!("the storage failed: {error:?}"),
    }
}

/// The list that all pages make up; each page says the same total.
async fn list(repository: &dyn FlowRepository, wanted: &Wanted) -> Vec<(u32, Version)> {
    let mut query = query(wanted);
    let mut found = Vec::new();
    let mut total = None;
    loop {
        let page = repository.summaries(&query).await.unwrap();
        assert_eq!(page.total, *total.get_or_insert(page.total), "every page counts the same");
        found.extend(page.items.into_iter().map(|stored| (number(stored.item.id), stored.version)));
        query.after = page.next;
        if query.after.is_none() {
            assert_eq!(total, Some(Some(found.len() as u64)));
            return found;
        }
    }
}

/// A model of the repository, which is emptied, whatever an earlier case has left in it: only the revisions go on.
async fn emptied(repository: &dyn FlowRepository) -> Model {
    let everything = |change: fn(u32) -> Change| (0..IDS).map(change).collect::<Vec<_>>();
    let put = everything(|number| Change::Put(flow_with(number, "to be deleted", ""), Precondition::Any));
    change_all(repository, put, stamp(0)).await;
    let deleted = change_all(repository, everything(|number| Change::delete(id(number))), stamp(0)).await;
    let revisions = deleted.into_iter().map(|gone| (number(gone.id), gone.version.unwrap().revision));
    Model { flows: BTreeMap::new(), gone: revisions.collect() }
}

async fn run(repository: &dyn FlowRepository, operations: &[Operation]) {
    let mut model = emptied(repository).await;
    for operation in operations {
        match operation {
            Operation::Apply { changes, at } => {
                let changes: Vec<Change> = changes.iter().map(|asked| model.change(asked)).collect();
                let expected = model.apply(&changes, *at);
                assert_eq!(ask(repository, changes, *at).await, expected, "{operation:?}");
                let mut expected: Vec<_> = model.flows.values().collect();
                expected.sort_by(|a, b| compare("name", a, b));
                let expected: Vec<_> =
                    expected.iter().map(|stored| (canonical(&stored.item), stored.version.clone())).collect();
                assert_eq!(moment(repository).await, expected, "after {operation:?}");
            }
            Operation::List(wanted) => assert_eq!(list(repository, wanted).await, model.list(wanted), "{wanted:?}"),
        }
    }
}

/// Runs so many random lists of operations against one repository, which nobody else uses.
pub(crate) fn agrees_with_the_model(
    runtime: &tokio::runtime::Runtime,
    repository: Arc<dyn FlowRepository>,
    cases: u32,
) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&vec(operation(), 1..25), |operations| {
        runtime.block_on(run(&*repository, &operations));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn postgres_agrees_with_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let opened = runtime.block_on(postgres::open());
    agrees_with_the_model(&runtime, opened.clone(), 32);
}

#[test]
fn json_agrees_with_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let opened = runtime.block_on(json::open());
    agrees_with_the_model(&runtime, opened.clone(), 64);
}
