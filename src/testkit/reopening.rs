//! Acknowledged changes survive a restart. The backend's own test fills a store, reopens it in its own way and
//! verifies it, any number of times.

use std::sync::Arc;

use chrono::TimeDelta;

use super::samples::{canonical, change, change_all, flow, flow_with, found, id, revision, stamp, stored, time};
use super::{feed_reader, history_reader};
use crate::repository::{
    Author, Change, FeedCursor, FlowRepository, Operation, Outcome, Revision, Since, Stamp, Version,
};

const MEMBERS: &str = r#""n":[18446744073709551617,1.10,1e400],"unknown":{"":"😀 \" \\"},"gst_state":"Playing""#;

/// Brings an empty repository into the state that [`verify_filled`] expects: a flow that was edited and then reported
/// on, one that was deleted and created again, and a deleted one. Returns the cursor after their creation.
pub async fn fill(repository: Arc<dyn FlowRepository>) -> FeedCursor {
    for number in 1..=3 {
        change(&*repository, Change::create(flow(number, "old")), stamp(0)).await;
    }
    let created = feed_reader::read_until(&*repository, Since::Oldest, 1, |record| record.item.id() == id(3)).await;
    let edit = |members: &str| Change::replace(flow_with(1, " edited ", members));
    change(&*repository, edit(r#""unknown":0"#), stamp(1)).await;
    let editor = Stamp::new(time(2) + TimeDelta::microseconds(123_456), Author::new("éditeur \"x\""));
    change(&*repository, edit(&MEMBERS.replace("Playing", "Null")), editor).await;
    change(&*repository, edit(MEMBERS), stamp(3)).await;
    change_all(&*repository, vec![Change::delete(id(2)), Change::delete(id(3))], stamp(4)).await;
    change(&*repository, Change::create(flow(2, "back")), stamp(5)).await;
    created.last().expect("three changes").cursor
}

/// Panics unless the repository is as [`fill`] left it and its feed continues from the cursor. Changes nothing.
pub async fn verify_filled(repository: Arc<dyn FlowRepository>, created: FeedCursor) {
    let edited = stored(&*repository, 1).await;
    let expected = flow_with(1, " edited ", MEMBERS);
    assert_eq!(canonical(&edited.item), canonical(&expected));
    assert_eq!(edited.item.head(), expected.head());
    let version = Version {
        revision: Revision::new(3),
        created_at: time(0),
        updated_at: time(2) + TimeDelta::microseconds(123_456),
        author: Author::new("éditeur \"x\""),
    };
    assert_eq!(edited.version, version);
    let recreated = stored(&*repository, 2).await;
    assert_eq!((recreated.item.head().name.as_str(), recreated.version.revision), ("back", Revision::new(3)));
    assert_eq!((recreated.version.created_at, recreated.version.updated_at), (time(5), time(5)));
    assert!(found(&*repository, 3).await.is_none());
    verify_history(&*repository).await;
    verify_feed(&*repository, created).await;
}

async fn verify_history(repository: &dyn FlowRepository) {
    use Operation::{Create, Delete, Update};
    assert_eq!(
        history_reader::operations(&history_reader::history(repository, 1).await),
        [(Update, 3), (Update, 2), (Create, 1)]
    );
    assert_eq!(
        history_reader::operations(&history_reader::history(repository, 2).await),
        [(Create, 3), (Delete, 2), (Create, 1)]
    );
    let third = revision(repository, 1, 3).await.expect("the revision is retained");
    assert_eq!(canonical(&third.item), canonical(&flow_with(1, " edited ", &MEMBERS.replace("Playing", "Null"))));
    assert_eq!((third.at, third.author.as_str()), (time(2) + TimeDelta::microseconds(123_456), "éditeur \"x\""));
    let deleted = repository.deleted().await.expect("deleted works");
    let deleted: Vec<_> = deleted.iter().map(|record| (record.item.id, record.revision.number(), record.at)).collect();
    assert_eq!(deleted, [(id(3), 2, time(4))]);
}

async fn verify_feed(repository: &dyn FlowRepository, created: FeedCursor) {
    use Operation::{Create, Delete, State, Update};
    let is_last = |record: &_| feed_reader::operations(std::slice::from_ref(record)) == [(2, Create, 3)];
    let mut recorded =
        feed_reader::operations(&feed_reader::read_until(repository, Since::After(created), 2, is_last).await);
    // The two deletions belong to one call, which does not define an order.
    recorded[3..5].sort_unstable_by_key(|(flow, ..)| *flow);
    let expected = [(1, Update, 2), (1, Update, 3), (1, State, 3), (2, Delete, 2), (3, Delete, 2), (2, Create, 3)];
    assert_eq!(recorded, expected);
}

/// Panics unless the revisions of the flow that [`fill`] deleted continue. Changes the state, so it comes last.
pub async fn verify_deleted_revision(repository: Arc<dyn FlowRepository>) {
    let applied = change(&*repository, Change::create(flow(3, "recreated")), stamp(6)).await;
    assert_eq!(applied.outcome, Outcome::Created);
    assert_eq!(applied.version.expect("a flow has a version").revision, Revision::new(3));
}
