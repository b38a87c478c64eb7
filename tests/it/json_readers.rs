//! Locks and readers: a writer waits for another one. Readers take no lock, so no process waits for them.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use strom_store::FlowRepository;
use strom_store::internals::samples::{change, create_all, everything, flow, number, stamp, time};
use strom_store::json::JsonRepository;
use strom_store::repository::{Change, Precondition, Retention};

use strom_test_support::eventually::{HANGS, eventually};
use strom_test_support::json::{File, faults, hasty, lazy};

/// Saves, checkpoints and rotations happen while the readers read.
#[tokio::test(flavor = "multi_thread")]
async fn readers_next_to_a_busy_writer_see_every_acknowledged_change() {
    let file = File::in_memory();
    // A short history, because every reader reads it.
    let retention = Retention { revisions: 2, age: TimeDelta::zero() };
    let settings = hasty().with_quiet(Duration::from_millis(1)).with_interval(Duration::from_millis(5));
    let settings = settings.with_retention(retention);
    let store = file.open_with(settings).await;
    let (last, is_over) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
    let saving = tokio::spawn({
        let (store, last, is_over) = (Arc::clone(&store), Arc::clone(&last), Arc::clone(&is_over));
        async move {
            for at in 1.. {
                let text = format!("edit {at}");
                change(&*store, Change::Put(flow((at % 5) as u32, &text), Precondition::Any), stamp(at)).await;
                last.store(at, Ordering::SeqCst);
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
            }
        }
    });
    eventually("the history exists", async || file.sibling("history").exists()).await;
    for _ in 0..50 {
        let before = last.load(Ordering::SeqCst);
        let reader = JsonRepository::open_read_only(&file.path, time(0)).await.unwrap();
        assert_eq!(faults(&reader).await, "");
        let flows = everything(&reader).await;
        let newest = flows.iter().map(|stored| stored.item.head().name["edit ".len()..].parse::<i64>().unwrap()).max();
        assert!(newest >= Some(before), "{newest:?} is older than {before}");
        for stored in flows {
            let history = reader.history(stored.item.id(), None, 1).await.unwrap();
            assert_eq!(history[0].item.name, stored.item.head().name, "{}", number(stored.item.id()));
            assert_eq!(stored.version.author.as_str(), "tester", "no save is mistaken for an edit");
        }
    }
    is_over.store(true, Ordering::SeqCst);
    saving.await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn open_waits_until_another_writer_closes_the_file() {
    let file = File::new();
    let first = file.open_with(lazy()).await;
    create_all(&*first, [flow(1, "a")]).await;
    let path = file.path.clone();
    let second =
        tokio::spawn(async move { JsonRepository::open_with(&path, time(0), lazy().with_lock_wait(HANGS)).await });
    assert!(file.try_open().await.is_err());
    assert!(!second.is_finished());
    first.close().await.unwrap();
    assert_eq!(everything(&second.await.unwrap().unwrap()).await.len(), 1);
}

#[tokio::test]
async fn lock_file_names_its_writer_and_no_finished_process() {
    let file = File::new();
    let url = "http://127.0.0.1:8080";
    let store = file.open_with(lazy().with_url(Some(url.into()))).await;
    let owner = || serde_json::from_slice::<serde_json::Value>(&fs::read(file.sibling("lock")).unwrap()).unwrap();
    let expected = owner();
    assert_eq!((&expected["process"], &expected["url"]), (&std::process::id().into(), &url.into()));
    assert!(expected["host"].is_string());
    let error = file.try_open().await.unwrap_err();
    assert!(error.problem.ends_with(&format!(", which serves {url}")), "{}", error.problem);
    create_all(&*store, [flow(1, "a")]).await;
    JsonRepository::open_read_only(&file.path, time(0)).await.unwrap().close().await.unwrap();
    assert_eq!(owner(), expected, "readers do not change the lock file");
    store.close().await.unwrap();
    assert_eq!(fs::read_to_string(file.sibling("lock")).unwrap(), "");
}
