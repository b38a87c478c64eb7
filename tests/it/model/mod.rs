//! Random operations compared with a simple model.

mod expected;

use std::collections::BTreeMap;
use std::sync::Arc;
use strom_store::repository::FlowRepositoryExt as _;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use strom_store::internals::feed::{end, read_until};
use strom_store::internals::orders::{SORTS, compare, sort};
use strom_store::internals::samples::{canonical, change_all, flow_with, id, moment, number, stamp, time};
use strom_store::repository::{
    Applied, Author, Change, Containment, FeedCursor, Filter, ListQuery, NamePart, Operation, Precondition, Record,
    RepositoryError, Revision, Since, Stamp, Stored, Version, ViolationKind,
};
use strom_store::{Flow, FlowRepository, GstState};

use expected::{CallResult, Model, Recorded};
use strom_test_support::{json, postgres};

const IDS: u32 = 6;
const NAMES: [&str; 5] = ["a", "B", "ä b", "a%", "A_b"];
const STATES: [&str; 3] = ["null", "\"Playing\"", "\"Paused\""];

#[derive(Debug, Clone)]
enum Step {
    Apply {
        changes: Vec<Request>,
        at: i64,
    },
    /// Restores the revision that is `back` revisions before the last one.
    Restore {
        number: u32,
        back: u64,
        condition: Condition,
        at: i64,
    },
    List(ListRequest),
}

#[derive(Debug, Clone)]
struct Request {
    number: u32,
    /// Indexes of name and state, and the content. `None` deletes.
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
struct ListRequest {
    /// Only flows that play.
    playing: bool,
    auto_restart: Option<bool>,
    name: Option<usize>,
    edit: Option<u32>,
    sort: usize,
    limit: Option<u32>,
}

fn step() -> impl Strategy<Value = Step> {
    let condition = prop_oneof![
        4 => Just(Condition::Any),
        1 => Just(Condition::Absent),
        1 => Just(Condition::Present),
        3 => (0..2_u64).prop_map(Condition::At),
    ];
    let put = prop::option::weighted(0.75, (0..NAMES.len(), 0..4_u32, 0..STATES.len()));
    let restore = (0..IDS, 0..5_u64, condition.clone(), 0..4_i64);
    let restore = restore.prop_map(|(number, back, condition, at)| Step::Restore { number, back, condition, at });
    let request = (0..IDS, put, condition).prop_map(|(number, put, condition)| Request { number, put, condition });
    let apply = (vec(request, 0..4), 0..4_i64).prop_map(|(changes, at)| Step::Apply { changes, at });
    let request = (any::<bool>(), of(any::<bool>()), of(0..5_usize), of(0..4_u32), 0..SORTS.len(), of(1..4_u32));
    let list = request.prop_map(|(playing, auto_restart, name, edit, sort, limit)| {
        Step::List(ListRequest { playing, auto_restart, name, edit, sort, limit })
    });
    prop_oneof![3 => apply, 1 => restore, 1 => list]
}

fn passes(stored: &Stored<Flow>, request: &ListRequest) -> bool {
    let head = stored.item.head();
    let edit = |edit| stored.item.document().get().contains(&format!("\"edit\":{edit},"));
    (!request.playing || head.state == GstState::Playing)
        && request.auto_restart.is_none_or(|auto_restart| head.auto_restart == auto_restart)
        && request.name.is_none_or(|name| head.name.to_lowercase().contains(&NAMES[name].to_lowercase()))
        && request.edit.is_none_or(edit)
}

fn query(request: &ListRequest) -> ListQuery {
    let containment = |edit| Containment::parse(&format!(r#"{{"edit":{edit}.0}}"#)).unwrap();
    let filter = Filter {
        state: request.playing.then_some(GstState::Playing),
        auto_restart: request.auto_restart,
        name: request.name.map(|name| NamePart::parse(&NAMES[name].to_uppercase()).unwrap()),
        contains: request.edit.map(containment),
    };
    ListQuery { filter, sort: sort(SORTS[request.sort]), limit: request.limit, after: None, count: true }
}

/// Converts the result of the repository.
fn call_result(applied: Result<Vec<Applied>, RepositoryError>) -> CallResult {
    match applied {
        Ok(applied) => CallResult::Applied(applied),
        Err(RepositoryError::RepeatedId(repeated)) => CallResult::Repeated(number(repeated)),
        Err(RepositoryError::Conflict(violations)) => {
            let violations = violations.into_iter().map(|violation| {
                let (kind, version) = match violation.kind {
                    ViolationKind::AlreadyExists => ("exists", None),
                    ViolationKind::NotFound => ("missing", None),
                    ViolationKind::Stale { current, .. } => ("stale", Some(current.version)),
                };
                (violation.index, number(violation.id), kind, version)
            });
            CallResult::Conflict(violations.collect())
        }
        Err(error) => panic!("the storage failed: {error:?}"),
    }
}

/// Returns the list of all pages. Every page must have the same total.
async fn list(repository: &dyn FlowRepository, request: &ListRequest) -> Vec<(u32, Version)> {
    let mut query = query(request);
    let mut found = Vec::new();
    let mut total = None;
    loop {
        let page = repository.summaries(&query).await.unwrap();
        assert_eq!(page.total, *total.get_or_insert(page.total), "every page has the same total");
        found.extend(page.items.into_iter().map(|stored| (number(stored.item.id), stored.version)));
        query.after = page.next;
        if query.after.is_none() {
            assert_eq!(total, Some(Some(found.len() as u64)));
            return found;
        }
    }
}

/// Deletes all flows of an earlier case. Returns a model with the revisions of the deleted flows, which continue.
async fn start_empty(repository: &dyn FlowRepository) -> Model {
    let everything = |change: fn(u32) -> Change| (0..IDS).map(change).collect::<Vec<_>>();
    let put = everything(|number| Change::Put(flow_with(number, "to be deleted", ""), Precondition::Any));
    change_all(repository, put, stamp(0)).await;
    let deleted = change_all(repository, everything(|number| Change::delete(id(number))), stamp(0)).await;
    let revisions = deleted.into_iter().map(|applied| (number(applied.id), applied.version.unwrap().revision));
    Model { deleted: revisions.collect(), ..Model::default() }
}

async fn run(repository: &dyn FlowRepository, steps: &[Step]) {
    let mut model = start_empty(repository).await;
    let first = model.deleted.clone();
    let begin = end(repository).await;
    for (index, step) in steps.iter().enumerate() {
        let author = Author::new(&format!("step {index}"));
        match step {
            Step::Apply { changes, at } => {
                let changes: Vec<Change> = changes.iter().map(|request| model.change(request)).collect();
                let expected = model.apply(&changes, time(*at), &author);
                let applied = repository.apply_all(changes, Stamp::new(time(*at), author)).await;
                assert_eq!(call_result(applied), expected, "{step:?}");
                compare_moment(repository, &model, step).await;
            }
            Step::Restore { number, back, condition, at } => {
                let last = model.last(*number);
                let (revision, condition) = (Revision::new(last.saturating_sub(*back)), condition.at(last));
                let stamp = Stamp::new(time(*at), author.clone());
                // The model does not know revisions from before the start.
                let Some(flow) = model.flow_at(*number, revision) else { continue };
                let current = model.flows.get(number).map(|current| flow.with_runtime_of(&current.item).unwrap());
                let flow = current.unwrap_or(flow);
                let expected = model.apply(&[Change::Restore(flow, condition)], time(*at), &author);
                let restored = repository.restore(id(*number), revision, condition, stamp).await;
                let restored = restored.map(|applied| vec![applied.expect("the revision exists")]);
                assert_eq!(call_result(restored), expected, "{step:?}");
                compare_moment(repository, &model, step).await;
            }
            Step::List(request) => assert_eq!(list(repository, request).await, model.list(request), "{request:?}"),
        }
    }
    compare_histories(repository, &model, &first).await;
    compare_feed(repository, &model, &first, begin).await;
}

async fn compare_moment(repository: &dyn FlowRepository, model: &Model, step: &Step) {
    let mut expected: Vec<_> = model.flows.values().collect();
    expected.sort_by(|a, b| compare("name", a, b));
    let expected: Vec<_> = expected.iter().map(|stored| (canonical(&stored.item), stored.version.clone())).collect();
    assert_eq!(moment(repository).await, expected, "after {step:?}");
}

/// Checks that histories contain each revision since the start with its document, and that deleted flows are listed.
async fn compare_histories(repository: &dyn FlowRepository, model: &Model, first: &BTreeMap<u32, Revision>) {
    for flow in 0..IDS {
        let mut found = Vec::new();
        for record in repository.history(id(flow), None, 1_000).await.unwrap() {
            if record.revision > first[&flow] {
                let read = repository.revision(id(flow), record.revision).await.unwrap().unwrap();
                assert_eq!(read.item.head(), &record.item);
                found.push(Recorded::of(&read));
            }
        }
        assert_eq!(found, model.revisions(flow).rev().cloned().collect::<Vec<_>>());
    }
    let deleted = repository.deleted().await.unwrap();
    let deleted = deleted.iter().map(|record| (number(record.item.id), record.revision.number(), record.at));
    assert_eq!(deleted.collect::<Vec<_>>(), model.deleted());
}

/// Checks that the feed since the start contains every change, and at least the last report of each flow.
async fn compare_feed(
    repository: &dyn FlowRepository,
    model: &Model,
    first: &BTreeMap<u32, Revision>,
    begin: FeedCursor,
) {
    let expected = without_superseded_reports(&model.changes);
    let mut missing = expected.clone();
    let mut found = Vec::new();
    if !missing.is_empty() {
        let is_last = |record: &Record<Flow>| {
            let recorded = Recorded::of(record);
            missing.retain(|expected| *expected != recorded);
            missing.is_empty()
        };
        let records = read_until(repository, Since::After(begin), 3, is_last).await;
        let since = |record: &&Record<Flow>| {
            let first = first[&number(record.item.id())];
            record.revision > first && record.author.as_str().starts_with("step")
        };
        found = records.iter().filter(since).map(Recorded::of).collect();
    }
    // The changes of one call have no order. `sort_by_key` preserves the order of the calls.
    let mut found = without_superseded_reports(&found);
    let mut index = 0;
    while index < found.len() {
        let call = found[index..].iter().take_while(|recorded| recorded.author == found[index].author).count();
        found[index..index + call].sort_by_key(|recorded| recorded.number);
        index += call;
    }
    let mut expected = expected;
    expected.sort_by_key(|recorded| (step_of(recorded), recorded.number));
    assert_eq!(found, expected);
}

fn step_of(recorded: &Recorded) -> usize {
    recorded.author.as_str().trim_start_matches("step ").parse().unwrap()
}

fn without_superseded_reports(changes: &[Recorded]) -> Vec<Recorded> {
    let is_last = |index: usize| changes[index + 1..].iter().all(|later| later.number != changes[index].number);
    let is_retained = |index: &usize| changes[*index].operation != Operation::State || is_last(*index);
    (0..changes.len()).filter(is_retained).map(|index| changes[index].clone()).collect()
}

/// Returns the number of random cases: `PROPTEST_CASES` or the default.
pub(crate) fn cases(sample: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(sample)
}

/// Runs this number of random lists of operations against one repository that no other caller uses.
pub(crate) fn agrees_with_the_model(
    runtime: &tokio::runtime::Runtime,
    repository: Arc<dyn FlowRepository>,
    cases: u32,
) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&vec(step(), 1..25), |steps| {
        runtime.block_on(run(&*repository, &steps));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn postgres_agrees_with_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let opened = runtime.block_on(postgres::open());
    agrees_with_the_model(&runtime, opened.clone(), cases(16));
}

#[test]
fn json_agrees_with_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let opened = runtime.block_on(json::open());
    agrees_with_the_model(&runtime, opened.clone(), cases(64));
}
