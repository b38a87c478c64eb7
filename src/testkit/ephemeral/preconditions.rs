//! Preconditions hold over memory and storage, and a call is atomic over both.

use crate::repository::FlowRepositoryExt as _;
use std::sync::Arc;

use futures::future::join_all;

use super::{ephemeral, listed, over, persistent};
use crate::Flow;
use crate::repository::{Change, FlowRepository, Outcome, Precondition, RepositoryError, Revision, ViolationKind};
use crate::testkit::samples::{
    change, change_all, flow, found, id, number, retry_while_busy, stamp, stored, violations,
};

/// Every precondition is checked for a flow that never existed, is in memory, is stored, or was deleted from either.
pub async fn preconditions_hold_over_memory_and_storage(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    let puts: [fn(u32) -> Change; 3] = [
        |number| Change::create(ephemeral(number, "new", 1)),
        |number| Change::create(persistent(number, "new", 1)),
        |number| Change::delete(id(number)),
    ];
    for (kind, change_of) in puts.into_iter().enumerate() {
        for state in 0..5 {
            for case in 0..5 {
                let number = kind as u32 * 100 + state * 10 + case;
                prepare(&*both, number, state).await;
                let current = found(&*both, number).await;
                let exists = state == 1 || state == 2;
                assert_eq!(current.is_some(), exists);
                let revision = current.map_or(Revision::FIRST, |current| current.version.revision);
                let (precondition, holds) = match case {
                    0 => (Precondition::Any, true),
                    1 => (Precondition::Absent, !exists),
                    2 => (Precondition::Present, exists),
                    3 => (Precondition::At(revision), exists),
                    _ => (Precondition::At(revision.next()), false),
                };
                let requested = change_of(number).with_precondition(precondition);
                let is_deletion = requested.flow().is_none();
                let what = format!("{requested:?} at state {state}");
                let before = (listed(&*both).await, listed(&*store).await);
                if !holds {
                    let violations = violations(&*both, vec![requested]).await;
                    let expected = match (precondition, exists) {
                        (Precondition::Absent, _) => matches!(violations[0].kind, ViolationKind::AlreadyExists),
                        (_, false) => matches!(violations[0].kind, ViolationKind::NotFound),
                        (_, true) => matches!(&violations[0].kind, ViolationKind::Stale { current, .. }
                            if current.version.revision == revision),
                    };
                    assert!(expected, "{what}: {violations:?}");
                    assert_eq!((listed(&*both).await, listed(&*store).await), before, "{what}: nothing was written");
                    continue;
                }
                let applied = change(&*both, requested.clone(), stamp(9)).await;
                let outcome = match (is_deletion, exists) {
                    (true, true) => Outcome::Deleted,
                    (true, false) => Outcome::Absent,
                    (false, true) => Outcome::Replaced,
                    (false, false) => Outcome::Created,
                };
                assert_eq!(applied.outcome, outcome, "{what}");
                let current_version = found(&*both, number).await.map(|stored| stored.version);
                assert_eq!(current_version, applied.version.filter(|_| !is_deletion), "{what}");
                let is_stored = found(&*store, number).await.is_some();
                assert_eq!(is_stored, requested.flow().is_some_and(|flow: &Flow| !flow.is_ephemeral()), "{what}");
            }
        }
    }
}

/// Creates a flow that never existed (0), is in memory (1), is stored (2), or was deleted from either (3, 4).
async fn prepare(both: &dyn FlowRepository, number: u32, state: u32) {
    let flow = match state {
        0 => return,
        1 | 3 => ephemeral(number, "old", 0),
        _ => persistent(number, "old", 0),
    };
    change(both, Change::create(flow), stamp(0)).await;
    if state > 2 {
        change(both, Change::delete(id(number)), stamp(1)).await;
    }
}

/// Creates two flows in memory and two in the storage.
async fn create_four(both: &dyn FlowRepository) {
    let (in_memory, in_store) = ([1, 2].map(|n| ephemeral(n, "m", 0)), [3, 4].map(|n| persistent(n, "s", 0)));
    change_all(both, in_memory.into_iter().chain(in_store).map(Change::create).collect(), stamp(0)).await;
}

/// A call may change memory and storage and move flows in both directions. One violated precondition at any index
/// prevents every change.
pub async fn calls_over_memory_and_storage_are_atomic(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    create_four(&*both).await;
    let changes = || {
        vec![
            Change::replace(persistent(1, "stored", 1)),
            Change::create(ephemeral(5, "new", 1)),
            Change::delete(id(2)),
            Change::replace(ephemeral(3, "moved", 1)),
            Change::create(flow(6, "new")),
            Change::delete(id(4)),
            Change::Delete(id(9), Precondition::Any),
        ]
    };
    let before = (listed(&*both).await, listed(&*store).await);
    let wrong: [fn() -> Change; 4] = [
        || Change::replace(persistent(20, "missing", 0)),
        || Change::replace(ephemeral(20, "missing", 0)),
        || Change::Delete(id(20), Precondition::At(Revision::FIRST)),
        || Change::replace_at(ephemeral(20, "missing", 0), Revision::FIRST),
    ];
    for (index, wrong) in (0..=7).flat_map(|index| wrong.map(|wrong| (index, wrong))) {
        let mut changes = changes();
        changes.insert(index, wrong());
        let found = violations(&*both, changes).await;
        assert_eq!((found.len(), found[0].index), (1, index));
        assert_eq!((listed(&*both).await, listed(&*store).await), before, "nothing was written");
    }
    let applied = change_all(&*both, changes(), stamp(1)).await;
    let outcomes: Vec<_> = applied.iter().map(|applied| (number(applied.id), applied.outcome)).collect();
    use Outcome::{Absent, Created, Deleted, Replaced};
    let expected = [(1, Replaced), (5, Created), (2, Deleted), (3, Replaced), (6, Created), (4, Deleted), (9, Absent)];
    assert_eq!(outcomes, expected);
    for applied in applied {
        let current_version = found(&*both, number(applied.id)).await.map(|stored| stored.version);
        assert_eq!(
            current_version,
            applied.version.filter(|_| applied.outcome != Deleted),
            "the answer agrees with the current version"
        );
    }
    assert_eq!(listed(&*store).await.len(), 2);
    assert_eq!(stored(&*store, 1).await.item.head().name, "stored");
}

/// Every violated precondition is reported with its index, for memory and storage alike.
pub async fn violations_in_memory_and_storage_are_reported_in_order(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    create_four(&*both).await;
    let changes = vec![
        Change::create(persistent(4, "s", 1)),
        Change::create(persistent(1, "m", 1)),
        Change::create(ephemeral(7, "fine", 1)),
        Change::replace(ephemeral(8, "missing", 1)),
        Change::create(ephemeral(3, "s", 1)),
        Change::delete(id(9)),
        Change::replace_at(ephemeral(2, "m", 1), Revision::FIRST),
        Change::replace(persistent(3_000, "missing", 1)),
        Change::create(flow(10, "fine")),
    ];
    let found = violations(&*both, changes).await;
    let kinds = found.iter().map(|violation| {
        let kind = match &violation.kind {
            ViolationKind::AlreadyExists => "exists",
            ViolationKind::NotFound => "missing",
            ViolationKind::Stale { .. } => "stale",
        };
        (violation.index, number(violation.id), kind)
    });
    let expected = [
        (0, 4, "exists"),
        (1, 1, "exists"),
        (3, 8, "missing"),
        (4, 3, "exists"),
        (5, 9, "missing"),
        (6, 2, "stale"),
        (7, 3_000, "missing"),
    ];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
}

/// Of many concurrent creations of one flow, or changes from one revision, exactly one succeeds, and there is one
/// flow.
pub async fn one_of_many_concurrent_moves_succeeds(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    for round in 0..8 {
        let seen = found(&*both, 1).await.map(|stored| stored.version.revision);
        let task_of = |task: u32| {
            let both = Arc::clone(&both);
            let flow = if task.is_multiple_of(2) { ephemeral } else { persistent }(1, "contended", round * 100 + task);
            tokio::spawn(async move {
                let precondition = seen.map_or(Precondition::Absent, Precondition::At);
                let change = Change::Put(flow, precondition);
                retry_while_busy(|| both.apply_all(vec![change.clone()], stamp(0))).await
            })
        };
        let mut successes = 0;
        for answer in join_all((0..32).map(task_of)).await {
            match answer.expect("no task panics") {
                Ok(_) => successes += 1,
                Err(RepositoryError::Conflict(violations)) => assert_eq!(violations.len(), 1),
                Err(error) => panic!("a change failed: {error:?}"),
            }
        }
        assert_eq!(successes, 1, "round {round}");
        let current = stored(&*both, 1).await;
        assert_eq!(found(&*store, 1).await.is_none(), current.item.is_ephemeral(), "round {round}");
        assert_eq!(listed(&*both).await, [super::shown(&current)]);
    }
}
