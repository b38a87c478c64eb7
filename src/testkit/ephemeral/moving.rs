//! From the storage into memory and back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::TryStreamExt;

use super::{kept, listed, over, scratch};
use crate::repository::{
    Applied, Change, FlowRepository, ListQuery, Operation, Outcome, Precondition, Revision, Since, ViolationKind,
};
use crate::testkit::feed::{end, read_until};
use crate::testkit::samples::{
    canonical, change, change_all, flow_with, found, id, insist, number, revision, stamp, stored, time, violations,
};

fn revision_of(applied: &Applied) -> Revision {
    applied.version.as_ref().expect("a flow has a version").revision
}

/// A stored flow that becomes ephemeral is deleted from the storage, which keeps its history, and lives on in memory.
pub async fn flows_come_into_memory(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*both, Change::create(kept(1, "a", 0)), stamp(1)).await;
    let begin = end(&*store).await;
    let come = change(&*both, Change::replace_at(scratch(1, "a", 0), Revision::FIRST), stamp(2)).await;
    let version = come.version.expect("a flow has a version");
    assert_eq!((come.outcome, version.created_at, version.updated_at), (Outcome::Replaced, time(1), time(2)));
    assert!(version.revision > Revision::FIRST);
    let there = stored(&*both, 1).await;
    assert_eq!((canonical(&there.item), there.version), (canonical(&scratch(1, "a", 0)), version));

    assert!(found(&*store, 1).await.is_none());
    let gone = revision(&*store, 1, 2).await.expect("the history has the deletion");
    assert_eq!((gone.operation, canonical(&gone.item)), (Operation::Delete, canonical(&kept(1, "a", 0))));
    let told = read_until(&*store, Since::After(begin), 9, |_| true).await;
    assert_eq!(told.iter().map(|record| record.operation).collect::<Vec<_>>(), [Operation::Delete]);
    assert_eq!(store.deleted().await.expect("deleted works").len(), 1);
    assert!(both.deleted().await.expect("deleted works").is_empty(), "the flow is there");
    change(&*both, Change::delete(id(1)), stamp(3)).await;
    let trash = both.deleted().await.expect("deleted works");
    assert_eq!(trash.iter().map(|gone| gone.revision.number()).collect::<Vec<_>>(), [2], "what was stored is there");
}

/// An ephemeral flow that is saved without saying so is stored, once its history goes on and once it begins, and leaves
/// memory.
pub async fn flows_leave_memory(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*both, Change::create(kept(1, "a", 0)), stamp(1)).await;
    change(&*both, Change::replace(scratch(1, "a", 1)), stamp(2)).await;
    change(&*both, Change::create(scratch(2, "b", 1)), stamp(2)).await;
    for (number, expected) in [(1, 3), (2, 1)] {
        let at = Precondition::At(stored(&*both, number).await.version.revision);
        let left = change(&*both, Change::Put(kept(number, "left", 2), at), stamp(3)).await;
        assert_eq!((left.outcome, revision_of(&left)), (Outcome::Replaced, Revision::new(expected)));
        let there = stored(&*both, number).await;
        assert_eq!((there.version.created_at, Some(there.version)), (time(3), left.version));
        assert_eq!(canonical(&there.item), canonical(&stored(&*store, number).await.item));
        // Nothing of it is left in memory.
        change(&*store, Change::delete(id(number)), stamp(4)).await;
        assert!(found(&*both, number).await.is_none());
    }
}

/// A flow that somebody else has stored as ephemeral is served from there, and an engine reports to it there; who changes it
/// takes it into memory.
pub async fn what_others_stored_stays_stored_until_it_is_changed(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*store, Change::create(scratch(1, "a", 0)), stamp(0)).await;
    assert_eq!(stored(&*both, 1).await.version, stored(&*store, 1).await.version);
    let report = r#""edit":0,"gst_state":"Playing","properties":{"ephemeral":true}"#;
    for precondition in [Precondition::At(Revision::FIRST), Precondition::Present, Precondition::Any] {
        let put = Change::Put(flow_with(1, "a", report), precondition);
        let reported = change(&*both, put, stamp(1)).await;
        assert_eq!((reported.outcome, revision_of(&reported)), (Outcome::Unchanged, Revision::FIRST));
        assert_eq!(canonical(&stored(&*store, 1).await.item), canonical(&flow_with(1, "a", report)));
    }
    let found_there = violations(&*both, vec![Change::create(scratch(1, "a", 0))]).await;
    assert!(matches!(found_there[0].kind, ViolationKind::AlreadyExists));
    let changed = change(&*both, Change::replace(scratch(1, "a", 1)), stamp(2)).await;
    assert_eq!(changed.outcome, Outcome::Replaced);
    assert!(found(&*store, 1).await.is_none());
    assert_eq!(canonical(&stored(&*both, 1).await.item), canonical(&scratch(1, "a", 1)));
}

/// What is restored is stored or in memory as its document says, whatever the flow is now.
pub async fn restores_go_where_the_document_says(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    change(&*store, Change::create(scratch(1, "by hand", 0)), stamp(0)).await;
    change(&*store, Change::replace(kept(1, "stored", 1)), stamp(1)).await;
    let restore = async |to: u64, precondition: Precondition| {
        let restored = both.restore(id(1), Revision::new(to), precondition, stamp(2)).await;
        restored.expect("restore works").expect("there is such a revision")
    };
    let at = restore(1, Precondition::At(Revision::new(2))).await;
    assert_eq!((at.outcome, found(&*store, 1).await.is_none()), (Outcome::Replaced, true));
    let now = both.history(id(1), None, 1).await.expect("history works");
    assert_eq!((now[0].operation, now[0].revision), (Operation::Restore, revision_of(&at)));

    let back = restore(2, Precondition::Present).await;
    assert_eq!((back.outcome, revision_of(&back)), (Outcome::Replaced, Revision::new(4)));
    assert_eq!(canonical(&stored(&*store, 1).await.item), canonical(&kept(1, "stored", 1)));
    let now = both.history(id(1), None, 1).await.expect("history works");
    assert_eq!((now[0].operation, now[0].revision), (Operation::Restore, Revision::new(4)));

    change(&*both, Change::delete(id(1)), stamp(3)).await;
    assert_eq!(restore(1, Precondition::Absent).await.outcome, Outcome::Created);
    assert!(found(&*store, 1).await.is_none() && found(&*both, 1).await.is_some());
}

/// Wherever a flow goes and however often, a revision that it has had once is stale for ever.
pub async fn no_revision_means_two_contents(store: Arc<dyn FlowRepository>) {
    let both = over(&store);
    let mut had: HashMap<Revision, u32> = HashMap::new();
    for round in 0..12 {
        let flow = if round % 3 == 0 { kept(1, "a", round) } else { scratch(1, "a", round) };
        let applied = change(&*both, Change::Put(flow, Precondition::Any), stamp(i64::from(round))).await;
        assert_eq!(had.insert(revision_of(&applied), round), None, "{:?} once more", applied.version);
        if round % 4 == 3 {
            let gone = change(&*both, Change::delete(id(1)), stamp(i64::from(round))).await;
            assert_eq!(had.insert(revision_of(&gone), round), None, "{:?} once more", gone.version);
            continue;
        }
        for past in had.keys().filter(|past| Some(**past) != applied.version.as_ref().map(|now| now.revision)) {
            let late = violations(&*both, vec![Change::replace_at(scratch(1, "late", 0), *past)]).await;
            assert!(matches!(late[0].kind, ViolationKind::Stale { .. }), "{past} of {had:?}");
        }
    }
}

/// While a flow goes from the storage into memory and back, together with another that is changed in the same calls, whoever
/// reads finds it, lists have it once, and shows both as one call has left them; and of the changes of many none is lost.
pub async fn a_flow_that_moves_is_never_missing_nor_there_twice(store: Arc<dyn FlowRepository>) {
    const ROUNDS: u32 = 60;
    let both = over(&store);
    change(&*both, Change::create(kept(1, "moves", 0)), stamp(0)).await;
    change(&*both, Change::create(scratch(2, "moves", 0)), stamp(0)).await;
    let is_done = Arc::new(AtomicBool::new(false));
    let reader = |alone: bool| {
        let (both, is_done) = (Arc::clone(&both), Arc::clone(&is_done));
        tokio::spawn(async move {
            let mut last = 0;
            while !is_done.load(Ordering::SeqCst) {
                if alone {
                    let there = found(&*both, 1).await.expect("it is always there");
                    let seen = edit(&there.item);
                    assert!(seen >= last, "{seen} after {last}");
                    last = seen;
                } else {
                    let query = ListQuery { count: true, ..ListQuery::default() };
                    let page = insist(|| both.list(&query)).await.expect("list works");
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
                let reading = insist(|| both.get_each([1, 2, 3].map(id).to_vec()).try_collect());
                let found: Vec<_> = reading.await.expect("they are read");
                let mut numbers: Vec<_> = found.iter().map(|stored| number(stored.item.id())).collect();
                numbers.sort_unstable();
                assert_eq!(numbers, [1, 2], "those that are there, once each");
            }
        }
    });
    let readers = [reader(true), reader(false), by_id];
    for round in 1..=ROUNDS {
        let (one, other) = (scratch(1, "moves", round), kept(2, "moves", round));
        let (one, other) =
            if round % 2 == 1 { (one, other) } else { (kept(1, "moves", round), scratch(2, "moves", round)) };
        let changes = vec![Change::replace(one), Change::replace(other)];
        change_all(&*both, changes, stamp(i64::from(round))).await;
    }
    is_done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.expect("readers find what there is");
    }
    assert_eq!(listed(&*both).await.len(), 2);
}

fn edit(flow: &crate::Flow) -> u32 {
    #[derive(serde::Deserialize)]
    struct Edited {
        edit: u32,
    }
    flow.decode::<Edited>().expect("each has one").edit
}
