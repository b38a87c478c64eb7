//! Who must not overwrite says what he expects to find.

use std::sync::Arc;

use super::samples::{change, flow, flow_with, found, id, moment, stamp, stored, violations};
use crate::repository::{Change, FlowRepository, Outcome, Precondition, Revision, ViolationKind};

/// What a change should come to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    Done(Outcome, Option<u64>),
    Exists,
    NotFound,
    Stale,
}

use Expected::{Done, Exists, NotFound, Stale};
use Precondition::{Absent, Any, At, Present};

/// A put is made under each precondition exactly when that holds of a flow that never was, is there, or is gone.
pub async fn puts_check_their_precondition(repository: Arc<dyn FlowRepository>) {
    let (one, two) = (Revision::new(1), Revision::new(2));
    let created = Done(Outcome::Created, Some(1));
    let again = Done(Outcome::Created, Some(3));
    let replaced = Done(Outcome::Replaced, Some(2));
    let cases = [
        (Any, created, replaced, again),
        (Absent, created, Exists, again),
        (Present, NotFound, replaced, NotFound),
        (At(one), NotFound, replaced, NotFound),
        (At(two), NotFound, Stale, NotFound),
    ];
    for (index, (precondition, missing, there, gone)) in (0..).zip(cases) {
        for (place, expected) in (0..).zip([missing, there, gone]) {
            let number = prepare(&*repository, index, place).await;
            let put = Change::Put(flow_with(number, "new", r#""x":1"#), precondition);
            check(&*repository, put, place, expected).await;
        }
    }
}

/// A deletion is made under each precondition exactly when that holds; there may be nothing to delete.
pub async fn deletions_check_their_precondition(repository: Arc<dyn FlowRepository>) {
    let (one, two) = (Revision::new(1), Revision::new(2));
    let deleted = Done(Outcome::Deleted, Some(2));
    let nothing = Done(Outcome::Absent, None);
    let cases = [
        (Any, nothing, deleted, nothing),
        (Absent, nothing, Exists, nothing),
        (Present, NotFound, deleted, NotFound),
        (At(one), NotFound, deleted, NotFound),
        (At(two), NotFound, Stale, NotFound),
    ];
    for (index, (precondition, missing, there, gone)) in (0..).zip(cases) {
        for (place, expected) in (0..).zip([missing, there, gone]) {
            let number = prepare(&*repository, index, place).await;
            check(&*repository, Change::Delete(id(number), precondition), place, expected).await;
        }
    }
}

/// Who is too late gets the flow as it is, document and version.
pub async fn a_stale_change_is_told_the_current_flow(repository: Arc<dyn FlowRepository>) {
    change(&*repository, Change::create(flow(1, "a")), stamp(0)).await;
    change(&*repository, Change::replace(flow(1, "b")), stamp(1)).await;
    let late = Change::replace_at(flow(1, "c"), Revision::FIRST);
    let found = violations(&*repository, vec![late]).await;
    let ViolationKind::Stale { expected, current } = &found[0].kind else { panic!("expected stale, got {found:?}") };
    assert_eq!(*expected, Revision::FIRST);
    assert_eq!(current.item.head().name, "b");
    assert_eq!(current.version, stored(&*repository, 1).await.version);
}

/// A flow that never was (place 0), is there at revision 1 (1), or is gone at revision 2 (2).
async fn prepare(repository: &dyn FlowRepository, case: u32, place: u32) -> u32 {
    let number = case * 3 + place;
    if place > 0 {
        change(repository, Change::create(flow(number, "old")), stamp(0)).await;
    }
    if place == 2 {
        change(repository, Change::delete(id(number)), stamp(1)).await;
    }
    number
}

async fn check(repository: &dyn FlowRepository, asked: Change, place: u32, expected: Expected) {
    let what = format!("{:?} of flow {} at place {place}", asked.precondition(), asked.id());
    let before = moment(repository).await;
    let id = asked.id();
    if let Done(outcome, revision) = expected {
        let applied = change(repository, asked, stamp(2)).await;
        assert_eq!((applied.id, applied.outcome), (id, outcome), "{what}");
        let version = applied.version.as_ref();
        assert_eq!(version.map(|version| version.revision.number()), revision, "{what}");
        let there = found(repository, super::samples::number(id)).await;
        let is_put = matches!(outcome, Outcome::Created | Outcome::Replaced);
        assert_eq!(there.map(|stored| stored.version), applied.version.filter(|_| is_put), "{what}");
    } else {
        let found = violations(repository, vec![asked]).await;
        let kind = match found[0].kind {
            ViolationKind::AlreadyExists => Exists,
            ViolationKind::NotFound => NotFound,
            ViolationKind::Stale { .. } => Stale,
        };
        assert_eq!((found.len(), found[0].index, found[0].id, kind), (1, 0, id, expected), "{what}");
        assert_eq!(moment(repository).await, before, "{what}: nothing was written");
    }
}
