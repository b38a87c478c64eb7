//! Random calls over memory and storage, compared with a simple model: one list of flows, each with its location.

use std::collections::BTreeMap;
use std::sync::Arc;
use strom_store::repository::FlowRepositoryExt as _;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use strom_store::ephemeral::Ephemeral;
use strom_store::flow::Runtime;
use strom_store::internals::orders::{SORTS, compare, sort};
use strom_store::internals::samples::{canonical, change_all, flow_with, id, number, stamp, time};
use strom_store::repository::{
    Applied, Change, Filter, ListQuery, NamePart, Outcome, Precondition, RepositoryError, Revision, Stored, Version,
    ViolationKind,
};
use strom_store::{Flow, FlowRepository};

const IDS: u32 = 6;
const NAMES: [&str; 3] = ["a", "B", "a b"];

#[derive(Debug, Clone)]
enum Step {
    Apply(Vec<Request>, i64),
    List { name: Option<usize>, sort: usize, limit: Option<u32> },
}

#[derive(Debug, Clone)]
struct Request {
    number: u32,
    /// Index of the name, content, whether the flow is ephemeral, and whether it plays. `None` deletes.
    put: Option<(usize, u32, bool, bool)>,
    condition: Condition,
}

#[derive(Debug, Clone, Copy)]
enum Condition {
    Any,
    Absent,
    Present,
    /// The current revision (`true`) or another one.
    At(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let condition = prop_oneof![
        5 => Just(Condition::Any),
        1 => Just(Condition::Absent),
        2 => Just(Condition::Present),
        2 => prop::bool::weighted(0.9).prop_map(Condition::At),
    ];
    let put = prop::option::weighted(0.8, (0..NAMES.len(), 0..3_u32, any::<bool>(), any::<bool>()));
    let request = (0..IDS, put, condition).prop_map(|(number, put, condition)| Request { number, put, condition });
    let list = (of(0..NAMES.len()), 0..SORTS.len(), of(1..4_u32));
    prop_oneof![
        3 => (vec(request, 0..4), 0..4_i64).prop_map(|(changes, at)| Step::Apply(changes, at)),
        1 => list.prop_map(|(name, sort, limit)| Step::List { name, sort, limit }),
    ]
}

/// The expected flows, and all revisions so far, because no revision of a flow is used twice.
#[derive(Default)]
struct Model {
    flows: BTreeMap<u32, Stored<Flow>>,
    revisions: BTreeMap<u32, Vec<Revision>>,
}

impl Model {
    fn change(&self, request: &Request) -> Change {
        let current = self.flows.get(&request.number).map(|stored| stored.version.revision);
        let condition = match request.condition {
            Condition::Any => Precondition::Any,
            Condition::Absent => Precondition::Absent,
            Condition::Present => Precondition::Present,
            Condition::At(true) => Precondition::At(current.unwrap_or(Revision::FIRST)),
            Condition::At(false) => {
                let earlier = self.revisions.get(&request.number).and_then(|revisions| revisions.first().copied());
                Precondition::At(earlier.filter(|earlier| Some(*earlier) != current).unwrap_or(Revision::new(1 << 39)))
            }
        };
        let Some((name, edit, ephemeral, plays)) = request.put else {
            return Change::Delete(id(request.number), condition);
        };
        let state = if plays { "\"Playing\"" } else { "null" };
        let members = format!(r#""edit":{edit},"gst_state":{state},"properties":{{"ephemeral":{ephemeral}}}"#);
        Change::Put(flow_with(request.number, NAMES[name], &members), condition)
    }

    fn violation(&self, change: &Change) -> Option<&'static str> {
        match (change.precondition(), self.flows.get(&number(change.id()))) {
            (Precondition::Absent, Some(_)) => Some("exists"),
            (Precondition::Present | Precondition::At(_), None) => Some("missing"),
            (Precondition::At(seen), Some(stored)) if stored.version.revision != seen => Some("stale"),
            _ => None,
        }
    }

    fn outcome(&self, change: &Change) -> Outcome {
        let content = |flow: &Flow| flow.canonical(Runtime::Exclude).unwrap();
        match (change.flow(), self.flows.get(&number(change.id()))) {
            (None, None) => Outcome::Absent,
            (None, Some(_)) => Outcome::Deleted,
            (Some(_), None) => Outcome::Created,
            (Some(flow), Some(current)) if content(flow) == content(&current.item) => Outcome::Unchanged,
            (Some(_), Some(_)) => Outcome::Replaced,
        }
    }

    /// Compares the result of a change with the model, and applies the change to the model.
    fn check_and_apply(&mut self, change: &Change, applied: &Applied, at: i64) {
        let number = number(change.id());
        assert_eq!((applied.id, applied.outcome), (change.id(), self.outcome(change)), "{change:?}");
        let before = self.flows.remove(&number);
        let Some(version) = applied.version.clone() else { return assert_eq!(applied.outcome, Outcome::Absent) };
        if applied.outcome == Outcome::Unchanged {
            assert_eq!(Some(&version), before.as_ref().map(|before| &before.version));
        } else {
            let revisions = self.revisions.entry(number).or_default();
            assert!(!revisions.contains(&version.revision), "{version:?} is used twice, after {revisions:?}");
            revisions.push(version.revision);
            assert_eq!(version.updated_at, time(at));
            let was_ephemeral = before.as_ref().map(|before| before.item.is_ephemeral());
            let is_ephemeral = change.flow().map(Flow::is_ephemeral);
            match &before {
                // The time of creation stays unless the flow moves from memory into the storage.
                Some(before)
                    if is_ephemeral.is_none() || was_ephemeral == is_ephemeral || is_ephemeral == Some(true) =>
                {
                    assert_eq!(version.created_at, before.version.created_at);
                }
                _ => assert_eq!(version.created_at, time(at)),
            }
            if let Some(before) = before.filter(|_| is_ephemeral.is_none() || was_ephemeral == is_ephemeral) {
                assert_eq!(version.revision, before.version.revision.next(), "the revision increases by one");
            }
        }
        if let Some(flow) = change.flow() {
            self.flows.insert(number, Stored { item: flow.clone(), version });
        }
    }

    /// Returns the expected flows that pass, in this order.
    fn all(&self, sort: &str, passes: impl Fn(&Stored<Flow>) -> bool) -> Vec<(String, Version)> {
        let mut all: Vec<_> = self.flows.values().filter(|stored| passes(stored)).collect();
        all.sort_by(|a, b| compare(sort, a, b));
        all.into_iter().map(shown).collect()
    }
}

fn shown(stored: &Stored<Flow>) -> (String, Version) {
    (canonical(&stored.item), stored.version.clone())
}

async fn list(repository: &dyn FlowRepository, mut query: ListQuery) -> Vec<(String, Version)> {
    let mut found = Vec::new();
    loop {
        let page = repository.list(&query).await.unwrap();
        found.extend(page.items.iter().map(shown));
        query.after = page.next;
        if query.after.is_none() {
            assert_eq!(page.total, Some(found.len() as u64));
            return found;
        }
    }
}

async fn run(store: &Arc<dyn FlowRepository>, steps: &[Step]) {
    let deletions = (0..IDS).map(|number| Change::Delete(id(number), Precondition::Any)).collect();
    change_all(&**store, deletions, stamp(0)).await;
    let both = Ephemeral::over(Arc::clone(store), time(0));
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Apply(requests, at) => {
                let changes: Vec<Change> = requests.iter().map(|request| model.change(request)).collect();
                let repeated = (0..changes.len())
                    .any(|index| changes[..index].iter().any(|earlier| earlier.id() == changes[index].id()));
                let violations: Vec<_> =
                    (0..).zip(&changes).filter_map(|(i, it)| Some((i, model.violation(it)?))).collect();
                match both.apply_all(changes.clone(), stamp(*at)).await {
                    Ok(applied) => {
                        assert!(!repeated && violations.is_empty(), "{changes:?} succeeded despite {violations:?}");
                        assert_eq!(applied.len(), changes.len());
                        changes
                            .iter()
                            .zip(&applied)
                            .for_each(|(change, applied)| model.check_and_apply(change, applied, *at));
                    }
                    Err(RepositoryError::RepeatedId(_)) => assert!(repeated, "{changes:?}"),
                    Err(RepositoryError::Conflict(found)) => {
                        let found = found.iter().map(|violation| match violation.kind {
                            ViolationKind::AlreadyExists => (violation.index, "exists"),
                            ViolationKind::NotFound => (violation.index, "missing"),
                            ViolationKind::Stale { .. } => (violation.index, "stale"),
                        });
                        assert_eq!((found.collect::<Vec<_>>(), repeated), (violations, false), "{changes:?}");
                    }
                    Err(error) => panic!("{changes:?}: {error:?}"),
                }
            }
            Step::List { name, sort: order, limit } => {
                let filter =
                    Filter { name: name.map(|name| NamePart::parse(NAMES[name]).unwrap()), ..Filter::default() };
                let query =
                    ListQuery { filter, sort: sort(SORTS[*order]), limit: *limit, count: true, ..ListQuery::default() };
                let passes = |stored: &Stored<Flow>| {
                    let folded = stored.item.head().name.to_lowercase();
                    name.is_none_or(|name| folded.contains(&NAMES[name].to_lowercase()))
                };
                assert_eq!(list(&both, query).await, model.all(SORTS[*order], passes), "{step:?}");
            }
        }
        let everything = ListQuery { count: true, ..ListQuery::default() };
        assert_eq!(list(&both, everything.clone()).await, model.all("name", |_| true), "after {step:?}");
        let is_stored = |stored: &Stored<Flow>| !stored.item.is_ephemeral();
        assert_eq!(list(&**store, everything).await, model.all("name", is_stored), "stored after {step:?}");
    }
}

fn agrees_with_the_model(runtime: &tokio::runtime::Runtime, store: &Arc<dyn FlowRepository>, cases: u32) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&vec(step(), 1..25), |steps| {
        runtime.block_on(run(store, &steps));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn memory_and_postgres_agree_with_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let opened = runtime.block_on(strom_test_support::postgres::open());
    agrees_with_the_model(&runtime, &opened, 24);
}

#[test]
fn memory_and_json_agree_with_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let opened = runtime.block_on(strom_test_support::json::open());
    agrees_with_the_model(&runtime, &opened, 96);
}
