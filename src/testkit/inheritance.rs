//! Flows that move here from another store with their histories.

use std::sync::Arc;

use futures::TryStreamExt;

use super::feed::{end, read};
use super::history::{history, told};
use super::samples::{
    canonical, change, create_all, everything, flow, flow_with, found, id, moment, number, revision, stamp, stored,
    time, violations,
};
use crate::Flow;
use crate::repository::Operation::{Create, Delete, Restore, State, Update};
use crate::repository::{
    Author, Change, Chronicle, FeedCursor, FlowRepository, InvalidChronicle, Operation, Outcome, Record, Revision,
    Since, Stored, Version, ViolationKind,
};

/// A record of another store, as many seconds before our time as its revision is below a thousand.
fn record(operation: Operation, revision: u64, item: Flow) -> Record<Flow> {
    let at = time(i64::try_from(revision).expect("a small number") - 1_000);
    let author = Author::new(&format!("there {revision}"));
    Record { cursor: FeedCursor::NOWHERE, operation, item, revision: Revision::new(revision), at, author }
}

fn edit(number: u32, edit: u64) -> Flow {
    flow_with(number, &format!("edit {edit}"), &format!(r#""n":[{edit}.50,18446744073709551617]"#))
}

/// Created, deleted, restored and edited, its first revision no longer kept.
fn records(number: u32) -> Vec<Record<Flow>> {
    let told = [(Update, 2), (Update, 3), (Delete, 4), (Restore, 5), (Update, 6)];
    let document = |revision| edit(number, if revision == 4 { 3 } else { revision });
    told.map(|(operation, revision)| record(operation, revision, document(revision))).into()
}

fn now(number: u32) -> Stored<Flow> {
    let last = record(Update, 6, edit(number, 6));
    let version = Version { revision: last.revision, created_at: time(-995), updated_at: last.at, author: last.author };
    Stored { item: last.item, version }
}

fn chronicle(now: Option<Stored<Flow>>, records: Vec<Record<Flow>>) -> Chronicle {
    Chronicle::new(now, records).unwrap_or_else(|error| panic!("a good history is taken: {error}"))
}

/// A flow that is there.
fn inherit(number: u32) -> Change {
    Change::Inherit(chronicle(Some(now(number)), records(number)))
}

/// One that was deleted.
fn inherit_deleted(number: u32) -> Change {
    let mut records = records(number);
    records.push(record(Delete, 7, edit(number, 6)));
    Change::Inherit(chronicle(None, records))
}

/// As two stores tell of it: all but the place.
fn facts(record: &Record<Flow>) -> (u32, Operation, u64, chrono::DateTime<chrono::Utc>, String, String) {
    let Record { operation, item, revision, at, author, .. } = record;
    (number(item.id()), *operation, revision.number(), *at, author.as_str().to_owned(), canonical(item))
}

async fn histories(repository: &dyn FlowRepository) -> Vec<Record<Flow>> {
    repository.histories().try_collect().await.unwrap_or_else(|error| panic!("histories failed: {error:?}"))
}

/// Every revision of it is here as it was there, in the history and in the feed, and the next edit is the next revision.
pub async fn a_flow_comes_with_its_history(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(2, "another")]).await;
    let before = end(&*repository).await;
    let applied = change(&*repository, inherit(1), stamp(0)).await;
    assert_eq!((applied.id, applied.outcome, applied.version), (id(1), Outcome::Created, Some(now(1).version)));
    let there = stored(&*repository, 1).await;
    assert_eq!((canonical(&there.item), there.version), (canonical(&now(1).item), now(1).version));

    let listed = history(&*repository, 1).await;
    assert_eq!(told(&listed), [(Update, 6), (Restore, 5), (Delete, 4), (Update, 3), (Update, 2)]);
    let expected: Vec<_> = records(1).iter().map(facts).collect();
    for (record, expected) in listed.iter().rev().zip(&expected) {
        let read = revision(&*repository, 1, record.revision.number()).await.expect("it is in the history");
        assert_eq!((&facts(&read), read.item.head()), (expected, &record.item));
    }
    let feed = read(&*repository, Since::After(before)).await;
    assert_eq!(feed.iter().map(facts).collect::<Vec<_>>(), expected, "the feed tells it in the same order");
    assert!(feed.is_sorted_by_key(|record| record.cursor));

    let edited = change(&*repository, Change::replace_at(edit(1, 7), Revision::new(6)), stamp(1)).await;
    assert_eq!(edited.version.map(|version| (version.revision.number(), version.created_at)), Some((7, time(-995))));
}

/// A flow that was deleted there is deleted here, and can be restored.
pub async fn a_deleted_flow_comes_with_its_history(repository: Arc<dyn FlowRepository>) {
    let applied = change(&*repository, inherit_deleted(1), stamp(0)).await;
    let version = applied.version.expect("it has one");
    assert_eq!((applied.outcome, version.revision.number(), version.updated_at), (Outcome::Deleted, 7, time(-993)));
    assert!(found(&*repository, 1).await.is_none());
    let deleted = repository.deleted().await.expect("it works");
    assert_eq!(told(&deleted), [(Delete, 7)]);
    assert_eq!((deleted[0].at, deleted[0].author.as_str()), (time(-993), "there 7"));
    let restored = repository.restore(id(1), Revision::new(3), crate::repository::Precondition::Absent, stamp(1)).await;
    let version = restored.expect("it works").and_then(|applied| applied.version).expect("the revision is there");
    assert_eq!(version.revision.number(), 8, "revisions go on");
    assert_eq!(canonical(&stored(&*repository, 1).await.item), canonical(&edit(1, 3)));
}

/// Revisions that this store has given to the id before stay what they are.
pub async fn a_history_does_not_replace_another_one(repository: Arc<dyn FlowRepository>) {
    for number in 1..=3 {
        create_all(&*repository, [flow(number, "ours")]).await;
        change(&*repository, Change::delete(id(number)), stamp(1)).await;
    }
    for edit in 3..=8 {
        change(
            &*repository,
            Change::Put(flow_with(3, "ours", &format!(r#""n":{edit}"#)), crate::repository::Precondition::Any),
            stamp(edit),
        )
        .await;
    }
    change(&*repository, Change::delete(id(3)), stamp(9)).await;
    let applied = change(&*repository, inherit(1), stamp(10)).await;
    assert_eq!(applied.version.map(|version| version.revision.number()), Some(6));
    let all = [(Update, 6), (Restore, 5), (Delete, 4), (Update, 3), (Delete, 2), (Create, 1)];
    assert_eq!(told(&history(&*repository, 1).await), all);
    let applied = change(&*repository, inherit_deleted(2), stamp(10)).await;
    assert_eq!(applied.outcome, Outcome::Deleted);
    assert_eq!(told(&history(&*repository, 2).await)[..2], [(Delete, 7), (Update, 6)]);
    let ours = told(&history(&*repository, 3).await);
    let applied = change(&*repository, inherit_deleted(3), stamp(10)).await;
    assert_eq!((applied.outcome, applied.version), (Outcome::Absent, None));
    assert_eq!(told(&history(&*repository, 3).await), ours);
    let applied = change(&*repository, inherit(3), stamp(10)).await;
    assert_eq!(applied.version.map(|version| version.revision.number()), Some(10));
    assert_eq!(told(&history(&*repository, 3).await)[..2], [(Create, 10), (Delete, 9)]);
}

/// Where a flow has the id nothing of the call is made, be it the history of a flow that is there or of a deleted one.
pub async fn histories_come_to_free_ids_alone(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(2, "b"), flow(4, "d")]).await;
    let before = (moment(&*repository).await, histories(&*repository).await.iter().map(facts).collect::<Vec<_>>());
    let refused = violations(&*repository, vec![inherit(1), inherit(2), inherit_deleted(3), inherit_deleted(4)]).await;
    let places: Vec<_> = refused.iter().map(|violation| (violation.index, violation.id)).collect();
    assert_eq!(places, [(1, id(2)), (3, id(4))]);
    assert!(refused.iter().all(|violation| matches!(violation.kind, ViolationKind::AlreadyExists)));
    let after = (moment(&*repository).await, histories(&*repository).await.iter().map(facts).collect::<Vec<_>>());
    assert_eq!(after, before);
}

/// Beside other changes of one call, each is by whom it was made.
pub async fn histories_stand_beside_other_changes(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "replaced"), flow(2, "deleted")]).await;
    let changes = vec![
        inherit(4),
        Change::replace(flow(1, "new")),
        inherit_deleted(5),
        Change::delete(id(2)),
        Change::create(flow(3, "created")),
        Change::Adopt(now(6)),
    ];
    let applied = repository.apply(changes, stamp(9)).await.expect("good changes succeed");
    let outcomes: Vec<_> = applied.iter().map(|applied| (number(applied.id), applied.outcome)).collect();
    use Outcome::{Created, Deleted, Replaced};
    assert_eq!(outcomes, [(4, Created), (1, Replaced), (5, Deleted), (2, Deleted), (3, Created), (6, Created)]);
    for number in 1..=3 {
        let record = &history(&*repository, number).await[0];
        assert_eq!((record.at, record.author.as_str()), (time(9), "tester"), "flow {number}");
    }
    for (number, author) in [(4, "there 6"), (5, "there 7"), (6, "there 6")] {
        assert_eq!(history(&*repository, number).await[0].author.as_str(), author, "flow {number}");
    }
}

/// What an engine has reported since the last revision comes along, and is no revision.
pub async fn a_report_comes_with_the_history(repository: Arc<dyn FlowRepository>) {
    let running = flow_with(1, "edit 6", r#""n":[6.50,18446744073709551617],"gst_state":"Playing""#);
    let now = Stored { item: running.clone(), ..now(1) };
    let inherited = Change::Inherit(chronicle(Some(now), records(1)));
    change(&*repository, inherited, stamp(0)).await;
    let there = stored(&*repository, 1).await;
    assert_eq!((canonical(&there.item), there.version.revision.number()), (canonical(&running), 6));
    let feed = read(&*repository, Since::Oldest).await;
    let last = feed.last().expect("there are changes");
    assert_eq!((last.operation, last.revision.number(), last.at), (State, 6, time(0)));
    assert_eq!(history(&*repository, 1).await.len(), 5);
}

/// All revisions of all flows, flow after flow, and nothing else.
pub async fn histories_tell_all_flows(repository: Arc<dyn FlowRepository>) {
    assert!(histories(&*repository).await.is_empty());
    create_all(&*repository, [3, 1, 2].map(|number| edit(number, 1))).await;
    for revision in 2..=300 {
        change(&*repository, Change::replace(edit(2, revision)), stamp(1)).await;
    }
    let running = flow_with(1, "edit 1", r#""n":[1.50,18446744073709551617],"gst_state":"Playing""#);
    change(&*repository, Change::replace(running), stamp(2)).await;
    change(&*repository, Change::delete(id(3)), stamp(3)).await;
    let told: Vec<_> = histories(&*repository).await.iter().map(facts).collect();
    let by_flow = told.chunk_by(|a, b| a.0 == b.0).map(|chunk| (chunk[0].0, chunk.len())).collect::<Vec<_>>();
    assert_eq!(by_flow, [(1, 1), (2, 300), (3, 2)]);
    assert!(told.is_sorted_by_key(|(number, _, revision, ..)| (*number, *revision)));
    for (number, _, wanted, ..) in told.iter().step_by(50) {
        let read = revision(&*repository, *number, *wanted).await.expect("it is in the history");
        assert!(told.contains(&facts(&read)), "{read:?}");
    }
    let all = everything(&*repository).await;
    for stored in all {
        let last = told.iter().rfind(|(number, ..)| id(*number) == stored.item.id()).expect("it has a history");
        assert_eq!(last.2, stored.version.revision.number());
    }
}

/// What is not the history of one flow is refused before anybody is asked to take it; what was recorded later, or is missing at
/// the end, is made good.
pub async fn only_histories_of_one_flow_are_taken(_: Arc<dyn FlowRepository>) {
    let new = |now: Option<Stored<Flow>>, records: Vec<Record<Flow>>| Chronicle::new(now, records);
    assert!(matches!(new(None, Vec::new()), Err(InvalidChronicle::Empty)));
    assert!(matches!(new(None, records(1)), Err(InvalidChronicle::NotDeleted)));
    let of_two = vec![record(Update, 3, edit(2, 3)), record(Update, 6, edit(1, 6))];
    assert!(matches!(new(Some(now(1)), of_two), Err(InvalidChronicle::SeveralFlows)));
    let twice = vec![record(Update, 3, edit(1, 3)), record(Update, 3, edit(1, 3))];
    assert!(
        matches!(new(Some(now(1)), twice), Err(InvalidChronicle::Revision(revision)) if revision == Revision::new(3))
    );
    let high = Stored { version: Version { revision: Revision::new(u64::MAX), ..now(1).version }, ..now(1) };
    assert!(matches!(new(Some(high), Vec::new()), Err(InvalidChronicle::Revision(_))));

    let later = records(1).into_iter().chain([record(Update, 8, edit(1, 8)), record(Delete, 9, edit(1, 8))]).collect();
    assert_eq!(told(chronicle(Some(now(1)), later).records()).last(), Some(&(Update, 6)));
    let short = records(1).into_iter().take(3).collect();
    assert_eq!(told(chronicle(Some(now(1)), short).records()), [(Update, 2), (Update, 3), (Delete, 4), (Create, 6)]);
    assert_eq!(told(chronicle(Some(now(1)), Vec::new()).records()), [(Create, 6)]);
    let wrong = vec![record(Delete, 6, edit(1, 5))];
    let made_good = chronicle(Some(now(1)), wrong);
    assert_eq!(
        (told(made_good.records()), facts(&made_good.records()[0]).5),
        (vec![(Create, 6)], canonical(&edit(1, 6)))
    );
}
