//! Saves do not block readers, and concurrent saves share a sync.

use std::sync::Arc;
use strom_store::repository::FlowRepositoryExt as _;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::future::join_all;
use strom_store::internals::faulty_disk::{self, Failure, Fault};
use strom_store::internals::samples::{
    change, change_all, create_all, everything, flow, found, id, moment, number, stamp, stored, time,
};
use strom_store::repository::{
    Author, Change, ListQuery, Operation, Precondition, RepositoryError, Retention, Revision, Since, Stamp,
};
use tokio::sync::Barrier;

use strom_test_support::eventually::{HANGS, eventually};
use strom_test_support::json::{File, faults, hasty, lazy};

fn rename(number: u32, name: &str) -> Change {
    Change::Put(flow(number, name), Precondition::Any)
}

#[tokio::test]
async fn readers_do_not_wait_for_a_sync() {
    let file = File::new();
    let disk = file.disk();
    let store = file.open_on(&disk, lazy()).await.unwrap();
    create_all(&*store, [flow(1, "before"), flow(2, "other")]).await;
    disk.hold_syncs(true);
    let saving = tokio::spawn({
        let store = Arc::clone(&store);
        async move { change(&*store, rename(1, "after"), stamp(1)).await }
    });
    eventually("the change is written, but not synced", async || disk.held_syncs() == 1).await;
    let reading = async {
        assert_eq!(
            stored(&*store, 1).await.item.head().name,
            "before",
            "readers do not see a change that a power cut can undo"
        );
        assert_eq!(store.list(&ListQuery::default()).await.unwrap().items.len(), 2);
        assert_eq!(everything(&*store).await.len(), 2);
        assert_eq!(store.history(id(1), None, 10).await.unwrap().len(), 1);
        assert_eq!(store.change_summaries(Since::Oldest, 10).await.unwrap().changes.len(), 2);
    };
    tokio::time::timeout(HANGS, reading).await.expect("readers wait");
    assert!(!saving.is_finished(), "the save is not acknowledged before its sync");
    disk.hold_syncs(false);
    saving.await.unwrap();
    assert_eq!(stored(&*store, 1).await.item.head().name, "after");
}

#[tokio::test]
async fn concurrent_saves_share_a_sync() {
    const SAVERS: u32 = 100;
    let file = File::new();
    let disk = file.disk();
    let store = file.open_on(&disk, lazy()).await.unwrap();
    create_all(&*store, [flow(0, "creates the journal")]).await;
    let calls = disk.calls();
    disk.hold_syncs(true);
    let mut savers = join_all((1..=SAVERS).map(|number| change(&*store, Change::create(flow(number, "a")), stamp(1))));
    assert!((&mut savers).now_or_never().is_none(), "each save has joined the queue and waits");
    eventually("one save syncs", async || disk.held_syncs() == 1).await;
    disk.hold_syncs(false);
    savers.await;
    let used = disk.calls() - calls;
    assert!(used <= 8, "{SAVERS} saves took {used} writes and syncs");
    assert_eq!(everything(&*store).await.len(), SAVERS as usize + 1);
}

/// A failed call of a batch does not fail the other calls of the batch.
#[tokio::test]
async fn conflict_does_not_affect_other_saves_of_the_batch() {
    let file = File::new();
    let disk = file.disk();
    let store = file.open_on(&disk, lazy()).await.unwrap();
    create_all(&*store, [flow(0, "a")]).await;
    disk.hold_syncs(true);
    let mut calls = join_all((0..20).map(|_| store.apply_all(vec![Change::create(flow(1, "one of them"))], stamp(1))));
    assert!((&mut calls).now_or_never().is_none(), "each call has joined the queue and waits");
    disk.hold_syncs(false);
    let mut created = 0;
    for result in calls.await {
        match result {
            Ok(_) => created += 1,
            Err(error) => assert!(matches!(error, RepositoryError::Conflict(_)), "{error:?}"),
        }
    }
    assert_eq!(created, 1);
}

fn on_day(days: i64) -> DateTime<Utc> {
    time(0) + TimeDelta::days(days)
}

fn day(days: i64) -> Stamp {
    Stamp::new(on_day(days), Author::new("tester"))
}

#[tokio::test]
async fn history_is_retained_as_configured() {
    let file = File::new();
    let retention = Retention { revisions: 3, age: TimeDelta::days(10) };
    let settings = || hasty().with_retention(retention);
    let store = file.open_with(settings()).await;
    change_all(&*store, (1..=4).map(|number| Change::create(flow(number, "first"))).collect(), day(0)).await;
    change(&*store, Change::delete(id(3)), day(0)).await;
    let old = store.change_summaries(Since::Oldest, 1).await.unwrap().next;
    // Flow 1 is edited daily, flow 2 is unchanged, and flow 4 is deleted on day 99.
    for edit in 1..=99 {
        change(&*store, rename(1, &format!("edit {edit}")), day(edit)).await;
    }
    change(&*store, Change::delete(id(4)), day(99)).await;
    // Days have passed within seconds, so nothing is deleted until the clock is steady: here, in the next process.
    assert!(faults(&*store).await.contains("the clock has jumped ahead"), "{}", faults(&*store).await);
    store.close().await.unwrap();
    let store = faulty_disk::open(&file.path, on_day(100), settings(), &file.disk()).await.unwrap();
    assert_eq!(faults(&*store).await, "");
    assert_eq!(store.history(id(1), None, 1_000).await.unwrap().len(), 100);
    store.change_summaries(Since::After(old), 1).await.expect("every change is retained");
    // Expired revisions are deleted when the history has doubled, which may take some more changes.
    let mut edit = 99;
    eventually("old changes are deleted", async || {
        edit += 1;
        change(&*store, rename(1, &format!("edit {edit}")), day(100)).await;
        store.change_summaries(Since::After(old), 1).await.is_err_and(|error| matches!(error, RepositoryError::Gone))
    })
    .await;
    store.close().await.unwrap();
    let store = file.open_with(settings()).await;
    let history = async |number| store.history(id(number), None, 1_000).await.unwrap();
    let records = history(1).await;
    let young = records.iter().filter(|record| record.at >= on_day(90)).count();
    assert!(records.iter().any(|record| record.item.name == "edit 90"), "revisions younger than the age are retained");
    assert!(records.len() - young < 60, "{} of {} are old", records.len() - young, records.len());
    assert_eq!(history(2).await.len(), 1, "the current revision is always retained");
    assert_eq!(store.revision(id(2), Revision::FIRST).await.unwrap().unwrap().item.head().name, "first");
    assert_eq!(history(3).await.len(), 0, "the history of an old deletion is removed");
    assert_eq!(history(4).await[0].operation, Operation::Delete, "the history of a young deletion is retained");
    let deleted = store.deleted().await.unwrap();
    assert_eq!(deleted.iter().map(|record| number(record.item.id)).collect::<Vec<_>>(), [4]);
    // Revisions continue after the history is removed.
    assert!(found(&*store, 3).await.is_none());
    let recreated = change(&*store, Change::create(flow(3, "back")), day(101)).await;
    assert_eq!(recreated.version.unwrap().revision, Revision::new(3));
    // The feed starts where it has no gaps.
    let feed = store.change_summaries(Since::Oldest, 10_000).await.unwrap();
    let of_one: Vec<u64> =
        feed.changes.iter().filter(|c| number(c.item.id) == 1).map(|c| c.revision.number()).collect();
    assert!(of_one.windows(2).all(|pair| pair[1] == pair[0] + 1), "{of_one:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn close_ends_during_continuous_saves() {
    /// The store closes after each saver has saved this number of times.
    const SAVES: u32 = 10;
    let file = File::new();
    let store = file.open_with(lazy()).await;
    create_all(&*store, (0..2_000).map(|number| flow(number, "a"))).await;
    let begun = Arc::new(Barrier::new(5));
    let savers: Vec<_> = (0..4)
        .map(|saver| {
            let (store, begun) = (Arc::clone(&store), Arc::clone(&begun));
            tokio::spawn(async move {
                let mut saved = 0;
                while store.apply_all(vec![rename(saver, &format!("edit {saved}"))], stamp(1)).await.is_ok() {
                    saved += 1;
                    if saved == SAVES {
                        begun.wait().await;
                    }
                }
                saved
            })
        })
        .collect();
    begun.wait().await;
    tokio::time::timeout(HANGS, store.close()).await.expect("the store never closes").unwrap();
    let mut saved = Vec::new();
    for saver in savers {
        saved.push(saver.await.unwrap());
    }
    for saved in &saved {
        assert!(file.read().contains(&format!("\"edit {}\"", saved - 1)), "the file contains the last save");
    }
    let store = file.open_with(lazy()).await;
    for (saver, saved) in (0..).zip(saved) {
        let last = stored(&*store, saver).await.item.head().name.clone();
        assert_eq!(last, format!("edit {}", saved - 1), "saves acknowledged during the close are stored");
    }
}

/// The alarm ends when saves are possible again, without another save.
#[tokio::test]
async fn failed_saves_are_reported_until_the_disk_works_again() {
    let file = File::new();
    let disk = file.disk();
    let store = file.open_on(&disk, hasty()).await.unwrap();
    create_all(&*store, [flow(1, "a")]).await;
    eventually("the file is written", async || file.path.exists()).await;
    disk.plan(disk.calls() + 1, Fault::UntilHealed(Failure::Full));
    let save = async || store.apply_all(vec![Change::create(flow(2, "b"))], stamp(2)).await.is_err();
    eventually("a save fails", save).await;
    assert!(!faults(&*store).await.is_empty());
    disk.heal();
    eventually("the fault ends", async || faults(&*store).await.is_empty()).await;
    let before = moment(&*store).await;
    let image = file.as_after_a_crash();
    assert_eq!(moment(&*image.open_with(lazy()).await).await, before);
}
