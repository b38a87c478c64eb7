//! A call is all or nothing.

use crate::repository::FlowRepositoryExt as _;
use std::sync::Arc;

use super::samples::{change, change_all, create_all, flow, found, id, moment, number, stamp, violations};
use crate::repository::{Change, FlowRepository, Outcome, Precondition, RepositoryError, Revision, ViolationKind};

/// Changes of every kind in one call are applied, with their results in order.
pub async fn changes_of_every_kind_are_applied_in_one_call(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a"), flow(2, "b"), flow(3, "c")]).await;
    let changes = vec![
        Change::delete(id(3)),
        Change::create(flow(4, "d")),
        Change::replace_at(flow(1, "aa"), Revision::FIRST),
        Change::Put(flow(2, "b"), Precondition::Any),
        Change::Delete(id(9), Precondition::Any),
    ];
    let applied = change_all(&*repository, changes, stamp(1)).await;
    let outcomes: Vec<_> = applied.iter().map(|applied| (number(applied.id), applied.outcome)).collect();
    let expected = [
        (3, Outcome::Deleted),
        (4, Outcome::Created),
        (1, Outcome::Replaced),
        (2, Outcome::Unchanged),
        (9, Outcome::Absent),
    ];
    assert_eq!(outcomes, expected);
    for applied in applied {
        let current = found(&*repository, number(applied.id)).await.map(|stored| stored.version);
        let expected = applied.version.filter(|_| applied.outcome != Outcome::Deleted);
        assert_eq!(current, expected, "the answer agrees with the stored version");
    }
}

/// One violated precondition at any index prevents all changes of the call.
pub async fn one_violation_prevents_every_change(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let before = moment(&*repository).await;
    for index in 0..4 {
        let mut changes = vec![Change::create(flow(3, "c")), Change::replace(flow(1, "aa")), Change::delete(id(2))];
        changes.insert(index, Change::replace(flow(9, "missing")));
        let found = violations(&*repository, changes).await;
        assert_eq!((found.len(), found[0].index), (1, index));
        assert_eq!(moment(&*repository).await, before, "nothing was written");
    }
}

/// A call with more changes than a backend handles at once is still atomic.
pub async fn large_call_is_atomic(repository: Arc<dyn FlowRepository>) {
    const FLOWS: u32 = 2_500;
    let creations = || (0..FLOWS).map(|number| Change::create(flow(number, "one of many"))).collect::<Vec<_>>();
    let mut changes = creations();
    changes.push(Change::delete(id(FLOWS)));
    let found = violations(&*repository, changes).await;
    assert_eq!((found.len(), found[0].index), (1, FLOWS as usize));
    assert_eq!(moment(&*repository).await, [], "nothing was written");
    let applied = change_all(&*repository, creations(), stamp(0)).await;
    let applied_numbers: Vec<u32> = applied.iter().map(|applied| number(applied.id)).collect();
    assert_eq!(applied_numbers, (0..FLOWS).collect::<Vec<_>>(), "results have the order of the changes");
    assert_eq!(moment(&*repository).await.len(), FLOWS as usize);
}

/// Every violated precondition is reported with its index and kind.
pub async fn all_violations_are_reported_in_order(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    change(&*repository, Change::replace(flow(2, "bb")), stamp(1)).await;
    let changes = vec![
        Change::Delete(id(7), Precondition::At(Revision::FIRST)),
        Change::create(flow(3, "c")),
        Change::Delete(id(2), Precondition::At(Revision::FIRST)),
        Change::create(flow(1, "aa")),
        Change::replace(flow(8, "missing")),
    ];
    let found = violations(&*repository, changes).await;
    let found: Vec<_> = found
        .iter()
        .map(|violation| match &violation.kind {
            ViolationKind::NotFound => (violation.index, number(violation.id), "not found".to_owned()),
            ViolationKind::AlreadyExists => (violation.index, number(violation.id), "exists".to_owned()),
            ViolationKind::Stale { current, .. } => {
                (violation.index, number(violation.id), current.item.head().name.clone())
            }
        })
        .collect();
    let expected = [(0, 7, "not found"), (2, 2, "bb"), (3, 1, "exists"), (4, 8, "not found")];
    assert_eq!(found, expected.map(|(index, number, text)| (index, number, text.to_owned())));
}

/// A call that changes one flow twice is rejected before any other check.
pub async fn two_changes_to_one_flow_are_rejected(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    let before = moment(&*repository).await;
    let changes = vec![
        Change::create(flow(1, "exists")),
        Change::create(flow(2, "b")),
        Change::Put(flow(3, "c"), Precondition::Any),
        Change::Delete(id(2), Precondition::Any),
        Change::Delete(id(3), Precondition::Any),
    ];
    match repository.apply_all(changes, stamp(1)).await {
        Err(RepositoryError::RepeatedId(repeated)) => assert_eq!(repeated, id(2), "the first repeated id"),
        other => panic!("expected a repeated id, got {other:?}"),
    }
    assert_eq!(moment(&*repository).await, before, "nothing was written");
}

/// An empty list of changes succeeds.
pub async fn empty_list_of_changes_succeeds(repository: Arc<dyn FlowRepository>) {
    assert_eq!(change_all(&*repository, Vec::new(), stamp(0)).await, []);
}
