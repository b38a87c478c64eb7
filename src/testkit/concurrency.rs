//! Many callers at once.

use crate::repository::FlowRepositoryExt as _;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::samples::{
    canonical, change, change_all, create_all, everything, flow, flow_with, id, number, retry_while_busy, stamp, stored,
};
use crate::repository::{Change, FlowRepository, Outcome, Precondition, RepositoryError, Revision, ViolationKind};

/// 32 tasks that save their own flows concurrently all succeed, and no acknowledged save is lost.
pub async fn concurrent_saves_are_not_lost(repository: Arc<dyn FlowRepository>) {
    const TASKS: u32 = 32;
    const SAVES: u32 = 4;
    let save_flows = |task: u32| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            for save in 0..SAVES {
                let new = Change::create(flow(task * 100 + save, "saved concurrently"));
                change(&*repository, new, stamp(i64::from(save))).await;
                let shared = flow_with(9_999, "shared", &format!(r#""by":"{task} {save}""#));
                change(&*repository, Change::Put(shared, Precondition::Any), stamp(i64::from(save))).await;
            }
        })
    };
    for task in join_all((0..TASKS).map(save_flows)).await {
        task.expect("no task panics");
    }
    let mut found: Vec<u32> = everything(&*repository).await.iter().map(|stored| number(stored.item.id())).collect();
    found.sort_unstable();
    let own = (0..TASKS).flat_map(|task| (0..SAVES).map(move |save| task * 100 + save));
    assert_eq!(found, own.chain([9_999]).collect::<Vec<_>>());
    let shared = stored(&*repository, 9_999).await.version.revision;
    assert_eq!(shared.number(), u64::from(TASKS * SAVES), "every change has its own revision");
    let mut documents = HashSet::new();
    for revision in 1..=shared.number() {
        let record = repository.revision(id(9_999), Revision::new(revision)).await.expect("the history is readable");
        documents.insert(canonical(&record.expect("every revision is recorded").item));
    }
    assert_eq!(documents.len() as u64, shared.number(), "every revision has the document of another change");
}

/// Tasks that create, replace and delete one flow concurrently produce revisions without gaps or duplicates. Calls
/// with several flows in any order do not deadlock.
pub async fn concurrent_creations_and_deletions_leave_no_gap_in_revisions(repository: Arc<dyn FlowRepository>) {
    const TASKS: u32 = 8;
    const ROUNDS: u32 = 24;
    let worker = |task: u32| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            let mut revisions = Vec::new();
            for round in 0..ROUNDS {
                let edit = |flow| flow_with(flow, "created and deleted", &format!(r#""by":"{task} {round}""#));
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
    let mut revisions: Vec<u64> = revisions.into_iter().flat_map(|task| task.expect("no task panics")).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=revisions.len() as u64).collect::<Vec<_>>());
}

/// Of 64 tasks that change one flow from the same revision, exactly one succeeds. The others receive a conflict.
pub async fn one_of_many_concurrent_changes_succeeds(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "contended")]).await;
    for round in 1..=3 {
        let seen = Revision::new(round);
        let task_of = |task: u32| {
            let repository = Arc::clone(&repository);
            tokio::spawn(async move {
                let edit = flow_with(1, "contended", &format!(r#""winner":"{round} {task}""#));
                let change = Change::replace_at(edit, seen);
                retry_while_busy(|| repository.apply_all(vec![change.clone()], stamp(round as i64))).await
            })
        };
        let mut successes = 0;
        for answer in join_all((0..64).map(task_of)).await {
            match answer.expect("no task panics") {
                Ok(applied) => {
                    successes += 1;
                    assert_eq!(applied[0].outcome, Outcome::Replaced);
                }
                Err(RepositoryError::Conflict(violations)) => {
                    let ViolationKind::Stale { expected, current } = &violations[0].kind else {
                        panic!("expected stale, got {violations:?}")
                    };
                    assert_eq!((*expected, current.version.revision), (seen, seen.next()));
                }
                Err(error) => panic!("a change failed: {error:?}"),
            }
        }
        assert_eq!(successes, 1, "round {round}");
        assert_eq!(stored(&*repository, 1).await.version.revision, seen.next());
    }
}

/// A caller that drops its future leaves neither a partial call nor a broken store.
pub async fn dropped_calls_leave_a_consistent_store(repository: Arc<dyn FlowRepository>) {
    let pair = |round: u32| {
        let flow = |number| flow_with(number, "pair", &format!(r#""round":{round}"#));
        vec![Change::Put(flow(1), Precondition::Any), Change::Put(flow(2), Precondition::Any)]
    };
    change_all(&*repository, pair(0), stamp(0)).await;
    for round in 1..=200 {
        // The random delay creates interleavings, from before the call to after it.
        let limit = Duration::from_micros(u64::from(round % 40) * 50);
        let call = repository.apply_all(pair(round), stamp(i64::from(round)));
        let _ = tokio::time::timeout(limit, call).await;
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
    assert_eq!(pair[0].version, pair[1].version, "both changes of a call are applied or none");
    assert_eq!(pair[0].item.head().size, pair[1].item.head().size, "both changes of a call are applied or none");
}
