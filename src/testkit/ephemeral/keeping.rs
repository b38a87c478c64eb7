//! What is in memory is served, counted, bounded, and in no storage.

use std::sync::Arc;

use super::{kept, listed, over, scratch, shown};
use crate::ephemeral::Ephemeral;
use crate::repository::{
    Author, Change, FlowRepository, Operation, Outcome, Precondition, RepositoryError, Revision, Since, Version,
};
use crate::testkit::feed::end;
use crate::testkit::samples::{
    canonical, change, change_all, everything, flow, flow_with, found, id, revision, stamp, stored, time, violations,
};

/// An ephemeral flow is found as any other is, and neither the storage nor what is made of it has a trace of it.
pub async fn ephemeral_flows_are_served_and_never_stored(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*both, Change::create(flow(1, "stored")), stamp(0)).await;
    let end = end(&*store).await;
    let created = change(&*both, Change::create(scratch(2, "scratch", 0)), stamp(1)).await;
    assert_eq!((created.id, created.outcome), (id(2), Outcome::Created));
    let there = stored(&*both, 2).await;
    assert_eq!(Some(&there.version), created.version.as_ref());
    assert_eq!(canonical(&there.item), canonical(&scratch(2, "scratch", 0)));
    let first = stored(&*both, 1).await;
    assert_eq!(listed(&*both).await, [shown(&there), shown(&first)]);

    change(&*both, Change::replace(scratch(2, "scratch", 1)), stamp(2)).await;
    assert!(found(&*store, 2).await.is_none());
    assert_eq!(listed(&*store).await, [shown(&first)]);
    for all in [everything(&*store).await, everything(&*both).await] {
        assert_eq!(all.iter().map(shown).collect::<Vec<_>>(), [shown(&first)], "no snapshot has it");
    }
    change(&*both, Change::delete(id(2)), stamp(3)).await;
    assert!(found(&*both, 2).await.is_none());
    assert!(store.history(id(2), None, 9).await.expect("history works").is_empty());
    assert!(both.deleted().await.expect("deleted works").is_empty());
    assert!(both.changes(Since::After(end), 9).await.expect("changes work").changes.is_empty());
}

/// They begin where no stored flow ever comes, count by one, and go on from there in the next process, for an id that was
/// there before as for any other.
pub async fn their_revisions_count_and_are_no_other_flow_s(store: Arc<dyn FlowRepository>) {
    let mut last = Revision::new((1 << 40) - 1);
    for process in 0..2 {
        // A process that has hardly lived, as far as the clock can tell.
        let begin = time(0) + chrono::TimeDelta::milliseconds(process);
        let both = Ephemeral::over(Arc::clone(&store), begin);
        for life in 0..2 {
            let created = change(&both, Change::create(scratch(1, "a", 0)), stamp(life)).await.version;
            let created = created.expect("a flow has a version");
            assert!(created.revision > last && created.revision.number() < 1 << 53, "{created:?}");
            let expected = Version {
                revision: created.revision,
                created_at: time(life),
                updated_at: time(life),
                author: Author::new("tester"),
            };
            assert_eq!(created, expected);
            let replaced = change(&both, Change::replace(scratch(1, "a", 1)), stamp(10)).await;
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

/// What an engine reports is shown under the revision that was there.
pub async fn reports_to_them_make_no_revision(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    let before = change(&*both, Change::create(scratch(1, "a", 0)), stamp(0)).await.version;
    let report = r#""edit":0.0,"gst_state":"Playing","properties":{"ephemeral":true,"started_at":"now"}"#;
    let reported = flow_with(1, "a", report);
    let at = Precondition::At(before.as_ref().expect("a flow has a version").revision);
    let applied = change(&*both, Change::Put(reported.clone(), at), stamp(1)).await;
    assert_eq!((applied.outcome, &applied.version), (Outcome::Unchanged, &before));
    let now = stored(&*both, 1).await;
    assert_eq!((canonical(&now.item), Some(now.version)), (canonical(&reported), before));
}

/// The history of an ephemeral flow is its current revision, and what the storage knows of its id.
pub async fn their_history_is_what_they_are(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*both, Change::create(scratch(1, "a", 0)), stamp(0)).await;
    change(&*both, Change::create(kept(2, "b", 0)), stamp(0)).await;
    let come = change(&*both, Change::replace(scratch(2, "b", 1)), stamp(1)).await.version.expect("a version").revision;
    let created = stored(&*both, 1).await.version.revision;
    let edited = change(&*both, Change::replace(scratch(1, "a", 1)), stamp(2)).await;
    let edited = edited.version.expect("a version").revision;

    let history = async |number: u32, before: Option<Revision>, limit: u32| {
        let records = both.history(id(number), before, limit).await.expect("history works");
        records.iter().map(|record| (record.revision, record.operation)).collect::<Vec<_>>()
    };
    assert_eq!(history(1, None, 9).await, [(edited, Operation::Update)]);
    assert_eq!(history(1, Some(edited), 9).await, []);
    let (one, two) = (Revision::new(1), Revision::new(2));
    let all = [(come, Operation::Update), (two, Operation::Delete), (one, Operation::Create)];
    assert_eq!(history(2, None, 9).await, all);
    assert_eq!((history(2, None, 2).await, history(2, None, 1).await), (all[..2].to_vec(), all[..1].to_vec()));
    assert_eq!((history(2, Some(come), 9).await, history(2, None, 0).await), (all[1..].to_vec(), vec![]));

    let now = revision(&*both, 1, edited.number()).await.expect("what it is can be read");
    assert_eq!((canonical(&now.item), now.at), (canonical(&scratch(1, "a", 1)), time(2)));
    let place = both.changes(Since::After(now.cursor), 1).await;
    assert!(matches!(place, Err(RepositoryError::Gone)), "it is in no feed: {place:?}");
    assert!(revision(&*both, 1, created.number()).await.is_none(), "what it was is forgotten");
    let same = both.restore(id(1), edited, Precondition::Any, stamp(3)).await.expect("restore works");
    assert_eq!(same.expect("it is there").outcome, Outcome::Unchanged);
}

/// Together they have so many bytes of documents and no more; what is refused for it changes nothing, and what makes less
/// of them is always made.
pub async fn they_have_a_limit_that_says_so(store: Arc<dyn FlowRepository>) {
    let size = |flow: &crate::Flow| flow.document().get().len() as u64;
    let (small, large) = (scratch(1, "a", 0), scratch(1, &"a".repeat(50), 0));
    let room = size(&small) * 2 + 10;
    let both = Ephemeral::with_room(Arc::clone(&store), time(0), room);
    change_all(&both, vec![Change::create(small), Change::create(scratch(2, "b", 0))], stamp(0)).await;
    change(&both, Change::create(kept(3, &"c".repeat(50), 0)), stamp(0)).await;
    let before = (listed(&both).await, listed(&*store).await);
    for refused in [
        vec![Change::replace(large)],
        vec![Change::create(scratch(4, "d", 0)), Change::create(flow(5, "stored"))],
        vec![Change::replace(scratch(3, &"c".repeat(50), 0)), Change::delete(id(2))],
    ] {
        let answer = both.apply(refused, stamp(1)).await;
        assert!(matches!(answer, Err(RepositoryError::NoRoom { limit, wanted }) if wanted > limit), "{answer:?}");
        assert_eq!((listed(&both).await, listed(&*store).await), before, "nothing was written");
    }
    let instead = vec![Change::delete(id(1)), Change::create(scratch(4, "d", 0))];
    change_all(&both, instead, stamp(2)).await;
    change(&both, Change::replace(kept(2, "b", 0)), stamp(3)).await;
    change(&both, Change::create(scratch(5, "e", 0)), stamp(4)).await;
    let bytes = |name: &str| both.measurements().iter().find(|one| one.name == name).map(|one| one.value);
    assert_eq!(bytes("ephemeral_flows"), Some(2.0));
    assert_eq!(bytes("ephemeral_bytes"), Some((size(&scratch(4, "d", 0)) * 2) as f64));
}

/// After the close nothing is served any more, from memory neither.
pub async fn a_closed_store_has_none(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*both, Change::create(scratch(1, "a", 0)), stamp(0)).await;
    assert_eq!(violations(&*both, vec![Change::create(scratch(1, "a", 0))]).await.len(), 1);
    both.close().await;
    let answers = [
        both.get(id(1)).await.err(),
        both.list(&Default::default()).await.err(),
        both.apply(vec![Change::Put(scratch(1, "a", 0), Precondition::Any)], stamp(1)).await.err(),
        both.apply(vec![Change::create(scratch(2, "b", 0))], stamp(1)).await.err(),
        both.history(id(1), None, 1).await.err(),
    ];
    for (index, answer) in answers.iter().enumerate() {
        assert!(matches!(answer, Some(RepositoryError::Unavailable { .. })), "call {index}: {answer:?}");
    }
}
