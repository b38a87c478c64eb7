//! What was acknowledged is there after a restart. The backend's own test fills a store, opens it again in its own way,
//! and has it verified; as often as it likes.

use std::sync::Arc;

use chrono::TimeDelta;

use super::samples::{canonical, change, change_all, flow, flow_with, found, id, stamp, stored, time};
use crate::repository::{Author, Change, FlowRepository, Outcome, Revision, Stamp, Version};

const MEMBERS: &str = r#""n":[18446744073709551617,1.10,1e400],"unknown":{"":"😀 \" \\"},"gst_state":"Playing""#;

/// Puts an empty repository into the state that [`verify_filled`] expects: a flow that was edited and then reported on, one
/// that came back after its deletion, and one that is gone.
pub async fn fill(repository: Arc<dyn FlowRepository>) {
    change_all(&*repository, (1..=3).map(|number| Change::create(flow(number, "old"))).collect(), stamp(0)).await;
    let edit = |members: &str| Change::replace(flow_with(1, " edited ", members));
    change(&*repository, edit(r#""unknown":0"#), stamp(1)).await;
    let editor = Stamp::new(time(2) + TimeDelta::microseconds(123_456), Author::new("éditeur \"x\""));
    change(&*repository, edit(&MEMBERS.replace("Playing", "Null")), editor).await;
    change(&*repository, edit(MEMBERS), stamp(3)).await;
    change_all(&*repository, vec![Change::delete(id(2)), Change::delete(id(3))], stamp(4)).await;
    change(&*repository, Change::create(flow(2, "back")), stamp(5)).await;
}

/// Panics unless the repository is as [`fill`] has left it. Changes nothing.
pub async fn verify_filled(repository: Arc<dyn FlowRepository>) {
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
    let back = stored(&*repository, 2).await;
    assert_eq!((back.item.head().name.as_str(), back.version.revision), ("back", Revision::new(3)));
    assert_eq!((back.version.created_at, back.version.updated_at), (time(5), time(5)));
    assert!(found(&*repository, 3).await.is_none());
}

/// Panics unless the flow that [`fill`] has deleted goes on counting. Ends what can be verified.
pub async fn verify_deleted_revision(repository: Arc<dyn FlowRepository>) {
    let applied = change(&*repository, Change::create(flow(3, "back as well")), stamp(6)).await;
    assert_eq!(applied.outcome, Outcome::Created);
    assert_eq!(applied.version.expect("a flow has a version").revision, Revision::new(3));
}
