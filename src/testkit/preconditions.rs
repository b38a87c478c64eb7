//! Changes check their preconditions.

use std::sync::Arc;

use super::samples::{change, flow, flow_with, found, id, moment, stamp, stored, violations};
use crate::repository::{Change, FlowRepository, Outcome, Precondition, Revision, ViolationKind};

/// The expected result of a change.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    Done(Outcome, Option<u64>),
    Exists,
    NotFound,
    Stale,
}

use Expected::{Done, Exists, NotFound, Stale};
use Precondition::{Absent, Any, At, Present};

/// A put succeeds if and only if its precondition holds for a flow that never existed, exists, or was deleted.
pub async fn puts_check_their_precondition(repository: Arc<dyn FlowRepository>) {
    let (one, two) = (Revision::new(1), Revision::new(2));
    let created = Done(Outcome::Created, Some(1));
    let recreated = Done(Outcome::Created, Some(3));
    let replaced = Done(Outcome::Replaced, Some(2));
    let cases = [
        (Any, created, replaced, recreated),
        (Absent, created, Exists, recreated),
        (Present, NotFound, replaced, NotFound),
        (At(one), NotFound, replaced, NotFound),
        (At(two), NotFound, Stale, NotFound),
    ];
    for (case, (precondition, missing, existing, deleted)) in (0..).zip(cases) {
        for (state, expected) in (0..).zip([missing, existing, deleted]) {
            let number = prepare(&*repository, case, state).await;
            let put = Change::Put(flow_with(number, "new", r#""x":1"#), precondition);
            check(&*repository, put, state, expected).await;
        }
    }
}

/// A deletion succeeds if and only if its precondition holds. There may be nothing to delete.
pub async fn deletions_check_their_precondition(repository: Arc<dyn FlowRepository>) {
    let (one, two) = (Revision::new(1), Revision::new(2));
    let done = Done(Outcome::Deleted, Some(2));
    let nothing = Done(Outcome::Absent, None);
    let cases = [
        (Any, nothing, done, nothing),
        (Absent, nothing, Exists, nothing),
        (Present, NotFound, done, NotFound),
        (At(one), NotFound, done, NotFound),
        (At(two), NotFound, Stale, NotFound),
    ];
    for (case, (precondition, missing, existing, deleted)) in (0..).zip(cases) {
        for (state, expected) in (0..).zip([missing, existing, deleted]) {
            let number = prepare(&*repository, case, state).await;
            check(&*repository, Change::Delete(id(number), precondition), state, expected).await;
        }
    }
}

/// A conflict contains the current document and version.
pub async fn stale_put_returns_the_current_flow(repository: Arc<dyn FlowRepository>) {
    change(&*repository, Change::create(flow(1, "a")), stamp(0)).await;
    change(&*repository, Change::replace(flow(1, "b")), stamp(1)).await;
    let late = Change::replace_at(flow(1, "c"), Revision::FIRST);
    let found = violations(&*repository, vec![late]).await;
    let ViolationKind::Stale { expected, current } = &found[0].kind else { panic!("expected stale, got {found:?}") };
    assert_eq!(*expected, Revision::FIRST);
    assert_eq!(current.item.head().name, "b");
    assert_eq!(current.version, stored(&*repository, 1).await.version);
}

/// Creates a flow that never existed (0), exists at revision 1 (1), or was deleted at revision 2 (2).
async fn prepare(repository: &dyn FlowRepository, case: u32, state: u32) -> u32 {
    let number = case * 3 + state;
    if state > 0 {
        change(repository, Change::create(flow(number, "old")), stamp(0)).await;
    }
    if state == 2 {
        change(repository, Change::delete(id(number)), stamp(1)).await;
    }
    number
}

async fn check(repository: &dyn FlowRepository, requested: Change, state: u32, expected: Expected) {
    let case = format!("{:?} of flow {} in state {state}", requested.precondition(), requested.id());
    let before = moment(repository).await;
    let id = requested.id();
    if let Done(outcome, revision) = expected {
        let applied = change(repository, requested, stamp(2)).await;
        assert_eq!((applied.id, applied.outcome), (id, outcome), "{case}");
        let version = applied.version.as_ref();
        assert_eq!(version.map(|version| version.revision.number()), revision, "{case}");
        let current = found(repository, super::samples::number(id)).await;
        let is_put = matches!(outcome, Outcome::Created | Outcome::Replaced);
        assert_eq!(current.map(|stored| stored.version), applied.version.filter(|_| is_put), "{case}");
    } else {
        let found = violations(repository, vec![requested]).await;
        let kind = match found[0].kind {
            ViolationKind::AlreadyExists => Exists,
            ViolationKind::NotFound => NotFound,
            ViolationKind::Stale { .. } => Stale,
        };
        assert_eq!((found.len(), found[0].index, found[0].id, kind), (1, 0, id, expected), "{case}");
        assert_eq!(moment(repository).await, before, "{case}: nothing was written");
    }
}
