//! Ephemeral flows are served, counted and limited, and never stored.

use crate::repository::FlowRepositoryExt as _;
use std::sync::Arc;

use super::{ephemeral, listed, over, persistent, shown};
use crate::ephemeral::Ephemeral;
use crate::repository::{
    Author, Change, FlowRepository, Operation, Outcome, Precondition, RepositoryError, Revision, Since, Version,
};
use crate::testkit::feed_reader::end;
use crate::testkit::samples::{
    canonical, change, change_all, everything, flow, flow_with, found, id, revision, stamp, stored, time, violations,
};

/// An ephemeral flow is found like any other, and the storage and its exports do not contain it.
pub async fn ephemeral_flows_are_served_and_never_stored(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*both, Change::create(flow(1, "stored")), stamp(0)).await;
    let end = end(&*store).await;
    let created = change(&*both, Change::create(ephemeral(2, "scratch", 0)), stamp(1)).await;
    assert_eq!((created.id, created.outcome), (id(2), Outcome::Created));
    let created_flow = stored(&*both, 2).await;
    assert_eq!(Some(&created_flow.version), created.version.as_ref());
    assert_eq!(canonical(&created_flow.item), canonical(&ephemeral(2, "scratch", 0)));
    let first = stored(&*both, 1).await;
    assert_eq!(listed(&*both).await, [shown(&created_flow), shown(&first)]);

    change(&*both, Change::replace(ephemeral(2, "scratch", 1)), stamp(2)).await;
    assert!(found(&*store, 2).await.is_none());
    assert_eq!(listed(&*store).await, [shown(&first)]);
    for all in [everything(&*store).await, everything(&*both).await] {
        assert_eq!(
            all.iter().map(shown).collect::<Vec<_>>(),
            [shown(&first)],
            "no snapshot contains the ephemeral flow"
        );
    }
    change(&*both, Change::delete(id(2)), stamp(3)).await;
    assert!(found(&*both, 2).await.is_none());
    assert!(store.history(id(2), None, 9).await.expect("history works").is_empty());
    assert!(both.deleted().await.expect("deleted works").is_empty());
    assert!(both.changes(Since::After(end), 9).await.expect("changes work").changes.is_empty());
}

/// Revisions start above those of stored flows, increase by one, and continue in the next process for known and new
/// ids.
pub async fn ephemeral_revisions_increase_and_are_never_reused(store: Arc<dyn FlowRepository>) {
    let mut last = Revision::new((1 << 40) - 1);
    for process in 0..2 {
        // The second process starts within the resolution of the clock.
        let begin = time(0) + chrono::TimeDelta::milliseconds(process);
        let both = Ephemeral::over(Arc::clone(&store), begin);
        for round in 0..2 {
            let created = change(&both, Change::create(ephemeral(1, "a", 0)), stamp(round)).await.version;
            let created = created.expect("a flow has a version");
            assert!(created.revision > last && created.revision.number() < 1 << 53, "{created:?}");
            let expected = Version {
                revision: created.revision,
                created_at: time(round),
                updated_at: time(round),
                author: Author::new("tester"),
            };
            assert_eq!(created, expected);
            let replaced = change(&both, Change::replace(ephemeral(1, "a", 1)), stamp(10)).await;
            assert_eq!(replaced.outcome, Outcome::Replaced);
            let expected = Version { revision: created.revision.next(), updated_at: time(10), ..expected };
            assert_eq!(replaced.version, Some(expected.clone()));
            let deleted = change(&both, Change::delete(id(1)), stamp(20)).await;
            let expected = Version { revision: expected.revision.next(), updated_at: time(20), ..expected };
            assert_eq!((deleted.outcome, deleted.version), (Outcome::Deleted, Some(expected.clone())));
            last = expected.revision;
        }
    }
}

/// A report is shown under the existing revision.
pub async fn report_to_an_ephemeral_flow_creates_no_revision(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    let before = change(&*both, Change::create(ephemeral(1, "a", 0)), stamp(0)).await.version;
    let report = r#""edit":0.0,"gst_state":"Playing","properties":{"ephemeral":true,"started_at":"now"}"#;
    let reported = flow_with(1, "a", report);
    let at = Precondition::At(before.as_ref().expect("a flow has a version").revision);
    let applied = change(&*both, Change::Put(reported.clone(), at), stamp(1)).await;
    assert_eq!((applied.outcome, &applied.version), (Outcome::Unchanged, &before));
    let now = stored(&*both, 1).await;
    assert_eq!((canonical(&now.item), Some(now.version)), (canonical(&reported), before));
}

/// The history of an ephemeral flow is its current revision and what the storage has for its id.
pub async fn ephemeral_history_is_the_current_revision(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*both, Change::create(ephemeral(1, "a", 0)), stamp(0)).await;
    change(&*both, Change::create(persistent(2, "b", 0)), stamp(0)).await;
    let moved =
        change(&*both, Change::replace(ephemeral(2, "b", 1)), stamp(1)).await.version.expect("a version").revision;
    let created = stored(&*both, 1).await.version.revision;
    let edited = change(&*both, Change::replace(ephemeral(1, "a", 1)), stamp(2)).await;
    let edited = edited.version.expect("a version").revision;

    let history = async |number: u32, before: Option<Revision>, limit: u32| {
        let records = both.history(id(number), before, limit).await.expect("history works");
        records.iter().map(|record| (record.revision, record.operation)).collect::<Vec<_>>()
    };
    assert_eq!(history(1, None, 9).await, [(edited, Operation::Update)]);
    assert_eq!(history(1, Some(edited), 9).await, []);
    let (one, two) = (Revision::new(1), Revision::new(2));
    let all = [(moved, Operation::Update), (two, Operation::Delete), (one, Operation::Create)];
    assert_eq!(history(2, None, 9).await, all);
    assert_eq!((history(2, None, 2).await, history(2, None, 1).await), (all[..2].to_vec(), all[..1].to_vec()));
    assert_eq!((history(2, Some(moved), 9).await, history(2, None, 0).await), (all[1..].to_vec(), vec![]));

    let now = revision(&*both, 1, edited.number()).await.expect("the current revision can be read");
    assert_eq!((canonical(&now.item), now.at), (canonical(&ephemeral(1, "a", 1)), time(2)));
    let feed = both.changes(Since::After(now.cursor), 1).await;
    assert!(matches!(feed, Err(RepositoryError::Gone)), "no feed contains its cursor: {feed:?}");
    assert!(revision(&*both, 1, created.number()).await.is_none(), "earlier revisions are not retained");
    let restored = both.restore(id(1), edited, Precondition::Any, stamp(3)).await.expect("restore works");
    assert_eq!(restored.expect("the revision exists").outcome, Outcome::Unchanged);
}

/// The documents stay within the memory budget. A rejected call changes nothing, and a call that does not increase the
/// size succeeds.
pub async fn ephemeral_flows_stay_within_the_memory_budget(store: Arc<dyn FlowRepository>) {
    let size = |flow: &crate::Flow| flow.document().get().len() as u64;
    let (small, large) = (ephemeral(1, "a", 0), ephemeral(1, &"a".repeat(50), 0));
    let budget = size(&small) * 2 + 10;
    let both = Ephemeral::with_budget(Arc::clone(&store), time(0), budget);
    change_all(&both, vec![Change::create(small), Change::create(ephemeral(2, "b", 0))], stamp(0)).await;
    change(&both, Change::create(persistent(3, &"c".repeat(50), 0)), stamp(0)).await;
    let before = (listed(&both).await, listed(&*store).await);
    for rejected in [
        vec![Change::replace(large)],
        vec![Change::create(ephemeral(4, "d", 0)), Change::create(flow(5, "stored"))],
        vec![Change::replace(ephemeral(3, &"c".repeat(50), 0)), Change::delete(id(2))],
    ] {
        let answer = both.apply_all(rejected, stamp(1)).await;
        assert!(matches!(answer, Err(RepositoryError::NoRoom { limit, wanted }) if wanted > limit), "{answer:?}");
        assert_eq!((listed(&both).await, listed(&*store).await), before, "nothing was written");
    }
    let same_size = vec![Change::delete(id(1)), Change::create(ephemeral(4, "d", 0))];
    change_all(&both, same_size, stamp(2)).await;
    change(&both, Change::replace(persistent(2, "b", 0)), stamp(3)).await;
    change(&both, Change::create(ephemeral(5, "e", 0)), stamp(4)).await;
    let bytes = |name: &str| both.measurements().iter().find(|one| one.name == name).map(|one| one.value);
    assert_eq!(bytes("ephemeral_flows"), Some(2.0));
    assert_eq!(bytes("ephemeral_bytes"), Some((size(&ephemeral(4, "d", 0)) * 2) as f64));
}

/// After the close, no flow is served.
pub async fn closed_store_serves_no_ephemeral_flow(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*both, Change::create(ephemeral(1, "a", 0)), stamp(0)).await;
    assert_eq!(violations(&*both, vec![Change::create(ephemeral(1, "a", 0))]).await.len(), 1);
    both.close().await.expect("the store is complete");
    let answers = [
        both.get(id(1)).await.err(),
        both.list(&Default::default()).await.err(),
        both.apply_all(vec![Change::Put(ephemeral(1, "a", 0), Precondition::Any)], stamp(1)).await.err(),
        both.apply_all(vec![Change::create(ephemeral(2, "b", 0))], stamp(1)).await.err(),
        both.history(id(1), None, 1).await.err(),
    ];
    for (index, answer) in answers.iter().enumerate() {
        assert!(matches!(answer, Some(RepositoryError::Unavailable { .. })), "call {index}: {answer:?}");
    }
}
