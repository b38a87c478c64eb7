//! Revisions count changes of content, not reports of an engine.

use std::sync::Arc;

use chrono::{TimeDelta, Timelike};

use super::samples::{canonical, change, flow, flow_with, found, id, parse, stamp, stored, time};
use crate::repository::{Author, Change, FlowRepository, Outcome, Precondition, Revision, Stamp, Version};

/// A new flow has revision 1 and the time and author of its stamp.
pub async fn a_new_flow_has_revision_one(repository: Arc<dyn FlowRepository>) {
    assert!(found(&*repository, 1).await.is_none(), "the repository is empty");
    let applied = change(&*repository, Change::create(flow(1, "a")), stamp(7)).await;
    let expected =
        Version { revision: Revision::FIRST, created_at: time(7), updated_at: time(7), author: Author::new("tester") };
    assert_eq!((applied.id, applied.outcome), (id(1), Outcome::Created));
    assert_eq!(applied.version, Some(expected.clone()));
    assert_eq!(stored(&*repository, 1).await.version, expected);
}

/// Each change of the content creates a revision with its own time and author. The time of creation stays.
pub async fn content_changes_increment_the_revision(repository: Arc<dyn FlowRepository>) {
    change(&*repository, Change::create(flow(1, "a")), stamp(0)).await;
    for number in 2..=5 {
        let author = Author::new(&format!("author {number}"));
        let flow = flow_with(1, "a", &format!(r#""edit":{number}"#));
        let applied = change(&*repository, Change::replace(flow), Stamp::new(time(number), author.clone())).await;
        let expected =
            Version { revision: Revision::new(number as u64), created_at: time(0), updated_at: time(number), author };
        assert_eq!((applied.outcome, applied.version), (Outcome::Replaced, Some(expected.clone())));
        assert_eq!(stored(&*repository, 1).await.version, expected);
    }
}

/// A deletion has a revision of its own. A flow that is created again continues the count with a new time of creation.
pub async fn deletions_increment_the_revision_and_recreations_continue_it(repository: Arc<dyn FlowRepository>) {
    change(&*repository, Change::create(flow(1, "a")), stamp(0)).await;
    for round in 1..=3 {
        let remover = Author::new("remover");
        let deleted = change(&*repository, Change::delete(id(1)), Stamp::new(time(round * 10), remover.clone())).await;
        let version = deleted.version.expect("a deletion has a version");
        assert_eq!(deleted.outcome, Outcome::Deleted);
        assert_eq!(version.revision, Revision::new(2 * round as u64));
        assert_eq!((version.updated_at, version.author), (time(round * 10), remover));
        assert!(found(&*repository, 1).await.is_none(), "a deleted flow does not exist");

        let nothing = change(&*repository, Change::Delete(id(1), Precondition::Any), stamp(round * 10 + 1)).await;
        assert_eq!((nothing.outcome, nothing.version), (Outcome::Absent, None));

        let recreated = change(&*repository, Change::create(flow(1, "a")), stamp(round * 10 + 2)).await;
        let version = recreated.version.expect("a flow has a version");
        assert_eq!(recreated.outcome, Outcome::Created);
        assert_eq!(version.revision, Revision::new(2 * round as u64 + 1));
        assert_eq!((version.created_at, version.updated_at), (time(round * 10 + 2), time(round * 10 + 2)));
    }
}

/// A report is stored under the existing version.
pub async fn reports_are_stored_without_a_new_revision(repository: Arc<dyn FlowRepository>) {
    change(&*repository, Change::create(flow_with(1, "a", r#""blocks":[{"id":"b"}]"#)), stamp(0)).await;
    let before = stored(&*repository, 1).await.version;
    let reports = [
        r#""blocks":[{"id":"b"}],"gst_state":"Playing","running":true"#,
        r#""blocks":[{"id":"b","runtime_data":{"x":1},"computed_external_pads":null}],"block_health":[]"#,
        r#""blocks":[{"id":"b"}],"state":"Paused","properties":{"started_at":"now","ptp_info":{"y":2}}"#,
    ];
    for (seconds, members) in (1..).zip(reports) {
        let reported = flow_with(1, "a", members);
        let at = Change::replace_at(reported.clone(), Revision::FIRST);
        let applied = change(&*repository, at, Stamp::new(time(seconds), Author::new("engine"))).await;
        assert_eq!((applied.outcome, applied.version), (Outcome::Unchanged, Some(before.clone())), "{members}");
        let now = stored(&*repository, 1).await;
        assert_eq!(canonical(&now.item), canonical(&reported));
        assert_eq!((now.item.head(), now.version), (reported.head(), before.clone()));
    }
    let edited = change(&*repository, Change::replace(flow_with(1, "a", r#""blocks":[{"id":"c"}]"#)), stamp(9)).await;
    assert_eq!(edited.version.expect("a flow has a version").revision, Revision::new(2));
}

/// The order of members, zeros of a number, and white space are not changes.
pub async fn equal_content_creates_no_revision(repository: Arc<dyn FlowRepository>) {
    change(&*repository, Change::create(flow_with(1, "a", r#""x":1.10,"y":{"p":1,"q":2}"#)), stamp(0)).await;
    let same = format!(r#"{{ "y": {{"q": 2.0, "p": 1e0}}, "x": 11e-1, "name": "\u0061", "id": "{}" }}"#, id(1));
    let applied = change(&*repository, Change::replace(parse(&same)), stamp(1)).await;
    assert_eq!(applied.outcome, Outcome::Unchanged);
    let version = stored(&*repository, 1).await.version;
    assert_eq!((version.revision, version.updated_at), (Revision::FIRST, time(0)));
}

/// Times are truncated to microseconds.
pub async fn times_are_truncated_to_microseconds(repository: Arc<dyn FlowRepository>) {
    let precise = time(0) + TimeDelta::nanoseconds(123_456_999);
    let applied = change(&*repository, Change::create(flow(1, "a")), Stamp::new(precise, Author::new("x"))).await;
    let version = stored(&*repository, 1).await.version;
    assert_eq!(version.updated_at.nanosecond(), 123_456_000);
    assert_eq!(applied.version, Some(version));
}
