//! Flows move between storage and memory.

use crate::repository::FlowRepositoryExt as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::TryStreamExt;

use super::{ephemeral, listed, over, persistent};
use crate::repository::{
    Applied, Change, FlowRepository, ListQuery, Operation, Outcome, Precondition, Revision, Since, ViolationKind,
};
use crate::testkit::feed_reader::{end, read_until};
use crate::testkit::samples::{
    canonical, change, change_all, flow_with, found, id, number, retry_while_busy, revision, stamp, stored, time,
    violations,
};

fn revision_of(applied: &Applied) -> Revision {
    applied.version.as_ref().expect("a flow has a version").revision
}

/// A stored flow that becomes ephemeral is deleted from the storage, which keeps its history, and is served from
/// memory.
pub async fn stored_flow_becomes_ephemeral(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*both, Change::create(persistent(1, "a", 0)), stamp(1)).await;
    let begin = end(&*store).await;
    let moved = change(&*both, Change::replace_at(ephemeral(1, "a", 0), Revision::FIRST), stamp(2)).await;
    let version = moved.version.expect("a flow has a version");
    assert_eq!((moved.outcome, version.created_at, version.updated_at), (Outcome::Replaced, time(1), time(2)));
    assert!(version.revision > Revision::FIRST);
    let current = stored(&*both, 1).await;
    assert_eq!((canonical(&current.item), current.version), (canonical(&ephemeral(1, "a", 0)), version));

    assert!(found(&*store, 1).await.is_none());
    let deletion = revision(&*store, 1, 2).await.expect("the history contains the deletion");
    assert_eq!((deletion.operation, canonical(&deletion.item)), (Operation::Delete, canonical(&persistent(1, "a", 0))));
    let changes = read_until(&*store, Since::After(begin), 9, |_| true).await;
    assert_eq!(changes.iter().map(|record| record.operation).collect::<Vec<_>>(), [Operation::Delete]);
    assert_eq!(store.deleted().await.expect("deleted works").len(), 1);
    assert!(both.deleted().await.expect("deleted works").is_empty(), "the flow exists in memory");
    change(&*both, Change::delete(id(1)), stamp(3)).await;
    let trash = both.deleted().await.expect("deleted works");
    assert_eq!(
        trash.iter().map(|record| record.revision.number()).collect::<Vec<_>>(),
        [2],
        "the deleted stored flow is listed"
    );
}

/// Saving an ephemeral flow without `ephemeral: true` stores it, continues or starts its history, and removes it from
/// memory.
pub async fn ephemeral_flow_becomes_stored(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*both, Change::create(persistent(1, "a", 0)), stamp(1)).await;
    change(&*both, Change::replace(ephemeral(1, "a", 1)), stamp(2)).await;
    change(&*both, Change::create(ephemeral(2, "b", 1)), stamp(2)).await;
    for (number, expected) in [(1, 3), (2, 1)] {
        let at = Precondition::At(stored(&*both, number).await.version.revision);
        let stored_again = change(&*both, Change::Put(persistent(number, "left", 2), at), stamp(3)).await;
        assert_eq!((stored_again.outcome, revision_of(&stored_again)), (Outcome::Replaced, Revision::new(expected)));
        let current = stored(&*both, number).await;
        assert_eq!((current.version.created_at, Some(current.version)), (time(3), stored_again.version));
        assert_eq!(canonical(&current.item), canonical(&stored(&*store, number).await.item));
        // Memory does not contain the flow.
        change(&*store, Change::delete(id(number)), stamp(4)).await;
        assert!(found(&*both, number).await.is_none());
    }
}

/// A flow that another writer stored as ephemeral is served from the storage, including reports. Changing it moves it
/// into memory.
pub async fn flow_stored_as_ephemeral_moves_into_memory_when_changed(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*store, Change::create(ephemeral(1, "a", 0)), stamp(0)).await;
    assert_eq!(stored(&*both, 1).await.version, stored(&*store, 1).await.version);
    let report = r#""edit":0,"gst_state":"Playing","properties":{"ephemeral":true}"#;
    for precondition in [Precondition::At(Revision::FIRST), Precondition::Present, Precondition::Any] {
        let put = Change::Put(flow_with(1, "a", report), precondition);
        let reported = change(&*both, put, stamp(1)).await;
        assert_eq!((reported.outcome, revision_of(&reported)), (Outcome::Unchanged, Revision::FIRST));
        assert_eq!(canonical(&stored(&*store, 1).await.item), canonical(&flow_with(1, "a", report)));
    }
    let rejected = violations(&*both, vec![Change::create(ephemeral(1, "a", 0))]).await;
    assert!(matches!(rejected[0].kind, ViolationKind::AlreadyExists));
    let changed = change(&*both, Change::replace(ephemeral(1, "a", 1)), stamp(2)).await;
    assert_eq!(changed.outcome, Outcome::Replaced);
    assert!(found(&*store, 1).await.is_none());
    assert_eq!(canonical(&stored(&*both, 1).await.item), canonical(&ephemeral(1, "a", 1)));
}

/// The restored document decides whether the flow is stored or kept in memory, wherever the flow was before.
pub async fn restored_document_decides_between_storage_and_memory(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*store, Change::create(ephemeral(1, "by hand", 0)), stamp(0)).await;
    change(&*store, Change::replace(persistent(1, "stored", 1)), stamp(1)).await;
    let restore = async |to: u64, precondition: Precondition| {
        let restored = both.restore(id(1), Revision::new(to), precondition, stamp(2)).await;
        restored.expect("restore works").expect("the revision exists")
    };
    let at = restore(1, Precondition::At(Revision::new(2))).await;
    assert_eq!((at.outcome, found(&*store, 1).await.is_none()), (Outcome::Replaced, true));
    let now = both.history(id(1), None, 1).await.expect("history works");
    assert_eq!((now[0].operation, now[0].revision), (Operation::Restore, revision_of(&at)));

    let back = restore(2, Precondition::Present).await;
    assert_eq!((back.outcome, revision_of(&back)), (Outcome::Replaced, Revision::new(4)));
    assert_eq!(canonical(&stored(&*store, 1).await.item), canonical(&persistent(1, "stored", 1)));
    let now = both.history(id(1), None, 1).await.expect("history works");
    assert_eq!((now[0].operation, now[0].revision), (Operation::Restore, Revision::new(4)));

    change(&*both, Change::delete(id(1)), stamp(3)).await;
    assert_eq!(restore(1, Precondition::Absent).await.outcome, Outcome::Created);
    assert!(found(&*store, 1).await.is_none() && found(&*both, 1).await.is_some());
}

/// A revision that a flow once had stays stale, however often the flow moves.
pub async fn past_revisions_stay_stale_after_every_move(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    let mut used: HashMap<Revision, u32> = HashMap::new();
    for round in 0..12 {
        let flow = if round % 3 == 0 { persistent(1, "a", round) } else { ephemeral(1, "a", round) };
        let applied = change(&*both, Change::Put(flow, Precondition::Any), stamp(i64::from(round))).await;
        assert_eq!(used.insert(revision_of(&applied), round), None, "{:?} is used twice", applied.version);
        if round % 4 == 3 {
            let deleted = change(&*both, Change::delete(id(1)), stamp(i64::from(round))).await;
            assert_eq!(used.insert(revision_of(&deleted), round), None, "{:?} is used twice", deleted.version);
            continue;
        }
        for earlier in used.keys().filter(|earlier| Some(**earlier) != applied.version.as_ref().map(|now| now.revision))
        {
            let late = violations(&*both, vec![Change::replace_at(ephemeral(1, "late", 0), *earlier)]).await;
            assert!(matches!(late[0].kind, ViolationKind::Stale { .. }), "{earlier} of {used:?}");
        }
    }
}

/// While a flow moves between storage and memory together with another one, every read finds it, lists contain it
/// once, and both flows are in the state of the same call. No concurrent change is lost.
pub async fn moving_flow_is_found_exactly_once(store: Arc<dyn FlowRepository>) {
    const ROUNDS: u32 = 60;
    let both = over(&store);
    change(&*both, Change::create(persistent(1, "moves", 0)), stamp(0)).await;
    change(&*both, Change::create(ephemeral(2, "moves", 0)), stamp(0)).await;
    let is_done = Arc::new(AtomicBool::new(false));
    let reader = |by_get: bool| {
        let (both, is_done) = (Arc::clone(&both), Arc::clone(&is_done));
        tokio::spawn(async move {
            let mut last = 0;
            while !is_done.load(Ordering::SeqCst) {
                if by_get {
                    let current = found(&*both, 1).await.expect("the flow always exists");
                    let seen = edit(&current.item);
                    assert!(seen >= last, "{seen} after {last}");
                    last = seen;
                } else {
                    let query = ListQuery { count: true, ..ListQuery::default() };
                    let page = retry_while_busy(|| both.list(&query)).await.expect("list works");
                    let flows: Vec<_> = page.items.iter().map(|it| (number(it.item.id()), edit(&it.item))).collect();
                    assert!(matches!(flows[..], [(1, one), (2, other)] if one == other), "{flows:?}");
                    assert_eq!(page.total, Some(2));
                }
            }
        })
    };
    let by_id = tokio::spawn({
        let (both, is_done) = (Arc::clone(&both), Arc::clone(&is_done));
        async move {
            while !is_done.load(Ordering::SeqCst) {
                let reading = retry_while_busy(|| both.get_each([1, 2, 3].map(id).to_vec()).try_collect());
                let found: Vec<_> = reading.await.expect("get_each works");
                let mut numbers: Vec<_> = found.iter().map(|stored| number(stored.item.id())).collect();
                numbers.sort_unstable();
                assert_eq!(numbers, [1, 2], "existing flows, once each");
            }
        }
    });
    let readers = [reader(true), reader(false), by_id];
    for round in 1..=ROUNDS {
        let (one, other) = (ephemeral(1, "moves", round), persistent(2, "moves", round));
        let (one, other) =
            if round % 2 == 1 { (one, other) } else { (persistent(1, "moves", round), ephemeral(2, "moves", round)) };
        let changes = vec![Change::replace(one), Change::replace(other)];
        change_all(&*both, changes, stamp(i64::from(round))).await;
    }
    is_done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.expect("no reader panics");
    }
    assert_eq!(listed(&*both).await.len(), 2);
}

fn edit(flow: &crate::Flow) -> u32 {
    #[derive(serde::Deserialize)]
    struct Edited {
        edit: u32,
    }
    flow.decode::<Edited>().expect("every document has the member `edit`").edit
}
