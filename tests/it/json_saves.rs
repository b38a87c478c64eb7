//! What saves cost others: readers nothing, those who save at the same time no sync of their own.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use strom::json::Settings;
use strom::repository::{
    Author, Change, ListQuery, Operation, Precondition, RepositoryError, Retention, Revision, Since, Stamp,
};
use strom::testkit::samples::{
    change, change_all, create_all, everything, flow, found, id, number, stamp, stored, time,
};
use tokio::sync::Barrier;

use crate::support::json::{File, hasty, lazy, until};

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
    let calls = disk.calls();
    let saving = tokio::spawn({
        let store = Arc::clone(&store);
        async move { change(&*store, rename(1, "after"), stamp(1)).await }
    });
    until("the change is written, and not synced", async || disk.calls() > calls).await;
    let reading = async {
        assert_eq!(stored(&*store, 1).await.item.head().name, "before", "nobody sees what a power cut can take back");
        assert_eq!(store.list(&ListQuery::default()).await.unwrap().items.len(), 2);
        assert_eq!(everything(&*store).await.len(), 2);
        assert_eq!(store.history(id(1), None, 10).await.unwrap().len(), 1);
        assert_eq!(store.change_summaries(Since::Oldest, 10).await.unwrap().changes.len(), 2);
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("readers wait");
    assert!(!saving.is_finished(), "it is not acknowledged before it is on the disk");
    disk.hold_syncs(false);
    saving.await.unwrap();
    assert_eq!(stored(&*store, 1).await.item.head().name, "after");
}

#[tokio::test]
async fn those_who_save_at_once_share_a_sync() {
    const SAVERS: u32 = 100;
    let file = File::new();
    let disk = file.disk();
    let store = file.open_on(&disk, lazy()).await.unwrap();
    create_all(&*store, [flow(0, "the journal is there")]).await;
    let calls = disk.calls();
    disk.hold_syncs(true);
    let savers: Vec<_> = (1..=SAVERS)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { change(&*store, Change::create(flow(number, "a")), stamp(1)).await })
        })
        .collect();
    until("one of them syncs", async || disk.calls() > calls).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    disk.hold_syncs(false);
    for saver in savers {
        saver.await.unwrap();
    }
    let used = disk.calls() - calls;
    assert!(used <= 8, "{SAVERS} saves took {used} writes and syncs");
    assert_eq!(everything(&*store).await.len(), SAVERS as usize + 1);
}

/// A call that fails alone fails alone, even when it is saved together with others.
#[tokio::test]
async fn a_conflict_concerns_nobody_else() {
    let file = File::new();
    let disk = file.disk();
    let store = file.open_on(&disk, lazy()).await.unwrap();
    create_all(&*store, [flow(0, "a")]).await;
    disk.hold_syncs(true);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.apply(vec![Change::create(flow(1, "one of them"))], stamp(1)).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    disk.hold_syncs(false);
    let mut created = 0;
    for call in calls {
        match call.await.unwrap() {
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
async fn history_is_kept_as_long_as_was_asked_for() {
    let file = File::new();
    let retention = Retention { revisions: 3, age: TimeDelta::days(10) };
    let settings = || Settings { retention, ..hasty() };
    let store = file.open_with(settings()).await;
    change_all(&*store, (1..=4).map(|number| Change::create(flow(number, "first"))).collect(), day(0)).await;
    change(&*store, Change::delete(id(3)), day(0)).await;
    let old = store.change_summaries(Since::Oldest, 1).await.unwrap().next;
    // One a day of flow 1, while 2 stays as it is; 4 goes on the last day but one.
    for edit in 1..=99 {
        change(&*store, rename(1, &format!("edit {edit}")), day(edit)).await;
    }
    change(&*store, Change::delete(id(4)), day(99)).await;
    // The history is looked through when it has doubled, so it may take some more changes.
    let mut edit = 99;
    until("old changes go", async || {
        edit += 1;
        change(&*store, rename(1, &format!("edit {edit}")), day(100)).await;
        store.change_summaries(Since::After(old), 1).await.is_err_and(|error| matches!(error, RepositoryError::Gone))
    })
    .await;
    store.close().await;
    let store = file.open_with(settings()).await;
    let history = async |number| store.history(id(number), None, 1_000).await.unwrap();
    let kept = history(1).await;
    let young = kept.iter().filter(|record| record.at >= on_day(90)).count();
    assert!(kept.iter().any(|record| record.item.name == "edit 90"), "what is younger than the age stays");
    assert!(kept.len() - young < 60, "{} of {} are old", kept.len() - young, kept.len());
    assert_eq!(history(2).await.len(), 1, "what a flow is now never goes");
    assert_eq!(store.revision(id(2), Revision::FIRST).await.unwrap().unwrap().item.head().name, "first");
    assert_eq!(history(3).await.len(), 0, "a flow that was deleted long ago");
    assert_eq!(history(4).await[0].operation, Operation::Delete, "one that was deleted not long ago");
    let deleted = store.deleted().await.unwrap();
    assert_eq!(deleted.iter().map(|record| number(record.item.id)).collect::<Vec<_>>(), [4]);
    // Revisions go on all the same.
    assert!(found(&*store, 3).await.is_none());
    let back = change(&*store, Change::create(flow(3, "back")), day(101)).await;
    assert_eq!(back.version.unwrap().revision, Revision::new(3));
    // And the feed begins where there are no gaps.
    let feed = store.change_summaries(Since::Oldest, 10_000).await.unwrap();
    let of_one: Vec<u64> =
        feed.changes.iter().filter(|c| number(c.item.id) == 1).map(|c| c.revision.number()).collect();
    assert!(of_one.windows(2).all(|pair| pair[1] == pair[0] + 1), "{of_one:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_ends_however_many_save() {
    let file = File::new();
    let store = file.open_with(lazy()).await;
    create_all(&*store, (0..2_000).map(|number| flow(number, "a"))).await;
    let begun = Arc::new(Barrier::new(5));
    let savers: Vec<_> = (0..4)
        .map(|saver| {
            let (store, begun) = (Arc::clone(&store), Arc::clone(&begun));
            tokio::spawn(async move {
                let mut saved = 0;
                while store.apply(vec![rename(saver, &format!("edit {saved}"))], stamp(1)).await.is_ok() {
                    saved += 1;
                    if saved == 1 {
                        begun.wait().await;
                    }
                }
                saved
            })
        })
        .collect();
    begun.wait().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::time::timeout(Duration::from_secs(20), store.close()).await.expect("the store never closes");
    let mut saved = Vec::new();
    for saver in savers {
        saved.push(saver.await.unwrap());
    }
    for saved in &saved {
        assert!(file.read().contains(&format!("\"edit {}\"", saved - 1)), "the file is complete");
    }
    let store = file.open_with(lazy()).await;
    for (saver, saved) in (0..).zip(saved) {
        let last = stored(&*store, saver).await.item.head().name.clone();
        assert_eq!(last, format!("edit {}", saved - 1), "what was acknowledged while it closed is there");
    }
}
