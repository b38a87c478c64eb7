//! Edits by hand and by other programs, while the store is closed and while it is open.

use std::sync::Arc;
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use strom_store::FlowRepository;
use strom_store::internals::samples::{
    canonical, change, create_all, everything, flow, flow_with, found, id, moment, number, stamp, stored, time,
};
use strom_store::repository::{Author, Change, Operation, Outcome, Precondition, RepositoryError, Revision, Since};

use strom_test_support::eventually::eventually;
use strom_test_support::json::{File, faults, file_of, hasty, lazy};
use strom_test_support::ledger::read;

const FIRST: &str = r#"{"id":"57130000-0000-4000-8000-000000000001","name":"first"}"#;
const SECOND: &str = r#"{"id":"57130000-0000-4000-8000-000000000002","name":"second"}"#;

async fn name(store: &dyn FlowRepository, number: u32) -> String {
    found(store, number).await.map_or_else(|| "missing".into(), |stored| stored.item.head().name.clone())
}

async fn names_in_history(store: &dyn FlowRepository, number: u32) -> Vec<String> {
    let records = store.history(id(number), None, 100).await.unwrap();
    records.iter().map(|record| format!("{} {}", record.author.as_str(), record.item.name)).collect()
}

#[tokio::test]
async fn edits_by_hand_are_revisions_with_the_author_file() {
    let file = File::holding(&file_of(&[FIRST, SECOND]));
    let modified = chrono::DateTime::<chrono::Utc>::from(file.path.metadata().unwrap().modified().unwrap());
    let store = file.open_with(hasty()).await;
    let version = stored(&*store, 1).await.version;
    assert_eq!((version.revision, &version.author), (Revision::FIRST, &Author::file()));
    assert_eq!(version.created_at.timestamp_micros(), modified.timestamp_micros());
    create_all(&*store, [flow(3, "third"), flow_with(4, "fourth", r#""n":1.10"#)]).await;
    change(&*store, Change::delete(id(2)), stamp(1)).await;
    store.close().await.unwrap();

    // Edits flow 3, and replaces flow 4 by the deleted flow 2.
    let fourth = "57130000-0000-4000-8000-000000000004";
    let second = "57130000-0000-4000-8000-000000000002";
    file.write(file.read().replace("\"third\"", "\"by hand\"").replace(fourth, second));
    let store = file.open_with(hasty()).await;
    let edited = stored(&*store, 3).await;
    assert_eq!((edited.item.head().name.as_str(), edited.version.revision), ("by hand", Revision::new(2)));
    assert_eq!((edited.version.author, edited.version.created_at), (Author::file(), time(0)));
    assert_eq!(names_in_history(&*store, 3).await, ["file by hand", "tester third"]);
    assert_eq!(stored(&*store, 2).await.version.revision, Revision::new(3), "revisions continue after the deletion");
    assert_eq!(stored(&*store, 1).await.version, version, "an unedited flow keeps its version");

    assert!(found(&*store, 4).await.is_none());
    let deleted = store.deleted().await.unwrap();
    assert_eq!(deleted.iter().map(|record| number(record.item.id)).collect::<Vec<_>>(), [4]);
    assert_eq!((deleted[0].revision, &deleted[0].author), (Revision::new(2), &Author::file()));
    let restored = store.restore(id(4), Revision::new(2), Precondition::Absent, stamp(2)).await.unwrap().unwrap();
    assert_eq!((restored.outcome, restored.version.unwrap().revision), (Outcome::Created, Revision::new(3)));
    let expected = flow_with(4, "fourth", r#""n":1.10"#);
    assert_eq!(canonical(&stored(&*store, 4).await.item), canonical(&expected));
}

/// A client that knows the first edit must not overwrite the second one unnoticed.
#[tokio::test]
async fn two_edits_by_hand_without_a_save_have_two_revisions() {
    let file = File::holding(&file_of(&[FIRST, SECOND]));
    for (name, revision) in [("first", 1), ("edited", 2), ("edited again", 3)] {
        let renamed = FIRST.replace("first", name);
        file.write(file_of(&[&renamed, SECOND]));
        let store = file.open_with(hasty()).await;
        let flow = stored(&*store, 1).await;
        assert_eq!((flow.item.head().name.as_str(), flow.version.revision.number()), (name, revision));
        assert_eq!(stored(&*store, 2).await.version.revision, Revision::FIRST);
        store.close().await.unwrap();
    }
}

/// An older version normalises numbers, drops unknown members, and changes the order.
#[tokio::test]
async fn file_rewritten_by_an_older_version_changes_only_edited_flows() {
    let file = File::holding(&file_of(&[]).replace("{\n  \"v", "{\n  \"unknown\": 1,\n  \"v"));
    let store = file.open_with(hasty()).await;
    for (flow, at) in [(flow(1, "a"), 1), (flow_with(2, "b", r#""x":1.5"#), 2), (flow(3, "c"), 3)] {
        change(&*store, Change::create(flow), stamp(at)).await;
    }
    let before = moment(&*store).await;
    store.close().await.unwrap();
    let mut text: serde_json::Value = serde_json::from_str(&file.read()).unwrap();
    let mut flows = text["flows"].as_array().unwrap().clone();
    flows.reverse();
    flows[1]["x"] = 2.5.into();
    text = serde_json::json!({"version": 1, "flows": flows});
    file.write(serde_json::to_string_pretty(&text).unwrap());
    let store = file.open_with(hasty()).await;
    let after = moment(&*store).await;
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]), "revision, times and author stay");
    let version = &after[1].1;
    assert_eq!((version.revision, version.created_at, &version.author), (Revision::new(2), time(2), &Author::file()));
    assert!(after[1].0.contains("2.5"));
}

/// The process was killed before a checkpoint, and then a user edited the file.
#[tokio::test]
async fn saves_after_the_last_checkpoint_win_over_an_edit_by_hand() {
    let file = File::new();
    let store = file.open_with(lazy()).await;
    create_all(&*store, (1..=4).map(|number| flow(number, "old"))).await;
    store.close().await.unwrap();
    let store = file.open_with(lazy()).await;
    for number in 1..=2 {
        change(&*store, Change::replace(flow(number, "saved")), stamp(1)).await;
    }
    let image = file.as_after_a_crash();
    store.close().await.unwrap();
    let mut text: serde_json::Value = serde_json::from_str(&image.read()).unwrap();
    // The user edits the first and third flow and removes the second. The first two were saved after the checkpoint.
    text["flows"][0]["name"] = "by hand".into();
    text["flows"][2]["name"] = "by hand".into();
    text["flows"].as_array_mut().unwrap().remove(1);
    image.write(serde_json::to_string_pretty(&text).unwrap());

    let store = image.open_with(lazy()).await;
    assert_eq!((name(&*store, 1).await, name(&*store, 2).await), ("saved".into(), "saved".into()));
    assert_eq!((name(&*store, 3).await, name(&*store, 4).await), ("by hand".into(), "old".into()));
    let names = names_in_history(&*store, 1).await;
    assert_eq!(names.first().map(String::as_str).map(|name| name.ends_with("saved")), Some(true), "{names:?}");
    for expected in ["file by hand", "tester saved", "tester old"] {
        assert!(names.iter().any(|name| name == expected), "{expected} is lost: {names:?}");
    }
    assert!(store.deleted().await.unwrap().is_empty());
    let before = moment(&*store).await;
    store.close().await.unwrap();
    let store = image.open_with(lazy()).await;
    assert_eq!(moment(&*store).await, before, "the edit is imported once");
}

/// Opens a store with a written file. The store checks the file for edits every 20 ms.
async fn running() -> (File, Arc<dyn FlowRepository>) {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(1, "one"), flow(2, "two")]).await;
    eventually("the file is written", async || file.path.exists()).await;
    (file, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn edit_by_hand_is_imported_while_running() {
    let (file, store) = running().await;
    let cursor = read(&*store, Since::Oldest, 100).await.1;
    // Some editors write in place (here with the same length), others replace the file.
    file.write(file.read().replace("\"one\"", "\"ONE\""));
    eventually("the edit is imported", async || name(&*store, 1).await == "ONE").await;
    let version = stored(&*store, 1).await.version;
    assert_eq!((version.revision, version.author), (Revision::new(2), Author::file()));
    let third = file
        .read()
        .replace("\"two\"", "\"TWO\"")
        .replace("\n  ]", &format!(",\n    {}\n  ]", FIRST.replace("000000000001", "000000000003")));
    let temporary = file.directory().join("editor");
    std::fs::write(&temporary, third).unwrap();
    std::fs::rename(temporary, &file.path).unwrap();
    eventually("the new file is imported", async || name(&*store, 3).await == "first").await;
    assert_eq!(name(&*store, 2).await, "TWO");
    let (records, _) = read(&*store, Since::After(cursor), 100).await;
    let mut changes: Vec<_> = records
        .iter()
        .map(|record| (number(record.item.id()), record.operation, record.author.as_str().to_owned()))
        .collect();
    changes.sort_by_key(|(number, ..)| *number);
    let by_file = |number, operation| (number, operation, "file".to_owned());
    let expected = [by_file(1, Operation::Update), by_file(2, Operation::Update), by_file(3, Operation::Create)];
    assert_eq!(changes, expected);
    assert_eq!(names_in_history(&*store, 1).await, ["file ONE", "tester one"]);
    change(&*store, Change::replace(flow(2, "saved")), stamp(1)).await;
    store.close().await.unwrap();
    let text = file.read();
    assert!(["\"ONE\"", "\"saved\"", "\"first\""].iter().all(|name| text.contains(name)), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_file_is_not_overwritten_and_saves_continue() {
    let file = File::new();
    // The store checks the file only after a rejected checkpoint.
    let interval = Duration::from_millis(20);
    let store = file.open_with(hasty().with_poll(Duration::from_secs(3_600)).with_interval(interval)).await;
    create_all(&*store, [flow(1, "one"), flow(2, "two")]).await;
    eventually("the file is written", async || file.path.exists()).await;
    let valid = file.read();
    let broken = valid.replace("\"one\"", "\"by hand\"").split_at(valid.len() - 10).0.to_owned();
    file.write(&broken);
    for edit in 0..5 {
        change(&*store, Change::replace(flow(2, &format!("saved {edit}"))), stamp(edit)).await;
        // Each check restores the lock file. The checkpoint before the second check started after the save.
        for _ in 0..2 {
            std::fs::remove_file(file.sibling("lock")).unwrap();
            eventually("the store checks the file", async || file.sibling("lock").exists()).await;
        }
        assert_eq!(file.read(), broken, "the edited file is not overwritten");
    }
    eventually("the fault is reported", async || faults(&*store).await.contains("was edited and is invalid")).await;
    assert_eq!(name(&*store, 2).await, "saved 4");
    file.write(valid.replace("\"one\"", "\"by hand\""));
    eventually("the repaired file is imported", async || name(&*store, 1).await == "by hand").await;
    eventually("no fault is reported", async || faults(&*store).await.is_empty()).await;
    eventually("the file contains edit and save", async || {
        file.read().contains("by hand") && file.read().contains("saved 4")
    })
    .await;
    assert_eq!(name(&*store, 2).await, "saved 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_file_stays_unchanged_at_the_close() {
    let (file, store) = running().await;
    file.write("{\"version\": 1, \"flows\": [");
    change(&*store, Change::replace(flow(2, "saved")), stamp(1)).await;
    let before = moment(&*store).await;
    let error = store.close().await.unwrap_err();
    assert!(matches!(&error, RepositoryError::Incomplete(text) if text.contains("journal")), "{error:?}");
    assert_eq!(file.read(), "{\"version\": 1, \"flows\": [");
    assert!(file.open_on(&file.disk(), hasty()).await.is_err());
    std::fs::remove_file(&file.path).unwrap();
    let store = file.open_with(hasty()).await;
    assert_eq!(moment(&*store).await, before, "the journal contains every change");
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_file_is_written_again() {
    let (file, store) = running().await;
    let before = moment(&*store).await;
    std::fs::remove_file(&file.path).unwrap();
    eventually("the file exists again", async || file.path.exists()).await;
    assert_eq!(moment(&*store).await, before, "removing the file deletes no flow");
    store.close().await.unwrap();
    assert!(file.read().contains("\"two\""));
}

/// The edit happens between a save and the checkpoint.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_edit_by_hand_and_save_are_both_stored() {
    let file = File::new();
    let disk = file.disk();
    // The store checks the file before each checkpoint, and otherwise rarely.
    let store = file.open_on(&disk, hasty().with_poll(Duration::from_secs(3_600))).await.unwrap();
    create_all(&*store, [flow(1, "one"), flow(2, "two")]).await;
    eventually("the file is written", async || file.path.exists()).await;
    disk.hold_syncs(true);
    let saving = tokio::spawn({
        let store = Arc::clone(&store);
        async move { change(&*store, Change::replace(flow(2, "saved")), stamp(1)).await }
    });
    eventually("the save waits for its sync", async || disk.held_syncs() == 1).await;
    file.write(file.read().replace("\"one\"", "\"by hand\""));
    disk.hold_syncs(false);
    saving.await.unwrap();
    eventually("the file contains edit and save", async || {
        file.read().contains("by hand") && file.read().contains("saved")
    })
    .await;
    assert_eq!((name(&*store, 1).await, name(&*store, 2).await), ("by hand".into(), "saved".into()));
    assert_eq!(everything(&*store).await.len(), 2);
}

/// Users may remove files that they do not know.
#[tokio::test]
async fn removed_lock_and_journal_are_restored() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(1, "one")]).await;
    change(&*store, Change::replace(flow(1, "two")), stamp(1)).await;
    for suffix in ["lock", "journal"] {
        std::fs::remove_file(file.sibling(suffix)).unwrap();
        eventually(&format!("the {suffix} exists again"), async || file.sibling(suffix).exists()).await;
    }
    let error = file.try_open().await.unwrap_err();
    assert!(error.problem.contains("in use by the process"), "{}", error.problem);
    change(&*store, Change::replace(flow(1, "three")), stamp(2)).await;
    let image = file.as_after_a_crash();
    let store = image.open_with(hasty()).await;
    assert_eq!(name(&*store, 1).await, "three");
    assert_eq!(store.history(id(1), None, 10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn store_rejects_changes_when_another_process_replaces_the_journal() {
    let file = File::new();
    let first = file.open_with(hasty()).await;
    create_all(&*first, [flow(1, "one")]).await;
    eventually("the file is written", async || file.path.exists()).await;
    let journal = std::fs::read(file.sibling("journal")).unwrap();
    std::fs::write(file.sibling("another"), &journal).unwrap();
    std::fs::rename(file.sibling("another"), file.sibling("journal")).unwrap();
    eventually("the fault is reported", async || faults(&*first).await.contains("another program")).await;
    let error = first.apply_all(vec![Change::replace(flow(1, "two"))], stamp(1)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Unavailable { outcome_unknown: false, .. }), "{error:?}");
    let _ = first.close().await;
    assert_eq!(std::fs::read(file.sibling("journal")).unwrap(), journal);
}

/// The edit comes after the last check for edits, and before the new content replaces the file.
#[tokio::test]
async fn edit_during_a_checkpoint_is_not_overwritten() {
    let file = File::holding(&file_of(&[FIRST, SECOND]));
    let disk = file.disk();
    let store = file.open_on(&disk, lazy()).await.unwrap();
    change(&*store, Change::replace(flow(1, "saved")), stamp(1)).await;
    disk.hold_syncs(true);
    let closing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.close().await }
    });
    let is_prepared = || disk.held_syncs() == 1 && disk.trace().iter().any(|call| call.contains(".tmp"));
    eventually("the new content is written, but not synced", async || is_prepared()).await;
    file.write(file.read().replace("\"second\"", "\"by hand\""));
    disk.hold_syncs(false);
    drop(closing.await.unwrap());

    let store = file.open_with(lazy()).await;
    assert_eq!([name(&*store, 1).await, name(&*store, 2).await], ["saved", "by hand"]);
    assert_eq!(names_in_history(&*store, 2).await, ["file by hand", "file second"]);
    store.close().await.unwrap();
}
