//! Measurements of the JSON backend: saves, syncs, checkpoints, unwritten changes and faults.

use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use strom_store::FlowRepository;
use strom_store::internals::faulty_disk::{Failure, Fault};
use strom_store::internals::samples::{change, create_all, flow, stamp};
use strom_store::repository::Change;

use strom_test_support::eventually::{eventually, eventually_some};
use strom_test_support::json::{File, hasty, lazy};

fn measured(store: &dyn FlowRepository, name: &str) -> Option<f64> {
    store.measurements().iter().find(|one| one.name == name).map(|one| one.value)
}

fn faults(store: &dyn FlowRepository) -> Vec<(&'static str, f64)> {
    let faults = store.measurements().into_iter().filter(|one| one.name == "json_faults");
    faults.map(|one| (one.label.unwrap().1, one.value)).filter(|(_, count)| *count > 0.0).collect()
}

#[tokio::test]
async fn saves_and_syncs_are_counted_separately() {
    let file = File::new();
    let disk = file.disk();
    let store = file.open_on(&disk, lazy()).await.unwrap();
    create_all(&*store, [flow(0, "creates the journal")]).await;
    let counts = || (measured(&*store, "json_saves_total"), measured(&*store, "json_syncs_total"));
    assert_eq!(counts(), (Some(1.0), Some(1.0)));
    change(&*store, Change::Put(flow(0, "creates the journal"), strom_store::repository::Precondition::Any), stamp(1))
        .await;
    assert_eq!(counts(), (Some(1.0), Some(1.0)), "a change without effect is not saved");
    disk.hold_syncs(true);
    // The first save may be alone. The calls that arrive during its sync are saved together.
    let mut savers = join_all((1..=50).map(|number| change(&*store, Change::create(flow(number, "a")), stamp(1))));
    assert!((&mut savers).now_or_never().is_none(), "each save has joined the queue and waits");
    disk.hold_syncs(false);
    savers.await;
    let (saves, syncs) = counts();
    assert_eq!(saves, Some(51.0));
    assert!(syncs <= Some(10.0), "{syncs:?}");
}

#[tokio::test]
async fn unwritten_changes_are_measured() {
    let file = File::new();
    let store = file.open_with(lazy()).await;
    let unwritten = || (measured(&*store, "json_unwritten_changes"), measured(&*store, "json_unwritten_seconds"));
    assert_eq!(unwritten(), (Some(0.0), Some(0.0)));
    assert_eq!(measured(&*store, "json_journal_bytes"), Some(0.0));
    create_all(&*store, [flow(1, "a"), flow(2, "b")]).await;
    assert_eq!(unwritten().0, Some(2.0));
    let since = unwritten().1;
    assert!(since > Some(0.0), "{since:?}");
    eventually("the age of the unwritten change increases", async || unwritten().1 > since).await;
    let bytes = file.journal().len();
    assert_eq!(measured(&*store, "json_journal_bytes"), Some(bytes as f64));
    assert_eq!(measured(&*store, "json_checkpoints_total"), Some(0.0));
    store.close().await.unwrap();
    assert_eq!(measured(&*store, "json_checkpoints_total"), Some(1.0));
    assert_eq!(unwritten(), (None, None), "a closed store reports no values");

    let store = file.open_with(hasty()).await;
    assert_eq!(measured(&*store, "json_unwritten_changes"), Some(0.0), "the file contains every change of the journal");
    for number in 3..30 {
        create_all(&*store, [flow(number, "c")]).await;
    }
    eventually("the journal has moved to the history", async || {
        measured(&*store, "json_history_bytes") > Some(0.0) && measured(&*store, "json_unwritten_seconds") == Some(0.0)
    })
    .await;
    assert_eq!(measured(&*store, "json_unwritten_changes"), Some(0.0));
    let history = std::fs::metadata(file.sibling("history")).unwrap().len();
    assert_eq!(measured(&*store, "json_history_bytes"), Some(history as f64));
    assert!(measured(&*store, "json_last_checkpoint_duration_seconds") > Some(0.0));
}

/// A hanging disk must not look like a complete file.
#[tokio::test]
async fn hanging_checkpoint_does_not_hide_unwritten_changes() {
    let file = File::new();
    let disk = file.disk();
    let quiet = Duration::from_millis(50);
    let store = file.open_on(&disk, hasty().with_quiet(quiet).with_poll(Duration::from_secs(3_600))).await.unwrap();
    create_all(&*store, [flow(1, "a")]).await;
    eventually("the file is written", async || measured(&*store, "json_unwritten_seconds") == Some(0.0)).await;
    for number in 2.. {
        create_all(&*store, [flow(number, "b")]).await;
        disk.hold_syncs(true);
        let is_held = eventually_some("the file is being written", async || {
            match (disk.held_syncs(), measured(&*store, "json_unwritten_changes")) {
                (0, changes) => (changes == Some(0.0)).then_some(false),
                _ => Some(true),
            }
        });
        if is_held.await {
            break;
        }
        // The file was complete before the syncs were held.
        disk.hold_syncs(false);
    }
    let since = measured(&*store, "json_unwritten_seconds");
    eventually("the age of the unwritten change increases", async || {
        measured(&*store, "json_unwritten_seconds") > since
    })
    .await;
    assert_eq!(disk.held_syncs(), 1);
    assert_eq!(measured(&*store, "json_unwritten_changes"), Some(1.0));
    disk.hold_syncs(false);
    eventually("the file is written", async || measured(&*store, "json_unwritten_seconds") == Some(0.0)).await;
    assert_eq!(measured(&*store, "json_unwritten_changes"), Some(0.0));
}

#[tokio::test]
async fn failed_checkpoint_is_counted_and_repeated() {
    let file = File::new();
    let disk = file.disk();
    let store = file.open_on(&disk, hasty().with_poll(Duration::from_secs(3_600))).await.unwrap();
    create_all(&*store, [flow(1, "a")]).await;
    eventually("the file is written", async || measured(&*store, "json_checkpoints_total") == Some(1.0)).await;
    disk.hold_syncs(true);
    let mut saving = pin!(create_all(&*store, [flow(2, "b")]));
    assert!(saving.as_mut().now_or_never().is_none(), "the save waits for its sync");
    eventually("the save waits for its sync", async || disk.held_syncs() == 1).await;
    // The first disk call after the sync belongs to the checkpoint.
    disk.plan(disk.calls() + 2, Fault::Once(Failure::Full));
    disk.hold_syncs(false);
    saving.await;
    eventually("the checkpoint fails once", async || measured(&*store, "json_checkpoint_failures_total") == Some(1.0))
        .await;
    eventually("the next checkpoint succeeds", async || measured(&*store, "json_checkpoints_total") == Some(2.0)).await;
    eventually("the fault ends", async || {
        measured(&*store, "json_unwritten_seconds") == Some(0.0) && faults(&*store).is_empty()
    })
    .await;
}

#[tokio::test]
async fn faults_are_counted_by_subject() {
    let file = File::holding(&strom_test_support::json::file_of(&["7", "8", r#"{"id": "nonsense"}"#]));
    let store = file.open_with(hasty()).await;
    assert_eq!(faults(&*store), [("file", 3.0)]);
    file.write("{");
    eventually("the edit is reported as a fault", async || faults(&*store) == [("edit", 1.0), ("file", 3.0)]).await;
}
