//! Random operations against a model that is simple enough to be believed.

mod expected;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use strom::repository::{
    Applied, Author, Change, Containment, FeedCursor, Filter, ListQuery, NamePart, Operation, Precondition, Record,
    RepositoryError, Revision, Since, Stamp, Stored, Version, ViolationKind,
};
use strom::testkit::feed::{end, read_until};
use strom::testkit::lists::{SORTS, compare, sort};
use strom::testkit::samples::{canonical, change_all, flow_with, id, moment, number, stamp, time};
use strom::{Flow, FlowRepository, GstState};

use crate::support::{json, postgres};
use expected::{Answer, Made, Model};

const IDS: u32 = 6;
const NAMES: [&str; 5] = ["a", "B", "ä b", "a%", "A_b"];
const STATES: [&str; 3] = ["null", "\"Playing\"", "\"Paused\""];

#[derive(Debug, Clone)]
enum Step {
    Apply {
        changes: Vec<Asked>,
        at: i64,
    },
    /// To so many revisions before the last one.
    Restore {
        number: u32,
        back: u64,
        condition: Condition,
        at: i64,
    },
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
    let asked = (0..IDS, put, condition).prop_map(|(number, put, condition)| Asked { number, put, condition });
    let apply = (vec(asked, 0..4), 0..4_i64).prop_map(|(changes, at)| Step::Apply { changes, at });
    let wanted = (any::<bool>(), of(any::<bool>()), of(0..5_usize), of(0..4_u32), 0..SORTS.len(), of(1..4_u32));
    let list = wanted.prop_map(|(playing, auto_restart, name, edit, sort, limit)| {
        Step::List(Wanted { playing, auto_restart, name, edit, sort, limit })
    });
    prop_oneof![3 => apply, 1 => restore, 1 => list]
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
fn answer(applied: Result<Vec<Applied>, RepositoryError>) -> Answer {
    match applied {
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
    Model { gone: revisions.collect(), ..Model::default() }
}

async fn run(repository: &dyn FlowRepository, steps: &[Step]) {
    let mut model = emptied(repository).await;
    let first = model.gone.clone();
    let begin = end(repository).await;
    for (place, step) in steps.iter().enumerate() {
        let author = Author::new(&format!("step {place}"));
        match step {
            Step::Apply { changes, at } => {
                let changes: Vec<Change> = changes.iter().map(|asked| model.change(asked)).collect();
                let expected = model.apply(&changes, time(*at), &author);
                let applied = repository.apply(changes, Stamp::new(time(*at), author)).await;
                assert_eq!(answer(applied), expected, "{step:?}");
                compare_moment(repository, &model, step).await;
            }
            Step::Restore { number, back, condition, at } => {
                let last = model.last(*number);
                let (revision, condition) = (Revision::new(last.saturating_sub(*back)), condition.at(last));
                let stamp = Stamp::new(time(*at), author.clone());
                // Made before the beginning, which the model does not know.
                let Some(flow) = model.flow_at(*number, revision) else { continue };
                let expected = model.apply(&[Change::Restore(flow, condition)], time(*at), &author);
                let restored = repository.restore(id(*number), revision, condition, stamp).await;
                let restored = restored.map(|applied| vec![applied.expect("the revision is there")]);
                assert_eq!(answer(restored), expected, "{step:?}");
                compare_moment(repository, &model, step).await;
            }
            Step::List(wanted) => assert_eq!(list(repository, wanted).await, model.list(wanted), "{wanted:?}"),
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

/// Each revision since the beginning is in the history with its document, and those that are gone are listed.
async fn compare_histories(repository: &dyn FlowRepository, model: &Model, first: &BTreeMap<u32, Revision>) {
    for flow in 0..IDS {
        let mut found = Vec::new();
        for record in repository.history(id(flow), None, 1_000).await.unwrap() {
            if record.revision > first[&flow] {
                let read = repository.revision(id(flow), record.revision).await.unwrap().unwrap();
                assert_eq!(read.item.head(), &record.item);
                found.push(Made::of(&read));
            }
        }
        assert_eq!(found, model.revisions(flow).rev().cloned().collect::<Vec<_>>());
    }
    let deleted = repository.deleted().await.unwrap();
    let deleted = deleted.iter().map(|gone| (number(gone.item.id), gone.revision.number(), gone.at));
    assert_eq!(deleted.collect::<Vec<_>>(), model.deleted());
}

/// The feed since the beginning has every change, and of the reports at least those that are the last of their flow.
async fn compare_feed(
    repository: &dyn FlowRepository,
    model: &Model,
    first: &BTreeMap<u32, Revision>,
    begin: FeedCursor,
) {
    let expected = without_past_reports(&model.changes);
    let mut missing = expected.clone();
    let mut found = Vec::new();
    if !missing.is_empty() {
        let is_last = |record: &Record<Flow>| {
            let made = Made::of(record);
            missing.retain(|expected| *expected != made);
            missing.is_empty()
        };
        let records = read_until(repository, Since::After(begin), 3, is_last).await;
        let since = |record: &&Record<Flow>| {
            let first = first[&number(record.item.id())];
            record.revision > first && record.author.as_str().starts_with("step")
        };
        found = records.iter().filter(since).map(Made::of).collect();
    }
    // Within one call there is no order; `sort_by_key` keeps that of the calls.
    let mut found = without_past_reports(&found);
    let mut place = 0;
    while place < found.len() {
        let call = found[place..].iter().take_while(|made| made.author == found[place].author).count();
        found[place..place + call].sort_by_key(|made| made.number);
        place += call;
    }
    let mut expected = expected;
    expected.sort_by_key(|made| (step_of(made), made.number));
    assert_eq!(found, expected);
}

fn step_of(made: &Made) -> usize {
    made.author.as_str().trim_start_matches("step ").parse().unwrap()
}

fn without_past_reports(changes: &[Made]) -> Vec<Made> {
    let is_last = |place: usize| changes[place + 1..].iter().all(|later| later.number != changes[place].number);
    let kept = |place: &usize| changes[*place].operation != Operation::State || is_last(*place);
    (0..changes.len()).filter(kept).map(|place| changes[place].clone()).collect()
}

/// Runs so many random lists of operations against one repository, which nobody else uses.
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
    agrees_with_the_model(&runtime, opened.clone(), 32);
}

#[test]
fn json_agrees_with_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let opened = runtime.block_on(json::open());
    agrees_with_the_model(&runtime, opened.clone(), 64);
}
