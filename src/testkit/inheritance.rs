//! Flows that are moved from another store with their histories.

use crate::repository::FlowRepositoryExt as _;
use std::sync::Arc;

use futures::TryStreamExt;

use super::feed_reader::{end, read};
use super::history_reader::{history, operations};
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

/// Builds a record of another store. Its age in seconds is 1,000 minus its revision.
fn record(operation: Operation, revision: u64, item: Flow) -> Record<Flow> {
    let at = time(i64::try_from(revision).expect("a small number") - 1_000);
    let author = Author::new(&format!("author {revision}"));
    Record { cursor: FeedCursor::NOWHERE, operation, item, revision: Revision::new(revision), at, author }
}

fn edit(number: u32, edit: u64) -> Flow {
    flow_with(number, &format!("edit {edit}"), &format!(r#""n":[{edit}.50,18446744073709551617]"#))
}

/// Returns records of a flow that was created, deleted, restored and edited, without its first revision.
fn records(number: u32) -> Vec<Record<Flow>> {
    let recorded = [(Update, 2), (Update, 3), (Delete, 4), (Restore, 5), (Update, 6)];
    let document = |revision| edit(number, if revision == 4 { 3 } else { revision });
    recorded.map(|(operation, revision)| record(operation, revision, document(revision))).into()
}

fn now(number: u32) -> Stored<Flow> {
    let last = record(Update, 6, edit(number, 6));
    let version = Version { revision: last.revision, created_at: time(-995), updated_at: last.at, author: last.author };
    Stored { item: last.item, version }
}

fn chronicle(now: Option<Stored<Flow>>, records: Vec<Record<Flow>>) -> Chronicle {
    Chronicle::new(now, records).unwrap_or_else(|error| panic!("a valid history is rejected: {error}"))
}

/// Returns a flow with its history.
fn inherit(number: u32) -> Change {
    Change::Inherit(chronicle(Some(now(number)), records(number)))
}

/// Returns a deleted flow with its history.
fn inherit_deleted(number: u32) -> Change {
    let mut records = records(number);
    records.push(record(Delete, 7, edit(number, 6)));
    Change::Inherit(chronicle(None, records))
}

/// Returns everything in a record that two stores agree on: all except the cursor.
fn facts(record: &Record<Flow>) -> (u32, Operation, u64, chrono::DateTime<chrono::Utc>, String, String) {
    let Record { operation, item, revision, at, author, .. } = record;
    (number(item.id()), *operation, revision.number(), *at, author.as_str().to_owned(), canonical(item))
}

async fn histories(repository: &dyn FlowRepository) -> Vec<Record<Flow>> {
    repository.histories().try_collect().await.unwrap_or_else(|error| panic!("histories failed: {error:?}"))
}

/// Every revision is in the history and the feed as in the other store. The next edit has the next revision.
pub async fn inherited_flow_keeps_its_history(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(2, "another")]).await;
    let before = end(&*repository).await;
    let applied = change(&*repository, inherit(1), stamp(0)).await;
    assert_eq!((applied.id, applied.outcome, applied.version), (id(1), Outcome::Created, Some(now(1).version)));
    let current = stored(&*repository, 1).await;
    assert_eq!((canonical(&current.item), current.version), (canonical(&now(1).item), now(1).version));

    let listed = history(&*repository, 1).await;
    assert_eq!(operations(&listed), [(Update, 6), (Restore, 5), (Delete, 4), (Update, 3), (Update, 2)]);
    let expected: Vec<_> = records(1).iter().map(facts).collect();
    for (record, expected) in listed.iter().rev().zip(&expected) {
        let read =
            revision(&*repository, 1, record.revision.number()).await.expect("the history contains the revision");
        assert_eq!((&facts(&read), read.item.head()), (expected, &record.item));
    }
    let feed = read(&*repository, Since::After(before)).await;
    assert_eq!(feed.iter().map(facts).collect::<Vec<_>>(), expected, "the feed has the order of the history");
    assert!(feed.is_sorted_by_key(|record| record.cursor));

    let edited = change(&*repository, Change::replace_at(edit(1, 7), Revision::new(6)), stamp(1)).await;
    assert_eq!(edited.version.map(|version| (version.revision.number(), version.created_at)), Some((7, time(-995))));
}

/// A flow that was deleted in the other store is deleted here and can be restored.
pub async fn inherited_deleted_flow_can_be_restored(repository: Arc<dyn FlowRepository>) {
    let applied = change(&*repository, inherit_deleted(1), stamp(0)).await;
    let version = applied.version.expect("a deletion has a version");
    assert_eq!((applied.outcome, version.revision.number(), version.updated_at), (Outcome::Deleted, 7, time(-993)));
    assert!(found(&*repository, 1).await.is_none());
    let deleted = repository.deleted().await.expect("the call works");
    assert_eq!(operations(&deleted), [(Delete, 7)]);
    assert_eq!((deleted[0].at, deleted[0].author.as_str()), (time(-993), "author 7"));
    let restored = repository.restore(id(1), Revision::new(3), crate::repository::Precondition::Absent, stamp(1)).await;
    let version = restored.expect("the call works").and_then(|applied| applied.version).expect("the revision exists");
    assert_eq!(version.revision.number(), 8, "revisions continue");
    assert_eq!(canonical(&stored(&*repository, 1).await.item), canonical(&edit(1, 3)));
}

/// Revisions that the id already has in this store stay unchanged.
pub async fn inherited_history_keeps_existing_revisions(repository: Arc<dyn FlowRepository>) {
    for number in 1..=3 {
        create_all(&*repository, [flow(number, "local")]).await;
        change(&*repository, Change::delete(id(number)), stamp(1)).await;
    }
    for edit in 3..=8 {
        change(
            &*repository,
            Change::Put(flow_with(3, "local", &format!(r#""n":{edit}"#)), crate::repository::Precondition::Any),
            stamp(edit),
        )
        .await;
    }
    change(&*repository, Change::delete(id(3)), stamp(9)).await;
    let applied = change(&*repository, inherit(1), stamp(10)).await;
    assert_eq!(applied.version.map(|version| version.revision.number()), Some(6));
    let all = [(Update, 6), (Restore, 5), (Delete, 4), (Update, 3), (Delete, 2), (Create, 1)];
    assert_eq!(operations(&history(&*repository, 1).await), all);
    let applied = change(&*repository, inherit_deleted(2), stamp(10)).await;
    assert_eq!(applied.outcome, Outcome::Deleted);
    assert_eq!(operations(&history(&*repository, 2).await)[..2], [(Delete, 7), (Update, 6)]);
    let before = operations(&history(&*repository, 3).await);
    let applied = change(&*repository, inherit_deleted(3), stamp(10)).await;
    assert_eq!((applied.outcome, applied.version), (Outcome::Absent, None));
    assert_eq!(operations(&history(&*repository, 3).await), before);
    let applied = change(&*repository, inherit(3), stamp(10)).await;
    assert_eq!(applied.version.map(|version| version.revision.number()), Some(10));
    assert_eq!(operations(&history(&*repository, 3).await)[..2], [(Create, 10), (Delete, 9)]);
}

/// If the id is in use, no change of the call is applied. This holds for histories of existing and deleted flows.
pub async fn history_for_an_id_in_use_is_rejected(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(2, "b"), flow(4, "d")]).await;
    let before = (moment(&*repository).await, histories(&*repository).await.iter().map(facts).collect::<Vec<_>>());
    let rejected = violations(&*repository, vec![inherit(1), inherit(2), inherit_deleted(3), inherit_deleted(4)]).await;
    let indexes: Vec<_> = rejected.iter().map(|violation| (violation.index, violation.id)).collect();
    assert_eq!(indexes, [(1, id(2)), (3, id(4))]);
    assert!(rejected.iter().all(|violation| matches!(violation.kind, ViolationKind::AlreadyExists)));
    let after = (moment(&*repository).await, histories(&*repository).await.iter().map(facts).collect::<Vec<_>>());
    assert_eq!(after, before);
}

/// Other changes of the call have the author of the stamp. Inherited records keep their authors.
pub async fn histories_and_other_changes_share_a_call(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "replaced"), flow(2, "deleted")]).await;
    let changes = vec![
        inherit(4),
        Change::replace(flow(1, "new")),
        inherit_deleted(5),
        Change::delete(id(2)),
        Change::create(flow(3, "created")),
        Change::Adopt(now(6)),
    ];
    let applied = repository.apply_all(changes, stamp(9)).await.expect("valid changes succeed");
    let outcomes: Vec<_> = applied.iter().map(|applied| (number(applied.id), applied.outcome)).collect();
    use Outcome::{Created, Deleted, Replaced};
    assert_eq!(outcomes, [(4, Created), (1, Replaced), (5, Deleted), (2, Deleted), (3, Created), (6, Created)]);
    for number in 1..=3 {
        let record = &history(&*repository, number).await[0];
        assert_eq!((record.at, record.author.as_str()), (time(9), "tester"), "flow {number}");
    }
    for (number, author) in [(4, "author 6"), (5, "author 7"), (6, "author 6")] {
        assert_eq!(history(&*repository, number).await[0].author.as_str(), author, "flow {number}");
    }
}

/// The last report is inherited and is not a revision.
pub async fn inherited_flow_keeps_its_last_report(repository: Arc<dyn FlowRepository>) {
    let running = flow_with(1, "edit 6", r#""n":[6.50,18446744073709551617],"gst_state":"Playing""#);
    let now = Stored { item: running.clone(), ..now(1) };
    let inherited = Change::Inherit(chronicle(Some(now), records(1)));
    change(&*repository, inherited, stamp(0)).await;
    let current = stored(&*repository, 1).await;
    assert_eq!((canonical(&current.item), current.version.revision.number()), (canonical(&running), 6));
    let feed = read(&*repository, Since::Oldest).await;
    let last = feed.last().expect("the feed contains changes");
    assert_eq!((last.operation, last.revision.number(), last.at), (State, 6, time(0)));
    assert_eq!(history(&*repository, 1).await.len(), 5);
}

/// The stream of histories contains all revisions of all flows, flow by flow, and nothing else.
pub async fn histories_contain_all_revisions_of_all_flows(repository: Arc<dyn FlowRepository>) {
    assert!(histories(&*repository).await.is_empty());
    create_all(&*repository, [3, 1, 2].map(|number| edit(number, 1))).await;
    for revision in 2..=300 {
        change(&*repository, Change::replace(edit(2, revision)), stamp(1)).await;
    }
    let running = flow_with(1, "edit 1", r#""n":[1.50,18446744073709551617],"gst_state":"Playing""#);
    change(&*repository, Change::replace(running), stamp(2)).await;
    change(&*repository, Change::delete(id(3)), stamp(3)).await;
    let recorded: Vec<_> = histories(&*repository).await.iter().map(facts).collect();
    let by_flow = recorded.chunk_by(|a, b| a.0 == b.0).map(|chunk| (chunk[0].0, chunk.len())).collect::<Vec<_>>();
    assert_eq!(by_flow, [(1, 1), (2, 300), (3, 2)]);
    assert!(recorded.is_sorted_by_key(|(number, _, revision, ..)| (*number, *revision)));
    for (number, _, wanted, ..) in recorded.iter().step_by(50) {
        let read = revision(&*repository, *number, *wanted).await.expect("the history contains the revision");
        assert!(recorded.contains(&facts(&read)), "{read:?}");
    }
    let all = everything(&*repository).await;
    for stored in all {
        let last =
            recorded.iter().rfind(|(number, ..)| id(*number) == stored.item.id()).expect("every flow has a history");
        assert_eq!(last.2, stored.version.revision.number());
    }
}

/// Records that are not the history of one flow are rejected before any call. Later records are dropped, and a missing
/// last one is added.
pub async fn chronicle_requires_a_valid_history_of_one_flow(_: Arc<dyn FlowRepository>) {
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
    assert_eq!(operations(chronicle(Some(now(1)), later).records()).last(), Some(&(Update, 6)));
    let short = records(1).into_iter().take(3).collect();
    assert_eq!(
        operations(chronicle(Some(now(1)), short).records()),
        [(Update, 2), (Update, 3), (Delete, 4), (Create, 6)]
    );
    assert_eq!(operations(chronicle(Some(now(1)), Vec::new()).records()), [(Create, 6)]);
    let wrong = vec![record(Delete, 6, edit(1, 5))];
    let completed = chronicle(Some(now(1)), wrong);
    assert_eq!(
        (operations(completed.records()), facts(&completed.records()[0]).5),
        (vec![(Create, 6)], canonical(&edit(1, 6)))
    );
}
