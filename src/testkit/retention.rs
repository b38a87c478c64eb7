//! The store retains the configured revisions and nothing more.
//!
//! Each function receives an empty repository with the retention [`RETENTION`] and a function that applies it at once.
//! [`retention_tests!`](crate::retention_tests) turns each function into a test.

use crate::repository::FlowRepositoryExt as _;
use std::sync::Arc;

use chrono::TimeDelta;

use super::feed_reader::{operations, read_until};
use super::history_reader::history;
use super::samples::{
    canonical, change, change_all, create_all, flow, flow_with, found, id, moment, number, revision, stored, time,
};
use super::waiting::in_time;
use crate::flow::Flow;
use crate::repository::{
    Author, Change, FlowRepository, Operation, Outcome, Precondition, Record, RepositoryError, Retention, Revision,
    Since, Stamp,
};

use Operation::{Create, Delete, Restore, State, Update};

/// The retention of the repository.
pub const RETENTION: Retention = Retention { revisions: 3, age: TimeDelta::days(10) };

/// The flow whose edits make days pass, because age counts back from the last change.
const CALENDAR: u32 = 3_000_000;

fn day(days: i64) -> Stamp {
    Stamp::new(time(0) + TimeDelta::days(days), Author::new("tester"))
}

/// Advances to a new day and waits until the feed contains it, because changes that the feed has not shown are
/// retained.
async fn pass_to(repository: &dyn FlowRepository, days: i64) {
    feed_until(repository, Since::Oldest, days).await;
}

/// Edits the flow with this number on each of these days.
async fn edit(repository: &dyn FlowRepository, number: u32, days: impl IntoIterator<Item = i64>) {
    for on in days {
        let edit = flow_with(number, "edited", &format!(r#""day":{on}"#));
        change(repository, Change::Put(edit, Precondition::Any), day(on)).await;
    }
}

/// Returns the retained revisions of the flow with this number, the newest first.
async fn retained(repository: &dyn FlowRepository, number: u32) -> Vec<u64> {
    history(repository, number).await.iter().map(|record| record.revision.number()).collect()
}

/// Returns the feed before this day.
async fn feed_until(repository: &dyn FlowRepository, since: Since, days: i64) -> Vec<Record<Flow>> {
    let date = flow_with(CALENDAR, "calendar", &format!(r#""day":{days}"#));
    let version = change(repository, Change::Put(date, Precondition::Any), day(days)).await;
    let revision = version.version.expect("a flow has a version").revision;
    let is_last = |record: &Record<Flow>| number(record.item.id()) == CALENDAR && record.revision == revision;
    let mut records = read_until(repository, since, 3, is_last).await;
    records.retain(|record| number(record.item.id()) != CALENDAR);
    records
}

/// A revision is removed if it is neither among the last nor young. Current flows do not change.
pub async fn last_and_young_revisions_are_retained(
    repository: Arc<dyn FlowRepository>,
    apply_retention: impl AsyncFn(),
) {
    edit(&*repository, 1, 0..20).await;
    edit(&*repository, 2, [0]).await;
    edit(&*repository, 3, [0, 1, 2, 3, 4]).await;
    edit(&*repository, 4, [0, 1, 2, 3, 19]).await;
    pass_to(&*repository, 20).await;
    let before = moment(&*repository).await;
    // The second run has nothing to do.
    for _ in 0..2 {
        apply_retention().await;
        assert_eq!(
            retained(&*repository, 1).await,
            (11..=20).rev().collect::<Vec<_>>(),
            "the revisions from day 10 on"
        );
        assert_eq!(retained(&*repository, 2).await, [1], "the current revision is always retained");
        assert_eq!(retained(&*repository, 3).await, [5, 4, 3], "the last three, however old");
        assert_eq!(retained(&*repository, 4).await, [5, 4, 3]);
        assert_eq!(moment(&*repository).await, before);
    }
    assert!(revision(&*repository, 1, 10).await.is_none());
    let eleventh = revision(&*repository, 1, 11).await.expect("the revision is retained");
    assert_eq!(canonical(&eleventh.item), canonical(&flow_with(1, "edited", r#""day":10"#)));
}

/// The history of a deleted flow is removed when its deletion is old. Its revisions continue if it is created again.
pub async fn history_is_removed_when_the_deletion_is_old(
    repository: Arc<dyn FlowRepository>,
    apply_retention: impl AsyncFn(),
) {
    for number in 1..=4 {
        edit(&*repository, number, [0, 1]).await;
    }
    change(&*repository, Change::delete(id(1)), day(2)).await;
    change(&*repository, Change::delete(id(2)), day(15)).await;
    change(&*repository, Change::delete(id(3)), day(2)).await;
    change(&*repository, Change::create(flow(3, "back")), day(3)).await;
    pass_to(&*repository, 20).await;
    apply_retention().await;
    assert_eq!(retained(&*repository, 1).await, [0; 0], "the deletion is old");
    assert_eq!(retained(&*repository, 2).await, [3, 2, 1], "the deletion is young");
    assert_eq!(retained(&*repository, 3).await, [4, 3, 2], "the flow exists again");
    assert_eq!(retained(&*repository, 4).await, [2, 1], "the flow was never deleted");
    let deleted = repository.deleted().await.expect("deleted works");
    assert_eq!(deleted.iter().map(|record| number(record.item.id)).collect::<Vec<_>>(), [2]);
    for old in 1..=3 {
        assert!(revision(&*repository, 1, old).await.is_none());
    }
    let recreated = change(&*repository, Change::create(flow(1, "back")), day(21)).await;
    assert_eq!(
        (recreated.outcome, recreated.version.map(|version| version.revision)),
        (Outcome::Created, Some(Revision::new(4)))
    );
    let records = history(&*repository, 1).await;
    assert_eq!(super::history_reader::operations(&records), [(Create, 4)]);
}

/// A report is removed when its flow has changed again, regardless of its age, and readers at an earlier cursor miss
/// nothing.
pub async fn reports_are_removed_after_the_next_change(
    repository: Arc<dyn FlowRepository>,
    apply_retention: impl AsyncFn(),
) {
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
    apply_retention().await;
    assert_eq!(moment(&*repository).await, before);
    let expected = [(1, Update, 2), (1, State, 2), (2, State, 1), (3, Delete, 2)];
    let mut found = operations(&feed_until(&*repository, Since::After(begin), 2).await);
    found.sort_unstable_by_key(|(flow, operation, _)| (*flow, *operation == State));
    assert_eq!(found, expected);
    for record in all {
        let asking = repository.change_summaries(Since::After(record.cursor), 10);
        asking.await.unwrap_or_else(|error| panic!("no change is missing after {:?}: {error}", record.operation));
    }
}

/// A reader at a cursor before a removed revision receives an error. The feed starts after it and has no gaps.
pub async fn cursor_before_a_removed_revision_returns_gone(
    repository: Arc<dyn FlowRepository>,
    apply_retention: impl AsyncFn(),
) {
    edit(&*repository, 1, 0..6).await;
    let all = feed_until(&*repository, Since::Oldest, 30).await;
    assert_eq!(
        operations(&all),
        [(1, Create, 1), (1, Update, 2), (1, Update, 3), (1, Update, 4), (1, Update, 5), (1, Update, 6)]
    );
    apply_retention().await;
    for record in &all {
        let since = Since::After(record.cursor);
        let documents = repository.changes(since, 10).await;
        let summaries = repository.change_summaries(since, 10).await;
        if record.revision < Revision::new(3) {
            assert!(matches!(documents, Err(RepositoryError::Gone)), "{documents:?}");
            assert!(matches!(summaries, Err(RepositoryError::Gone)), "{summaries:?}");
            in_time("a reader before removed changes does not wait", repository.changed(record.cursor)).await;
        } else {
            let next = documents.expect("no later change is removed").changes.into_iter().next().expect("the calendar");
            assert_eq!(summaries.expect("no later change is removed").changes[0].cursor, next.cursor);
            let following = all.iter().find(|other| other.cursor > record.cursor);
            assert!(following.is_none_or(|following| following.cursor == next.cursor), "the feed has no gap");
        }
    }
    let rest = feed_until(&*repository, Since::Oldest, 31).await;
    assert_eq!(operations(&rest), [(1, Update, 4), (1, Update, 5), (1, Update, 6)]);
}

/// Retained revisions can be restored and removed ones cannot. Revisions continue in either case.
pub async fn only_retained_revisions_can_be_restored(
    repository: Arc<dyn FlowRepository>,
    apply_retention: impl AsyncFn(),
) {
    for number in [1, 2] {
        edit(&*repository, number, 0..6).await;
    }
    change(&*repository, Change::delete(id(2)), day(25)).await;
    pass_to(&*repository, 30).await;
    apply_retention().await;
    let restore = async |number, to| {
        let restoring = repository.restore(id(number), Revision::new(to), Precondition::Any, day(31));
        restoring
            .await
            .expect("the call succeeds")
            .map(|applied| (applied.outcome, applied.version.map(|v| v.revision)))
    };
    assert_eq!(restore(1, 3).await, None, "the revision is removed");
    assert_eq!(restore(1, 4).await, Some((Outcome::Replaced, Some(Revision::new(7)))));
    assert_eq!(canonical(&stored(&*repository, 1).await.item), canonical(&flow_with(1, "edited", r#""day":3"#)));
    assert_eq!(restore(2, 4).await, None);
    assert!(found(&*repository, 2).await.is_none());
    assert_eq!(restore(2, 7).await, Some((Outcome::Created, Some(Revision::new(8)))));
    assert_eq!(canonical(&stored(&*repository, 2).await.item), canonical(&flow_with(2, "edited", r#""day":5"#)));
    apply_retention().await;
    let restored = |revision| [(Restore, revision)];
    assert_eq!(super::history_reader::operations(&history(&*repository, 1).await)[..1], restored(7));
    assert_eq!(super::history_reader::operations(&history(&*repository, 2).await)[..1], restored(8));
    assert_eq!((retained(&*repository, 1).await, retained(&*repository, 2).await), (vec![7, 6, 5], vec![8, 7, 6]));
}

/// Age counts back from the last change, so that a clock that was ahead removes nothing after the next change.
pub async fn age_counts_back_from_the_last_change(
    repository: Arc<dyn FlowRepository>,
    apply_retention: impl AsyncFn(),
) {
    edit(&*repository, 1, 0..6).await;
    pass_to(&*repository, 1_000_000).await;
    pass_to(&*repository, 10).await;
    apply_retention().await;
    assert_eq!(retained(&*repository, 1).await, [6, 5, 4, 3, 2, 1]);
    pass_to(&*repository, 12).await;
    apply_retention().await;
    assert_eq!(retained(&*repository, 1).await, [6, 5, 4, 3]);
}

/// Defines a `#[tokio::test]` for each promise about retention.
///
/// The macro calls the argument with [`RETENTION`](crate::testkit::retention::RETENTION) and awaits it. The result is a
/// pair: an `Arc` of an empty repository with an async method `apply_retention`, and a value that owns what the
/// repository needs.
#[macro_export]
macro_rules! retention_tests {
    ($open:expr) => {
        $crate::retention_tests! { @each $open;
            last_and_young_revisions_are_retained,
            history_is_removed_when_the_deletion_is_old,
            reports_are_removed_after_the_next_change,
            cursor_before_a_removed_revision_returns_gone,
            only_retained_revisions_can_be_restored,
            age_counts_back_from_the_last_change,
        }
    };
    (@each $open:expr; $($promise:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let (repository, _resources) = $open($crate::testkit::retention::RETENTION).await;
                let apply_retention = async || repository.apply_retention().await.expect("retention succeeds");
                $crate::testkit::retention::$promise(repository.clone(), apply_retention).await;
            }
        )*
    };
}
