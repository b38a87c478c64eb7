//! The store retains the configured revisions and nothing more.
//!
//! Each function receives an empty repository with the retention [`RETENTION`] and a function that applies it at once.
//! [`retention_tests!`](crate::retention_tests) turns each function into a test.

use crate::repository::FlowRepositoryExt as _;
use std::sync::Arc;

use chrono::TimeDelta;

use super::feed_reader::{operations, read_until};
use super::history_reader::history;
use super::samples::{canonical, change, flow, flow_with, found, id, moment, number, revision, stored, time};
use super::waiting::in_time;
use crate::flow::Flow;
use crate::repository::{
    Author, Change, FlowRepository, Operation, Outcome, Precondition, Record, RepositoryError, Retention, Revision,
    Since, Stamp,
};

use Operation::{Create, Restore, Update};

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

/// Young revisions are all retained. Of older ones, the newest per minute is retained, after a day the newest per hour, and always
/// the last revisions of a flow. The feed has the same records and no other gap.
pub async fn old_revisions_thin_out(repository: Arc<dyn FlowRepository>, apply_retention: impl AsyncFn()) {
    let at = |minutes: i64, seconds: i64| {
        Stamp::new(time(0) + TimeDelta::minutes(minutes) + TimeDelta::seconds(seconds), Author::new("tester"))
    };
    // One revision every 20 seconds in three hours of the first day, and around the limits of an hour and a day before the end.
    let end = 3 * 24 * 60;
    let minutes = (0..180).chain(end - 24 * 60 - 3..end - 24 * 60 + 3).chain(end - 63..=end);
    let mut written = Vec::new();
    for (minute, second) in minutes.flat_map(|minute| [0, 20, 40].map(|second| (minute, second))) {
        let edit = flow_with(1, "edited", &format!(r#""at":[{minute},{second}]"#));
        change(&*repository, Change::Put(edit, Precondition::Any), at(minute, second)).await;
        written.push((minute, second));
    }
    // The last revisions of a flow are retained, however close together.
    for second in 0..5 {
        let edit = flow_with(2, "quiet", &format!(r#""second":{second}"#));
        change(&*repository, Change::Put(edit, Precondition::Any), at(0, second)).await;
    }
    let begin = read_until(&*repository, Since::Oldest, 1_000, |record| number(record.item.id()) == 2).await;
    let newest = written.last().copied().expect("revisions were written");
    change(&*repository, Change::Put(flow(3, "end"), Precondition::Any), at(newest.0, newest.1)).await;
    read_until(&*repository, Since::Oldest, 1_000, |record| number(record.item.id()) == 3).await;
    let (now, before) = (newest.0 * 60 + newest.1, moment(&*repository).await);
    let expected = |revision: &u64| {
        let seconds = |revision: u64| written.get(revision as usize - 1).map(|(minute, second)| minute * 60 + second);
        let (Some(own), next) = (seconds(*revision), seconds(revision + 1)) else { panic!("a written revision") };
        let width = match now - own {
            86_401.. => 3_600,
            3_601.. => 60,
            _ => return true,
        };
        next.is_none_or(|next| next / width != own / width)
    };
    let expected: Vec<u64> = (1..=written.len() as u64).rev().filter(expected).collect();
    assert!(expected.len() < written.len() - 500, "the test deletes records");
    for _ in 0..2 {
        apply_retention().await;
        assert_eq!(retained(&*repository, 1).await, expected);
        assert_eq!(retained(&*repository, 2).await, [5, 4, 3]);
        assert_eq!(moment(&*repository).await, before);
    }
    let of_first = |record: &&Record<Flow>| number(record.item.id()) == 1;
    for reader in begin.iter().filter(of_first).step_by(50) {
        let since = Since::After(reader.cursor);
        let records = read_until(&*repository, since, 100, |record| number(record.item.id()) == 3).await;
        let found: Vec<u64> = records.iter().filter(of_first).map(|record| record.revision.number()).collect();
        let rest = expected.iter().rev().copied().filter(|revision| *revision > reader.revision.number());
        assert_eq!(found, rest.collect::<Vec<_>>(), "a reader behind removed revisions continues");
    }
    let oldest = *expected.last().expect("revisions are retained");
    let (minute, second) = written[oldest as usize - 1];
    let record = revision(&*repository, 1, oldest).await.expect("the revision is retained");
    assert_eq!(canonical(&record.item), canonical(&flow_with(1, "edited", &format!(r#""at":[{minute},{second}]"#))));
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
            old_revisions_thin_out,
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
