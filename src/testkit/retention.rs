//! Of what was, as much is kept as was asked for: no less, and nothing that is.
//!
//! Each function takes an empty repository that keeps as much as [`ASKED`], and a way to have it let go of the rest at once.
//! [`retention_tests!`](crate::retention_tests) makes a test of each.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::feed::{read_until, told};
use super::history::history;
use super::samples::{
    canonical, change, change_all, create_all, flow, flow_with, found, id, moment, number, revision, stored, time,
};
use crate::flow::Flow;
use crate::repository::{
    Author, Change, FlowRepository, Operation, Outcome, Precondition, Record, RepositoryError, Retention, Revision,
    Since, Stamp,
};

use Operation::{Create, Delete, Restore, State, Update};

/// What the repository is to keep.
pub const ASKED: Retention = Retention { revisions: 3, age: TimeDelta::days(10) };

/// The flow by which days pass: where nothing changes there is no time.
const CALENDAR: u32 = 3_000_000;

fn day(days: i64) -> Stamp {
    Stamp::new(time(0) + TimeDelta::days(days), Author::new("tester"))
}

/// Turns the calendar to a day that it has not had, and waits until the feed shows it: what it has not shown stays.
async fn pass_to(repository: &dyn FlowRepository, days: i64) {
    feed_until(repository, Since::Oldest, days).await;
}

/// An edit of the flow of this number on each of these days.
async fn edit(repository: &dyn FlowRepository, number: u32, days: impl IntoIterator<Item = i64>) {
    for on in days {
        let edit = flow_with(number, "edited", &format!(r#""day":{on}"#));
        change(repository, Change::Put(edit, Precondition::Any), day(on)).await;
    }
}

/// The revisions of the flow of this number that are kept, the newest first.
async fn kept(repository: &dyn FlowRepository, number: u32) -> Vec<u64> {
    history(repository, number).await.iter().map(|record| record.revision.number()).collect()
}

/// All that the feed has before the calendar is turned to this day.
async fn feed_until(repository: &dyn FlowRepository, since: Since, days: i64) -> Vec<Record<Flow>> {
    let date = flow_with(CALENDAR, "calendar", &format!(r#""day":{days}"#));
    let turned = change(repository, Change::Put(date, Precondition::Any), day(days)).await;
    let turned = turned.version.expect("a flow has a version").revision;
    let is_last = |record: &Record<Flow>| number(record.item.id()) == CALENDAR && record.revision == turned;
    let mut records = read_until(repository, since, 3, is_last).await;
    records.retain(|record| number(record.item.id()) != CALENDAR);
    records
}

/// A revision goes when it is neither among the last nor young; what flows are stays as it is.
pub async fn the_last_and_the_young_revisions_stay(repository: Arc<dyn FlowRepository>, let_go: impl AsyncFn()) {
    edit(&*repository, 1, 0..20).await;
    edit(&*repository, 2, [0]).await;
    edit(&*repository, 3, [0, 1, 2, 3, 4]).await;
    edit(&*repository, 4, [0, 1, 2, 3, 19]).await;
    pass_to(&*repository, 20).await;
    let before = moment(&*repository).await;
    // The second time there is nothing left to do.
    for _ in 0..2 {
        let_go().await;
        assert_eq!(kept(&*repository, 1).await, (11..=20).rev().collect::<Vec<_>>(), "those of the days from 10 on");
        assert_eq!(kept(&*repository, 2).await, [1], "what a flow is now never goes");
        assert_eq!(kept(&*repository, 3).await, [5, 4, 3], "the last ones, however old");
        assert_eq!(kept(&*repository, 4).await, [5, 4, 3]);
        assert_eq!(moment(&*repository).await, before);
    }
    assert!(revision(&*repository, 1, 10).await.is_none());
    let eleventh = revision(&*repository, 1, 11).await.expect("it is kept");
    assert_eq!(canonical(&eleventh.item), canonical(&flow_with(1, "edited", r#""day":10"#)));
}

/// All of a flow that was deleted goes when its deletion is old, and not before; its revisions go on when it comes back.
pub async fn deleted_flows_go_when_their_deletion_is_old(repository: Arc<dyn FlowRepository>, let_go: impl AsyncFn()) {
    for number in 1..=4 {
        edit(&*repository, number, [0, 1]).await;
    }
    change(&*repository, Change::delete(id(1)), day(2)).await;
    change(&*repository, Change::delete(id(2)), day(15)).await;
    change(&*repository, Change::delete(id(3)), day(2)).await;
    change(&*repository, Change::create(flow(3, "back")), day(3)).await;
    pass_to(&*repository, 20).await;
    let_go().await;
    assert_eq!(kept(&*repository, 1).await, [0; 0], "it was deleted long ago");
    assert_eq!(kept(&*repository, 2).await, [3, 2, 1], "not long ago");
    assert_eq!(kept(&*repository, 3).await, [4, 3, 2], "it is there");
    assert_eq!(kept(&*repository, 4).await, [2, 1], "it was never gone");
    let deleted = repository.deleted().await.expect("deleted works");
    assert_eq!(deleted.iter().map(|record| number(record.item.id)).collect::<Vec<_>>(), [2]);
    for old in 1..=3 {
        assert!(revision(&*repository, 1, old).await.is_none());
    }
    let back = change(&*repository, Change::create(flow(1, "back")), day(21)).await;
    assert_eq!(
        (back.outcome, back.version.map(|version| version.revision)),
        (Outcome::Created, Some(Revision::new(4)))
    );
    let records = history(&*repository, 1).await;
    assert_eq!(super::history::told(&records), [(Create, 4)]);
}

/// A report goes when its flow has changed again, however young it is, and whoever stands before it misses nothing.
pub async fn reports_go_when_their_flow_has_changed_again(repository: Arc<dyn FlowRepository>, let_go: impl AsyncFn()) {
    let report = |number, state: &str| Change::replace(flow_with(number, "a", &format!(r#""gst_state":"{state}""#)));
    create_all(&*repository, (1..=3).map(|number| flow(number, "a"))).await;
    let begin = repository.change_summaries(Since::Oldest, 1).await.expect("changes work").next;
    let begin = feed_until(&*repository, Since::After(begin), 0).await.last().expect("three flows").cursor;
    for number in 1..=3 {
        change_all(&*repository, vec![report(number, "Ready")], day(0)).await;
        change_all(&*repository, vec![report(number, "Playing")], day(0)).await;
    }
    change(&*repository, Change::replace(flow_with(1, "b", r#""gst_state":"Playing""#)), day(0)).await;
    change(&*repository, Change::replace(flow_with(1, "b", r#""gst_state":"Paused""#)), day(0)).await;
    change(&*repository, Change::delete(id(3)), day(0)).await;
    let all = feed_until(&*repository, Since::After(begin), 1).await;
    let before = moment(&*repository).await;
    let_go().await;
    assert_eq!(moment(&*repository).await, before);
    let expected = [(1, Update, 2), (1, State, 2), (2, State, 1), (3, Delete, 2)];
    let mut found = told(&feed_until(&*repository, Since::After(begin), 2).await);
    found.sort_unstable_by_key(|(flow, operation, _)| (*flow, *operation == State));
    assert_eq!(found, expected);
    for record in all {
        let asking = repository.change_summaries(Since::After(record.cursor), 10);
        asking.await.unwrap_or_else(|error| panic!("nothing is missed behind {:?}: {error}", record.operation));
    }
}

/// Whoever stands before a revision that has gone is told so; the feed begins behind it and has no gaps.
pub async fn who_stands_before_what_has_gone_is_told_so(repository: Arc<dyn FlowRepository>, let_go: impl AsyncFn()) {
    edit(&*repository, 1, 0..6).await;
    let all = feed_until(&*repository, Since::Oldest, 30).await;
    assert_eq!(
        told(&all),
        [(1, Create, 1), (1, Update, 2), (1, Update, 3), (1, Update, 4), (1, Update, 5), (1, Update, 6)]
    );
    let_go().await;
    for record in &all {
        let since = Since::After(record.cursor);
        let documents = repository.changes(since, 10).await;
        let summaries = repository.change_summaries(since, 10).await;
        if record.revision < Revision::new(3) {
            assert!(matches!(documents, Err(RepositoryError::Gone)), "{documents:?}");
            assert!(matches!(summaries, Err(RepositoryError::Gone)), "{summaries:?}");
            let waiting = tokio::time::timeout(Duration::from_secs(60), repository.changed(record.cursor));
            waiting.await.expect("who waits there is told by asking again");
        } else {
            let next = documents.expect("nothing behind it has gone").changes.into_iter().next().expect("the calendar");
            assert_eq!(summaries.expect("nothing behind it has gone").changes[0].cursor, next.cursor);
            let follows = all.iter().find(|other| other.cursor > record.cursor);
            assert!(follows.is_none_or(|follows| follows.cursor == next.cursor), "one behind the other");
        }
    }
    let rest = feed_until(&*repository, Since::Oldest, 31).await;
    assert_eq!(told(&rest), [(1, Update, 4), (1, Update, 5), (1, Update, 6)]);
}

/// What is kept can be restored, and what has gone cannot; revisions go on in either case.
pub async fn what_is_kept_can_be_restored(repository: Arc<dyn FlowRepository>, let_go: impl AsyncFn()) {
    for number in [1, 2] {
        edit(&*repository, number, 0..6).await;
    }
    change(&*repository, Change::delete(id(2)), day(25)).await;
    pass_to(&*repository, 30).await;
    let_go().await;
    let restore = async |number, to| {
        let restoring = repository.restore(id(number), Revision::new(to), Precondition::Any, day(31));
        restoring.await.expect("nothing fails").map(|applied| (applied.outcome, applied.version.map(|v| v.revision)))
    };
    assert_eq!(restore(1, 3).await, None, "it has gone");
    assert_eq!(restore(1, 4).await, Some((Outcome::Replaced, Some(Revision::new(7)))));
    assert_eq!(canonical(&stored(&*repository, 1).await.item), canonical(&flow_with(1, "edited", r#""day":3"#)));
    assert_eq!(restore(2, 4).await, None);
    assert!(found(&*repository, 2).await.is_none());
    assert_eq!(restore(2, 7).await, Some((Outcome::Created, Some(Revision::new(8)))));
    assert_eq!(canonical(&stored(&*repository, 2).await.item), canonical(&flow_with(2, "edited", r#""day":5"#)));
    let_go().await;
    let restored = |revision| [(Restore, revision)];
    assert_eq!(super::history::told(&history(&*repository, 1).await)[..1], restored(7));
    assert_eq!(super::history::told(&history(&*repository, 2).await)[..1], restored(8));
    assert_eq!((kept(&*repository, 1).await, kept(&*repository, 2).await), (vec![7, 6, 5], vec![8, 7, 6]));
}

/// Age is counted back from the last change: one by a clock that was far ahead lets nothing go once there is another.
pub async fn age_is_counted_back_from_the_last_change(repository: Arc<dyn FlowRepository>, let_go: impl AsyncFn()) {
    edit(&*repository, 1, 0..6).await;
    pass_to(&*repository, 1_000_000).await;
    pass_to(&*repository, 10).await;
    let_go().await;
    assert_eq!(kept(&*repository, 1).await, [6, 5, 4, 3, 2, 1]);
    pass_to(&*repository, 12).await;
    let_go().await;
    assert_eq!(kept(&*repository, 1).await, [6, 5, 4, 3]);
}

/// A `#[tokio::test]` for each promise about what is kept.
///
/// The argument is called with [`ASKED`](crate::testkit::retention::ASKED) and awaited. It gives a pair: an `Arc` of an empty
/// repository with a method `apply_retention`, which is awaited, and what the repository needs to be kept alive.
#[macro_export]
macro_rules! retention_tests {
    ($open:expr) => {
        $crate::retention_tests! { @each $open;
            the_last_and_the_young_revisions_stay,
            deleted_flows_go_when_their_deletion_is_old,
            reports_go_when_their_flow_has_changed_again,
            who_stands_before_what_has_gone_is_told_so,
            what_is_kept_can_be_restored,
            age_is_counted_back_from_the_last_change,
        }
    };
    (@each $open:expr; $($promise:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let (repository, _place) = $open($crate::testkit::retention::ASKED).await;
                let let_go = async || repository.apply_retention().await.expect("it lets go");
                $crate::testkit::retention::$promise(repository.clone(), let_go).await;
            }
        )*
    };
}
