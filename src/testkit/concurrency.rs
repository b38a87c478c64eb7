//! Many callers at once.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::samples::{change, change_all, create_all, everything, flow, flow_with, id, insist, number, stamp, stored};
use crate::repository::{Change, FlowRepository, Outcome, Precondition, RepositoryError, Revision, ViolationKind};

/// Of 32 tasks that save at once, each its own flows, none fails and nothing that was acknowledged is lost.
pub async fn savers_at_once_lose_nothing(repository: Arc<dyn FlowRepository>) {
    const TASKS: u32 = 32;
    const SAVES: u32 = 4;
    let saver = |task: u32| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            for save in 0..SAVES {
                let new = Change::create(flow(task * 100 + save, "saved at once"));
                change(&*repository, new, stamp(i64::from(save))).await;
                let shared = flow_with(9_999, "shared", &format!(r#""by":"{task} {save}""#));
                change(&*repository, Change::Put(shared, Precondition::Any), stamp(i64::from(save))).await;
            }
        })
    };
    for task in join_all((0..TASKS).map(saver)).await {
        task.expect("no saver fails");
    }
    let mut found: Vec<u32> = everything(&*repository).await.iter().map(|stored| number(stored.item.id())).collect();
    found.sort_unstable();
    let own = (0..TASKS).flat_map(|task| (0..SAVES).map(move |save| task * 100 + save));
    assert_eq!(found, own.chain([9_999]).collect::<Vec<_>>());
    let shared = stored(&*repository, 9_999).await.version.revision;
    assert_eq!(shared.number(), u64::from(TASKS * SAVES), "every change has a revision of its own");
}

/// Tasks that create, replace and delete one flow at once make revisions without a gap and none twice, and several
/// flows in one call, named in any order, never block each other for good.
pub async fn creations_and_deletions_count_on(repository: Arc<dyn FlowRepository>) {
    const TASKS: u32 = 8;
    const ROUNDS: u32 = 24;
    let worker = |task: u32| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            let mut revisions = Vec::new();
            for round in 0..ROUNDS {
                let edit = |flow| flow_with(flow, "comes and goes", &format!(r#""by":"{task} {round}""#));
                let mut changes: Vec<Change> = [1, 2]
                    .map(|flow| match (task + round) % 3 {
                        0 => Change::Delete(id(flow), Precondition::Any),
                        _ => Change::Put(edit(flow), Precondition::Any),
                    })
                    .into();
                if task.is_multiple_of(2) {
                    changes.reverse();
                }
                for applied in change_all(&*repository, changes, stamp(i64::from(round))).await {
                    if let (1, Some(version)) = (number(applied.id), applied.version) {
                        revisions.push(version.revision.number());
                    }
                }
            }
            revisions
        })
    };
    let revisions = join_all((0..TASKS).map(worker)).await;
    let mut revisions: Vec<u64> = revisions.into_iter().flat_map(|task| task.expect("no worker fails")).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=revisions.len() as u64).collect::<Vec<_>>());
}

/// Of 64 tasks that want to change one flow from the same revision, one does; the others are told so, and nothing else.
pub async fn one_of_many_wins_each_revision(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "contended")]).await;
    for round in 1..=3 {
        let seen = Revision::new(round);
        let contender = |task: u32| {
            let repository = Arc::clone(&repository);
            tokio::spawn(async move {
                let edit = flow_with(1, "contended", &format!(r#""winner":"{round} {task}""#));
                let change = Change::replace_at(edit, seen);
                insist(|| repository.apply(vec![change.clone()], stamp(round as i64))).await
            })
        };
        let mut winners = 0;
        for answer in join_all((0..64).map(contender)).await {
            match answer.expect("no contender panics") {
                Ok(applied) => {
                    winners += 1;
                    assert_eq!(applied[0].outcome, Outcome::Replaced);
                }
                Err(RepositoryError::Conflict(violations)) => {
                    let ViolationKind::Stale { expected, current } = &violations[0].kind else {
                        panic!("expected stale, got {violations:?}")
                    };
                    assert_eq!((*expected, current.version.revision), (seen, seen.next()));
                }
                Err(error) => panic!("a contender failed: {error:?}"),
            }
        }
        assert_eq!(winners, 1, "round {round}");
        assert_eq!(stored(&*repository, 1).await.version.revision, seen.next());
    }
}

/// Callers that go away in the middle leave neither half a call nor a store that does not work.
pub async fn dropped_calls_leave_a_good_store(repository: Arc<dyn FlowRepository>) {
    let pair = |round: u32| {
        let flow = |number| flow_with(number, "pair", &format!(r#""round":{round}"#));
        vec![Change::Put(flow(1), Precondition::Any), Change::Put(flow(2), Precondition::Any)]
    };
    change_all(&*repository, pair(0), stamp(0)).await;
    for round in 1..=200 {
        // From not even begun to probably done.
        let patience = Duration::from_micros(u64::from(round % 40) * 50);
        let call = repository.apply(pair(round), stamp(i64::from(round)));
        let _ = tokio::time::timeout(patience, call).await;
        if round % 20 == 0 {
            check_pair(&*repository).await;
        }
    }
    create_all(&*repository, [flow(3, "still works")]).await;
    change_all(&*repository, pair(1_000), stamp(1_000)).await;
    check_pair(&*repository).await;
    change(&*repository, Change::delete(id(3)), stamp(1_001)).await;
}

async fn check_pair(repository: &dyn FlowRepository) {
    let pair: Vec<_> = everything(repository).await.into_iter().filter(|s| number(s.item.id()) < 3).collect();
    assert_eq!(pair.len(), 2);
    assert_eq!(pair[0].version, pair[1].version, "both or none");
    assert_eq!(pair[0].item.head().size, pair[1].item.head().size, "both or none");
}
