//! Preconditions hold over memory and storage, and a call is one whatever it concerns.

use std::sync::Arc;

use futures::future::join_all;

use super::{kept, listed, over, scratch};
use crate::Flow;
use crate::repository::{Change, FlowRepository, Outcome, Precondition, RepositoryError, Revision, ViolationKind};
use crate::testkit::samples::{change, change_all, flow, found, id, insist, number, stamp, stored, violations};

/// What is asked of a flow that is nowhere, in memory, in the storage, gone from memory or gone from the storage.
pub async fn preconditions_hold_over_both(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    let puts: [fn(u32) -> Change; 3] = [
        |number| Change::create(scratch(number, "new", 1)),
        |number| Change::create(kept(number, "new", 1)),
        |number| Change::delete(id(number)),
    ];
    for (kind, change_of) in puts.into_iter().enumerate() {
        for place in 0..5 {
            for case in 0..5 {
                let number = kind as u32 * 100 + place * 10 + case;
                prepare(&*both, number, place).await;
                let current = found(&*both, number).await;
                let is_there = place == 1 || place == 2;
                assert_eq!(current.is_some(), is_there);
                let revision = current.map_or(Revision::FIRST, |current| current.version.revision);
                let (precondition, holds) = match case {
                    0 => (Precondition::Any, true),
                    1 => (Precondition::Absent, !is_there),
                    2 => (Precondition::Present, is_there),
                    3 => (Precondition::At(revision), is_there),
                    _ => (Precondition::At(revision.next()), false),
                };
                let asked = change_of(number).under(precondition);
                let is_deletion = asked.flow().is_none();
                let what = format!("{asked:?} at place {place}");
                let before = (listed(&*both).await, listed(&*store).await);
                if !holds {
                    let violations = violations(&*both, vec![asked]).await;
                    let expected = match (precondition, is_there) {
                        (Precondition::Absent, _) => matches!(violations[0].kind, ViolationKind::AlreadyExists),
                        (_, false) => matches!(violations[0].kind, ViolationKind::NotFound),
                        (_, true) => matches!(&violations[0].kind, ViolationKind::Stale { current, .. }
                            if current.version.revision == revision),
                    };
                    assert!(expected, "{what}: {violations:?}");
                    assert_eq!((listed(&*both).await, listed(&*store).await), before, "{what}: nothing was written");
                    continue;
                }
                let applied = change(&*both, asked.clone(), stamp(9)).await;
                let outcome = match (is_deletion, is_there) {
                    (true, true) => Outcome::Deleted,
                    (true, false) => Outcome::Absent,
                    (false, true) => Outcome::Replaced,
                    (false, false) => Outcome::Created,
                };
                assert_eq!(applied.outcome, outcome, "{what}");
                let there = found(&*both, number).await.map(|stored| stored.version);
                assert_eq!(there, applied.version.filter(|_| !is_deletion), "{what}");
                let is_stored = found(&*store, number).await.is_some();
                assert_eq!(is_stored, asked.flow().is_some_and(|flow: &Flow| !flow.is_ephemeral()), "{what}");
            }
        }
    }
}

async fn prepare(both: &dyn FlowRepository, number: u32, place: u32) {
    let flow = match place {
        0 => return,
        1 | 3 => scratch(number, "old", 0),
        _ => kept(number, "old", 0),
    };
    change(both, Change::create(flow), stamp(0)).await;
    if place > 2 {
        change(both, Change::delete(id(number)), stamp(1)).await;
    }
}

/// Two in memory and two in the storage.
async fn four(both: &dyn FlowRepository) {
    let (in_memory, in_store) = ([1, 2].map(|n| scratch(n, "m", 0)), [3, 4].map(|n| kept(n, "s", 0)));
    change_all(both, in_memory.into_iter().chain(in_store).map(Change::create).collect(), stamp(0)).await;
}

/// A call may concern both and move flows both ways; one precondition that does not hold, wherever it stands and whomever it
/// concerns, stops all of it.
pub async fn calls_over_both_are_all_or_nothing(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    four(&*both).await;
    let changes = || {
        vec![
            Change::replace(kept(1, "left", 1)),
            Change::create(scratch(5, "new", 1)),
            Change::delete(id(2)),
            Change::replace(scratch(3, "come", 1)),
            Change::create(flow(6, "new")),
            Change::delete(id(4)),
            Change::Delete(id(9), Precondition::Any),
        ]
    };
    let before = (listed(&*both).await, listed(&*store).await);
    let wrong: [fn() -> Change; 4] = [
        || Change::replace(kept(20, "not there", 0)),
        || Change::replace(scratch(20, "not there", 0)),
        || Change::Delete(id(20), Precondition::At(Revision::FIRST)),
        || Change::replace_at(scratch(20, "not there", 0), Revision::FIRST),
    ];
    for (place, wrong) in (0..=7).flat_map(|place| wrong.map(|wrong| (place, wrong))) {
        let mut changes = changes();
        changes.insert(place, wrong());
        let found = violations(&*both, changes).await;
        assert_eq!((found.len(), found[0].index), (1, place));
        assert_eq!((listed(&*both).await, listed(&*store).await), before, "nothing was written");
    }
    let applied = change_all(&*both, changes(), stamp(1)).await;
    let outcomes: Vec<_> = applied.iter().map(|applied| (number(applied.id), applied.outcome)).collect();
    use Outcome::{Absent, Created, Deleted, Replaced};
    let expected = [(1, Replaced), (5, Created), (2, Deleted), (3, Replaced), (6, Created), (4, Deleted), (9, Absent)];
    assert_eq!(outcomes, expected);
    for applied in applied {
        let there = found(&*both, number(applied.id)).await.map(|stored| stored.version);
        assert_eq!(there, applied.version.filter(|_| applied.outcome != Deleted), "what was answered is what is there");
    }
    assert_eq!(listed(&*store).await.len(), 2);
    assert_eq!(stored(&*store, 1).await.item.head().name, "left");
}

/// Every precondition that does not hold is reported at its place, whichever of the two it is about.
pub async fn violations_of_both_are_reported_in_order(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    four(&*both).await;
    let changes = vec![
        Change::create(kept(4, "s", 1)),
        Change::create(kept(1, "m", 1)),
        Change::create(scratch(7, "fine", 1)),
        Change::replace(scratch(8, "not there", 1)),
        Change::create(scratch(3, "s", 1)),
        Change::delete(id(9)),
        Change::replace_at(scratch(2, "m", 1), Revision::FIRST),
        Change::replace(kept(3_000, "not there", 1)),
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

/// Of many who create one flow at once, or change it from one revision, in memory or in the storage, one does; and there is
/// one flow.
pub async fn one_of_many_wins_wherever_the_flow_goes(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    for round in 0..8 {
        let seen = found(&*both, 1).await.map(|stored| stored.version.revision);
        let contender = |task: u32| {
            let both = Arc::clone(&both);
            let flow = if task.is_multiple_of(2) { scratch } else { kept }(1, "contended", round * 100 + task);
            tokio::spawn(async move {
                let precondition = seen.map_or(Precondition::Absent, Precondition::At);
                let change = Change::Put(flow, precondition);
                insist(|| both.apply(vec![change.clone()], stamp(0))).await
            })
        };
        let mut winners = 0;
        for answer in join_all((0..32).map(contender)).await {
            match answer.expect("no contender panics") {
                Ok(_) => winners += 1,
                Err(RepositoryError::Conflict(violations)) => assert_eq!(violations.len(), 1),
                Err(error) => panic!("a contender failed: {error:?}"),
            }
        }
        assert_eq!(winners, 1, "round {round}");
        let there = stored(&*both, 1).await;
        assert_eq!(found(&*store, 1).await.is_none(), there.item.is_ephemeral(), "round {round}");
        assert_eq!(listed(&*both).await, [super::shown(&there)]);
    }
}
