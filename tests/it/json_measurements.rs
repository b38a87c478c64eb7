//! What the JSON backend measures: saves and syncs, checkpoints, what the file lacks, and faults.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use strom::FlowRepository;
use strom::json::Settings;
use strom::repository::Change;
use strom::testkit::faults::{Failure, Fault};
use strom::testkit::samples::{change, create_all, flow, stamp};

use crate::support::json::{File, hasty, lazy, until};

fn measured(store: &dyn FlowRepository, name: &str) -> Option<f64> {
    store.measurements().iter().find(|one| one.name == name).map(|one| one.value)
}

fn faults(store: &dyn FlowRepository) -> Vec<(&'static str, f64)> {
    let faults = store.measurements().into_iter().filter(|one| one.name == "json_faults");
    faults.map(|one| (one.label.unwrap().1, one.value)).filter(|(_, count)| *count > 0.0).collect()
}

#[tokio::test]
async fn saves_that_share_a_sync_are_told_apart() {
    let file = File::new();
    let disk = file.disk();
    let store = file.open_on(&disk, lazy()).await.unwrap();
    create_all(&*store, [flow(0, "the journal is there")]).await;
    let counts = || (measured(&*store, "json_saves_total"), measured(&*store, "json_syncs_total"));
    assert_eq!(counts(), (Some(1.0), Some(1.0)));
    change(&*store, Change::Put(flow(0, "the journal is there"), strom::repository::Precondition::Any), stamp(1)).await;
    assert_eq!(counts(), (Some(1.0), Some(1.0)), "what changes nothing is not saved");
    disk.hold_syncs(true);
    let savers: Vec<_> = (1..=50)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { change(&*store, Change::create(flow(number, "a")), stamp(1)).await })
        })
        .collect();
    // The first may be alone; those who come while it syncs are saved together.
    tokio::time::sleep(Duration::from_millis(300)).await;
    disk.hold_syncs(false);
    join_all(savers).await;
    let (saves, syncs) = counts();
    assert_eq!(saves, Some(51.0));
    assert!(syncs <= Some(10.0), "{syncs:?}");
}

#[tokio::test]
async fn what_the_file_lacks_is_measured() {
    let file = File::new();
    let store = file.open_with(lazy()).await;
    let lacks = || (measured(&*store, "json_unwritten_changes"), measured(&*store, "json_unwritten_seconds"));
    assert_eq!(lacks(), (Some(0.0), Some(0.0)));
    assert_eq!(measured(&*store, "json_journal_bytes"), Some(0.0));
    create_all(&*store, [flow(1, "a"), flow(2, "b")]).await;
    until("it has been lacking for a while", async || lacks().1 > Some(0.1)).await;
    assert_eq!(lacks().0, Some(2.0));
    let bytes = file.journal().len();
    assert_eq!(measured(&*store, "json_journal_bytes"), Some(bytes as f64));
    assert_eq!(measured(&*store, "json_checkpoints_total"), Some(0.0));
    store.close().await;
    assert_eq!(measured(&*store, "json_checkpoints_total"), Some(1.0));
    assert_eq!(lacks(), (None, None), "nobody has the files any more");

    let store = file.open_with(hasty()).await;
    assert_eq!(measured(&*store, "json_unwritten_changes"), Some(0.0), "the file has all that the journal has");
    for number in 3..30 {
        create_all(&*store, [flow(number, "c")]).await;
    }
    until("the journal has moved to the history", async || {
        measured(&*store, "json_history_bytes") > Some(0.0) && measured(&*store, "json_unwritten_seconds") == Some(0.0)
    })
    .await;
    assert_eq!(measured(&*store, "json_unwritten_changes"), Some(0.0));
    let history = std::fs::metadata(file.beside("history")).unwrap().len();
    assert_eq!(measured(&*store, "json_history_bytes"), Some(history as f64));
    assert!(measured(&*store, "json_last_checkpoint_duration_seconds") > Some(0.0));
}

/// A disk that hangs must not look like a file that is complete.
#[tokio::test]
async fn a_checkpoint_that_hangs_does_not_hide_what_the_file_lacks() {
    let file = File::new();
    let disk = file.disk();
    let quiet = Duration::from_millis(300);
    let store = file.open_on(&disk, Settings { quiet, poll: Duration::from_secs(3_600), ..hasty() }).await.unwrap();
    create_all(&*store, [flow(1, "a")]).await;
    until("the file is written", async || measured(&*store, "json_unwritten_seconds") == Some(0.0)).await;
    create_all(&*store, [flow(2, "b")]).await;
    disk.hold_syncs(true);
    let calls = disk.calls();
    until("the file is being written", async || disk.calls() > calls).await;
    until("a while has passed", async || measured(&*store, "json_unwritten_seconds") > Some(1.0)).await;
    assert_eq!(measured(&*store, "json_unwritten_changes"), Some(1.0));
    disk.hold_syncs(false);
    until("the file is written", async || measured(&*store, "json_unwritten_seconds") == Some(0.0)).await;
    assert_eq!(measured(&*store, "json_unwritten_changes"), Some(0.0));
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_a_failure_and_a_fault() {
    let file = File::new();
    let disk = file.disk();
    let quiet = Duration::from_millis(300);
    let store = file.open_on(&disk, Settings { quiet, poll: Duration::from_secs(3_600), ..hasty() }).await.unwrap();
    create_all(&*store, [flow(1, "a")]).await;
    disk.plan(disk.calls() + 1, Fault::Once(Failure::Full));
    until("it fails once", async || measured(&*store, "json_checkpoint_failures_total") == Some(1.0)).await;
    until("and then does not", async || measured(&*store, "json_checkpoints_total") == Some(1.0)).await;
    assert_eq!((measured(&*store, "json_unwritten_seconds"), faults(&*store)), (Some(0.0), Vec::new()));
}

#[tokio::test]
async fn faults_are_counted_by_what_they_are_about() {
    let file = File::holding(&crate::support::json::file_of(&["7", "8", r#"{"id": "nonsense"}"#]));
    let store = file.open_with(hasty()).await;
    assert_eq!(faults(&*store), [("file", 3.0)]);
    file.write("{");
    until("the edit is found", async || faults(&*store) == [("edit", 1.0), ("file", 3.0)]).await;
}
