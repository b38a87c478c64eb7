//! A snapshot shows all flows at one point in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::samples::{change_all, create_all, everything, flow, flow_with, number, stamp};
use crate::repository::{Change, FlowRepository, ListQuery};

/// A snapshot contains every flow once, ordered by name and id, as in lists and look-ups.
pub async fn snapshots_are_complete_and_in_order(repository: Arc<dyn FlowRepository>) {
    assert!(everything(&*repository).await.is_empty());
    create_all(&*repository, (0..300).map(|number| flow(number, &format!("{}", number * 7 % 50)))).await;
    let snapshot = everything(&*repository).await;
    let list = repository.list(&ListQuery::default()).await.expect("list works").items;
    assert_eq!(snapshot.len(), 300);
    for (a, b) in snapshot.iter().zip(&list) {
        assert_eq!((a.item.head(), &a.version), (b.item.head(), &b.version));
    }
}

/// A snapshot during concurrent calls contains each call entirely or not at all.
pub async fn snapshots_contain_each_call_entirely_or_not_at_all(repository: Arc<dyn FlowRepository>) {
    let round = |round: u32| (0..20).map(move |number| flow_with(number, "together", &format!(r#""round":{round}"#)));
    create_all(&*repository, round(0)).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (repository, done) = (Arc::clone(&repository), Arc::clone(&done));
        async move {
            for number in 1..=30 {
                let mut changes: Vec<Change> = round(number).map(Change::replace).collect();
                changes.push(Change::create(flow(1_000 + number, "another")));
                change_all(&*repository, changes, stamp(i64::from(number))).await;
            }
            done.store(true, Ordering::SeqCst);
        }
    });
    let mut last = false;
    while !last {
        last = done.load(Ordering::SeqCst) || writer.is_finished();
        let snapshot = everything(&*repository).await;
        let (created, together): (Vec<_>, Vec<_>) =
            snapshot.iter().partition(|stored| number(stored.item.id()) > 1_000);
        assert_eq!(together.len(), 20);
        for stored in &together {
            assert_eq!(
                stored.version.revision, together[0].version.revision,
                "the snapshot contains every change of a call"
            );
        }
        let calls = together[0].version.revision.number() - 1;
        assert_eq!(created.len() as u64, calls, "the snapshot contains every change of a call");
    }
    writer.await.expect("the writer does not panic");
}
