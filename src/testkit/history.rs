//! Revisions are retained, and flows can be restored.

use crate::repository::FlowRepositoryExt as _;
use std::sync::Arc;

use super::history_reader::{history, operations};
use super::samples::{
    canonical, change, change_all, create_all, flow, flow_with, found, id, moment, number, parse, revision, stamp,
    stored, time,
};
use crate::repository::{
    Author, Change, FlowRepository, Operation, Outcome, Precondition, RepositoryError, Revision, Stamp, ViolationKind,
};

async fn restore(repository: &dyn FlowRepository, number: u32, to: u64, seconds: i64) -> Outcome {
    let restoring = repository.restore(id(number), Revision::new(to), Precondition::Any, stamp(seconds));
    let applied = restoring.await.expect("a valid restore succeeds").expect("the revision exists");
    assert_eq!(applied.id, id(number));
    let current = stored(repository, number).await.version;
    assert_eq!(applied.version, Some(current), "the answer agrees with the stored version");
    applied.outcome
}

/// Creates three revisions, a deletion and a creation, at 0 to 4 seconds.
async fn five_revisions(repository: &dyn FlowRepository) {
    let edits = ["one", "two", "three"].map(|edit| flow_with(1, edit, &format!(r#""n":1.50,"edit":"{edit}""#)));
    let changes = edits.into_iter().map(|edit| Change::Put(edit, Precondition::Any));
    let changes = changes.chain([Change::delete(id(1)), Change::create(flow(1, "back"))]);
    for (seconds, new) in (0..).zip(changes) {
        change(repository, new, Stamp::new(time(seconds), Author::new(&format!("author {seconds}")))).await;
    }
}

/// Each revision has its operation, time, author and head, the newest first.
pub async fn history_contains_every_revision(repository: Arc<dyn FlowRepository>) {
    assert!(history(&*repository, 1).await.is_empty(), "a flow that never existed has no history");
    five_revisions(&*repository).await;
    let records = history(&*repository, 1).await;
    let expected = [
        (Operation::Create, 5),
        (Operation::Delete, 4),
        (Operation::Update, 3),
        (Operation::Update, 2),
        (Operation::Create, 1),
    ];
    assert_eq!(operations(&records), expected);
    for (seconds, record) in (0..).zip(records.iter().rev()) {
        assert_eq!((record.at, record.author.as_str()), (time(seconds), format!("author {seconds}").as_str()));
    }
    let names: Vec<_> = records.iter().map(|record| record.item.name.as_str()).collect();
    assert_eq!(names, ["back", "three", "three", "two", "one"]);
    assert!(history(&*repository, 2).await.is_empty(), "other flows have no history");
}

/// Each revision can be read with its document and the data of the history.
pub async fn every_revision_has_its_document(repository: Arc<dyn FlowRepository>) {
    five_revisions(&*repository).await;
    for listed in history(&*repository, 1).await {
        let read =
            revision(&*repository, 1, listed.revision.number()).await.expect("the history contains the revision");
        assert_eq!((read.operation, read.revision, read.at), (listed.operation, listed.revision, listed.at));
        assert_eq!((&read.author, read.cursor, read.item.head()), (&listed.author, listed.cursor, &listed.item));
    }
    let second = revision(&*repository, 1, 2).await.expect("the revision exists").item;
    assert_eq!(canonical(&second), canonical(&flow_with(1, "two", r#""n":1.5,"edit":"two""#)));
}

/// The revision of a deletion contains the deleted document, including the last report.
pub async fn deletion_record_contains_the_document(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow_with(1, "a", r#""n":18446744073709551617"#)]).await;
    let last = flow_with(1, "a", r#""n":18446744073709551617,"gst_state":"Playing""#);
    change(&*repository, Change::replace(last.clone()), stamp(1)).await;
    change(&*repository, Change::delete(id(1)), stamp(2)).await;
    let deletion = revision(&*repository, 1, 2).await.expect("a deletion is a revision");
    assert_eq!((deletion.operation, deletion.at), (Operation::Delete, time(2)));
    assert_eq!(canonical(&deletion.item), canonical(&last));
    assert_eq!(deletion.item.head(), last.head());
}

/// Pages go from the newest to the oldest revision, each once.
pub async fn history_pages_go_from_newest_to_oldest(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    for edit in 2..=7 {
        change(&*repository, Change::replace(flow_with(1, "a", &format!(r#""edit":{edit}"#))), stamp(edit)).await;
    }
    let page = async |before: Option<u64>, limit| {
        let page = repository.history(id(1), before.map(Revision::new), limit).await.expect("history works");
        page.iter().map(|record| record.revision.number()).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 3).await, [7, 6, 5]);
    assert_eq!(page(Some(5), 3).await, [4, 3, 2]);
    assert_eq!(page(Some(2), 3).await, [1]);
    assert_eq!(page(Some(1), 3).await, [0; 0]);
    assert_eq!(page(Some(1_000), 2).await, [7, 6], "`before` need not exist");
    assert_eq!(page(None, 0).await, [0; 0]);
}

/// A report, or the same document with another spelling, is not a revision.
pub async fn reports_and_other_spellings_are_not_in_the_history(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow_with(1, "a", r#""x":1.10,"y":2"#)]).await;
    change(&*repository, Change::replace(flow_with(1, "a", r#""x":1.10,"y":2,"running":true"#)), stamp(1)).await;
    let spelled = parse(&format!(r#"{{"y":2.0,"running":true,"x":11e-1,"name":"a","id":"{}"}}"#, id(1)));
    change(&*repository, Change::replace(spelled), stamp(2)).await;
    assert_eq!(operations(&history(&*repository, 1).await), [(Operation::Create, 1)]);
    let first = revision(&*repository, 1, 1).await.expect("the revision exists");
    assert_eq!(
        canonical(&first.item),
        canonical(&flow_with(1, "a", r#""x":1.1,"y":2"#)),
        "the document of the creation"
    );
}

/// A failed call leaves no record.
pub async fn failed_call_leaves_no_record(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    let changes = vec![Change::replace(flow(1, "aa")), Change::create(flow(2, "b")), Change::delete(id(3))];
    repository.apply_all(changes, stamp(1)).await.expect_err("the third flow does not exist");
    assert_eq!(operations(&history(&*repository, 1).await), [(Operation::Create, 1)]);
    assert!(history(&*repository, 2).await.is_empty());
}

/// Restoring a flow creates a revision with its own time and author.
pub async fn restore_creates_a_revision(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow_with(1, "old", r#""n":1.10"#), flow(2, "other")]).await;
    change(&*repository, Change::replace(flow(1, "new")), stamp(1)).await;
    assert_eq!(restore(&*repository, 1, 1, 2).await, Outcome::Replaced);
    let restored = stored(&*repository, 1).await;
    assert_eq!(canonical(&restored.item), canonical(&flow_with(1, "old", r#""n":1.1"#)));
    assert_eq!((restored.version.revision.number(), restored.version.created_at), (3, time(0)));
    assert_eq!((restored.version.updated_at, restored.version.author.as_str()), (time(2), "tester"));
    let expected = [(Operation::Restore, 3), (Operation::Update, 2), (Operation::Create, 1)];
    assert_eq!(operations(&history(&*repository, 1).await), expected);
    change(&*repository, Change::replace(flow(1, "newer")), stamp(3)).await;
    change(&*repository, Change::replace(flow(2, "other, too")), stamp(3)).await;
    assert_eq!(history(&*repository, 1).await[0].operation, Operation::Update, "the next edit is not a restore");
    assert_eq!(
        history(&*repository, 2).await[0].operation,
        Operation::Update,
        "the edit of another flow is not a restore"
    );
}

/// A deleted flow can be restored to its last or an earlier revision.
pub async fn deleted_flow_can_be_restored(repository: Arc<dyn FlowRepository>) {
    for (number, to, name) in [(1, 3, "two"), (2, 1, "one")] {
        change(&*repository, Change::create(flow(number, "one")), stamp(0)).await;
        change(&*repository, Change::replace(flow(number, "two")), stamp(1)).await;
        change(&*repository, Change::delete(id(number)), stamp(2)).await;
        assert_eq!(restore(&*repository, number, to, 3).await, Outcome::Created);
        let restored = stored(&*repository, number).await;
        assert_eq!((restored.item.head().name.as_str(), restored.version.revision.number()), (name, 4));
        assert_eq!((restored.version.created_at, restored.version.updated_at), (time(3), time(3)));
        assert_eq!(
            operations(&history(&*repository, number).await)[..2],
            [(Operation::Restore, 4), (Operation::Delete, 3)]
        );
    }
}

/// In one call, restored flows and others are recorded with their own operations.
pub async fn each_change_of_a_call_is_recorded_with_its_operation(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a"), flow(2, "b"), flow(3, "c")]).await;
    let changes = vec![
        Change::Put(flow(1, "aa"), Precondition::Any),
        Change::Restore(flow(2, "bb"), Precondition::Any),
        Change::delete(id(3)),
        Change::Restore(flow(4, "d"), Precondition::Any),
        Change::create(flow(5, "e")),
    ];
    change_all(&*repository, changes, stamp(1)).await;
    let mut last = Vec::new();
    for number in 1..=5 {
        last.push(history(&*repository, number).await[0].operation);
    }
    use Operation::{Create, Delete, Restore, Update};
    assert_eq!(last, [Update, Restore, Delete, Restore, Create]);
}

/// A restore with a violated precondition is rejected and changes nothing.
pub async fn restores_check_their_precondition(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "old")]).await;
    change(&*repository, Change::replace(flow(1, "new")), stamp(1)).await;
    let before = moment(&*repository).await;
    let restoring = async |precondition| match repository.restore(id(1), Revision::FIRST, precondition, stamp(2)).await
    {
        Err(RepositoryError::Conflict(mut violations)) => violations.remove(0).kind,
        other => panic!("expected a conflict, got {other:?}"),
    };
    let ViolationKind::Stale { current, .. } = restoring(Precondition::At(Revision::FIRST)).await else {
        panic!("expected stale")
    };
    assert_eq!(current.version.revision.number(), 2);
    assert!(matches!(restoring(Precondition::Absent).await, ViolationKind::AlreadyExists));
    assert_eq!(moment(&*repository).await, before, "nothing was written");
    change(&*repository, Change::delete(id(1)), stamp(3)).await;
    assert!(matches!(restoring(Precondition::Present).await, ViolationKind::NotFound));
    assert_eq!(operations(&history(&*repository, 1).await)[0], (Operation::Delete, 3));
}

/// Restoring the current content creates no revision.
pub async fn restoring_the_current_content_creates_no_revision(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    change(&*repository, Change::replace(flow(1, "b")), stamp(1)).await;
    change(&*repository, Change::replace(flow_with(1, "b", r#""gst_state":"Playing""#)), stamp(2)).await;
    assert_eq!(restore(&*repository, 1, 2, 3).await, Outcome::Unchanged);
    let current = stored(&*repository, 1).await;
    assert_eq!((current.version.revision.number(), current.version.updated_at), (2, time(1)));
    let reported = flow_with(1, "b", r#""gst_state":"Playing""#);
    assert_eq!(canonical(&current.item), canonical(&reported), "a restore does not undo a report");
    assert_eq!(operations(&history(&*repository, 1).await), [(Operation::Update, 2), (Operation::Create, 1)]);
}

/// An unknown revision is `None`, and so is its restore.
pub async fn unknown_revision_is_none(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    for (number, to) in [(1, 0), (1, 2), (1, u64::MAX), (2, 1)] {
        assert!(revision(&*repository, number, to).await.is_none());
        let restoring = repository.restore(id(number), Revision::new(to), Precondition::Any, stamp(1));
        assert!(restoring.await.expect("nothing fails").is_none());
    }
    assert!(found(&*repository, 2).await.is_none());
}

/// Deleted flows are listed with their last deletion, the latest first, and by id at the same time.
pub async fn deleted_flows_are_listed_latest_first(repository: Arc<dyn FlowRepository>) {
    let deleted = async || {
        let records = repository.deleted().await.expect("deleted works");
        assert!(records.iter().all(|record| record.operation == Operation::Delete));
        records.iter().map(|record| (number(record.item.id), record.revision.number(), record.at)).collect::<Vec<_>>()
    };
    assert_eq!(deleted().await, []);
    create_all(&*repository, (1..=5).map(|number| flow(number, "a"))).await;
    assert_eq!(deleted().await, []);
    change_all(&*repository, vec![Change::delete(id(4)), Change::delete(id(2))], stamp(10)).await;
    change(&*repository, Change::delete(id(1)), stamp(20)).await;
    change(&*repository, Change::delete(id(5)), stamp(5)).await;
    assert_eq!(deleted().await, [(1, 2, time(20)), (2, 2, time(10)), (4, 2, time(10)), (5, 2, time(5))]);
    change(&*repository, Change::create(flow(1, "back")), stamp(30)).await;
    assert_eq!(restore(&*repository, 4, 2, 30).await, Outcome::Created);
    change(&*repository, Change::delete(id(4)), stamp(40)).await;
    assert_eq!(deleted().await, [(4, 4, time(40)), (2, 2, time(10)), (5, 2, time(5))]);
}
