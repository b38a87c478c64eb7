//! Edits of the file that are based on an earlier version of it, and edits of flows with reports.

use std::fs::File as OsFile;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use strom_store::FlowRepository;
use strom_store::internals::faulty_disk::Fault;
use strom_store::internals::samples::{
    canonical, change, create_all, everything, flow, flow_with, found, id, moment, stamp, stored,
};
use strom_store::json::Settings;
use strom_store::repository::{Change, FlowRepositoryExt as _};

use strom_test_support::eventually::eventually;
use strom_test_support::json::{File, faults, hasty, lazy};

async fn name(store: &dyn FlowRepository, number: u32) -> String {
    found(store, number).await.map_or_else(|| "missing".into(), |stored| stored.item.head().name.clone())
}

async fn names_in_history(store: &dyn FlowRepository, number: u32) -> Vec<String> {
    let records = store.history(id(number), None, 100).await.unwrap();
    records.iter().map(|record| format!("{} {}", record.author.as_str(), record.item.name)).collect()
}

/// Returns the text of the file once it contains these parts.
async fn file_with(file: &File, parts: &[&str]) -> String {
    eventually(&format!("the file contains {parts:?}"), async || {
        file.path.exists() && parts.iter().all(|part| file.read().contains(part))
    })
    .await;
    file.read()
}

/// Replaces the file, as `jq … > new && mv new flows.json` does. Other programs print JSON in their own way.
fn replace_file(file: &File, text: &str) {
    let text: serde_json::Value = serde_json::from_str(text).unwrap();
    let temporary = file.directory().join("edited");
    std::fs::write(&temporary, text.to_string()).unwrap();
    std::fs::rename(temporary, &file.path).unwrap();
}

/// Opens a store with flows 1 to 4. Returns the text of the file then, and a store in which flow 1 was saved, flow 3 deleted
/// and flow 5 created since.
async fn changed_since() -> (File, Arc<dyn FlowRepository>, String) {
    changed_since_with(hasty()).await
}

async fn changed_since_with(settings: Settings) -> (File, Arc<dyn FlowRepository>, String) {
    let file = File::new();
    let store = file.open_with(settings).await;
    create_all(&*store, (1..=4).map(|number| flow(number, &format!("old {number}")))).await;
    let text = file_with(&file, &["old 1", "old 4"]).await;
    change(&*store, Change::replace(flow(1, "saved")), stamp(1)).await;
    change(&*store, Change::delete(id(3)), stamp(2)).await;
    change(&*store, Change::create(flow(5, "new")), stamp(3)).await;
    file_with(&file, &["saved", "new"]).await;
    (file, store, text)
}

async fn has_only_the_real_edit(store: &dyn FlowRepository) {
    let mut names = Vec::new();
    for number in 1..=5 {
        names.push(name(store, number).await);
    }
    assert_eq!(names, ["saved", "by hand", "missing", "old 4", "new"]);
    assert_eq!(names_in_history(store, 1).await, ["tester saved", "tester old 1"]);
    assert_eq!(names_in_history(store, 2).await, ["file by hand", "tester old 2"]);
    assert_eq!(names_in_history(store, 5).await, ["tester new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_edit_changes_only_edited_flows() {
    let (file, store, text) = changed_since().await;
    replace_file(&file, &text.replace("old 2", "by hand"));
    eventually("the edit is adopted", async || name(&*store, 2).await == "by hand").await;
    has_only_the_real_edit(&*store).await;
    let written = file_with(&file, &["saved", "by hand", "new"]).await;
    assert!(!written.contains("old 3"), "{written}");
    // Another edit of the same text does not undo the first one.
    replace_file(&file, &text.replace("old 4", "later"));
    eventually("the edit is adopted", async || name(&*store, 4).await == "later").await;
    assert_eq!((name(&*store, 1).await, name(&*store, 2).await), ("saved".into(), "by hand".into()));
    assert_eq!(faults(&*store).await, "");
}

/// The process was killed after the edit, or before it.
#[tokio::test(flavor = "multi_thread")]
async fn stale_edit_after_a_crash_changes_only_edited_flows() {
    let (file, _store, text) = changed_since().await;
    let image = file.as_after_a_crash();
    replace_file(&image, &text.replace("old 2", "by hand"));
    let store = image.open_with(hasty()).await;
    has_only_the_real_edit(&*store).await;
    // The edit was adopted, but the file may not have been written yet.
    let store = image.as_after_a_crash().open_with(hasty()).await;
    has_only_the_real_edit(&*store).await;
}

/// The process ends at any call to the disk after the editor has read the file.
#[tokio::test(flavor = "multi_thread")]
async fn stale_edit_after_a_crash_at_any_moment_undoes_no_save() {
    let crashes: Vec<bool> = futures::stream::iter(1..=60).map(crash_before_stale_edit).buffered(10).collect().await;
    let count = crashes.iter().filter(|has_crashed| **has_crashed).count();
    assert!((20..60).contains(&count), "{count} crashes cover every call to the disk");
}

/// Stops the disk at this call, edits the file, and opens it again. Returns whether the disk was stopped.
async fn crash_before_stale_edit(call: u64) -> bool {
    let file = File::new();
    let disk = file.disk();
    // Only the editor changes the file.
    let store = file.open_on(&disk, hasty().with_poll(Duration::from_secs(3_600))).await.unwrap();
    create_all(&*store, (1..=4).map(|number| flow(number, &format!("old {number}")))).await;
    let text = file_with(&file, &["old 1", "old 4"]).await;
    disk.plan(disk.calls() + call, Fault::Stop);
    let save = async |change| store.apply_all(vec![change], stamp(1)).await.is_ok();
    let is_saved = save(Change::replace(flow(1, "saved"))).await;
    let is_deleted = save(Change::delete(id(3))).await;
    let is_created = save(Change::create(flow(5, "new"))).await;
    eventually("the disk was stopped, or the store rests", async || {
        let calls = disk.calls();
        tokio::time::sleep(Duration::from_millis(500)).await;
        disk.has_struck() || file.read().contains("new") && disk.calls() == calls
    })
    .await;
    let image = file.as_after_a_crash();
    replace_file(&image, &text.replace("old 2", "by hand"));
    let store = image.open_with(hasty()).await;
    assert_eq!(name(&*store, 2).await, "by hand", "call {call}");
    assert!(!is_saved || name(&*store, 1).await == "saved", "call {call}");
    assert!(!is_deleted || name(&*store, 3).await == "missing", "call {call}");
    assert!(!is_created || name(&*store, 5).await == "new", "call {call}");
    disk.has_struck()
}

/// The process was killed between a checkpoint and its note in the journal, and the file was edited twice since: first in an
/// older version, then in the version without a note.
#[tokio::test(flavor = "multi_thread")]
async fn stale_edit_of_a_version_without_a_note_changes_only_edited_flows() {
    let (file, _store, older) = changed_since_with(hasty().with_journal_bytes(u64::MAX)).await;
    let text = file.read();
    let last_line = |journal: &[u8]| journal[..journal.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let is_note = |line: &[u8]| String::from_utf8_lossy(line).contains(r#""file":7}"#);
    eventually("the checkpoint is noted", async || {
        let journal = file.journal();
        is_note(&journal[last_line(&journal)..])
    })
    .await;
    let image = file.as_after_a_crash();
    let mut journal = image.journal();
    let mut end = journal.len();
    while let note = last_line(&journal[..end])
        && is_note(&journal[note..end])
    {
        end = note;
    }
    journal[end..].fill(0);
    std::fs::write(image.sibling("journal"), journal).unwrap();
    image.write(older.replace("old 4", "first"));
    let store = image.open_with(hasty()).await;
    assert_eq!(name(&*store, 4).await, "first");
    file_with(&image, &["saved", "first", "new"]).await;
    eventually("the checkpoint is noted", async || {
        let journal = image.journal();
        String::from_utf8_lossy(&journal[last_line(&journal)..]).contains(r#""file":8}"#)
    })
    .await;
    let later_image = image.as_after_a_crash();
    replace_file(&image, &text.replace("old 2", "by hand"));
    eventually("the edit is adopted", async || name(&*store, 2).await == "by hand").await;
    assert_eq!(name(&*store, 4).await, "first");
    // The process was killed again before the second edit.
    replace_file(&later_image, &text.replace("old 2", "by hand"));
    let store = later_image.open_with(hasty()).await;
    assert_eq!((name(&*store, 2).await, name(&*store, 4).await), ("by hand".into(), "first".into()));
}

/// An editor saves the same text several times, without reading what clients have changed.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_edits_of_one_old_text_change_only_edited_flows() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    let of = |name: &str, a: u32, b: u32| flow_with(1, name, &format!(r#""a":{a},"b":{b}"#));
    create_all(&*store, [of("one", 1, 1), flow(2, "old 2"), flow(3, "old 3")]).await;
    let mut text = file_with(&file, &["old 3"]).await;
    change(&*store, Change::replace(of("one", 2, 1)), stamp(1)).await;
    change(&*store, Change::create(flow(4, "new 4")), stamp(1)).await;
    file_with(&file, &["new 4"]).await;
    for b in 2..=4 {
        text = text.replace(&format!("\"b\": {}", b - 1), &format!("\"b\": {b}"));
        replace_file(&file, &text);
        let merged = of("one", 2, b);
        eventually("the edit is merged", async || canonical(&stored(&*store, 1).await.item) == canonical(&merged))
            .await;
        // Clients change a flow that the editor changes next, and create one.
        change(&*store, Change::replace(flow(2, &format!("saved {b}"))), stamp(1)).await;
        change(&*store, Change::create(flow(10 + b, "new")), stamp(1)).await;
        file_with(&file, &[&format!("saved {b}")]).await;
    }
    replace_file(&file, &text.replace("old 3", "by hand"));
    eventually("the edit is adopted", async || name(&*store, 3).await == "by hand").await;
    assert_eq!((name(&*store, 2).await, everything(&*store).await.len()), ("saved 4".into(), 7));
    assert_eq!(faults(&*store).await, "");
}

/// A file that an operator restores while no process is running replaces the flows.
#[tokio::test]
async fn earlier_file_is_restored_while_the_store_is_closed() {
    let (file, store, text) = changed_since().await;
    store.close().await.unwrap();
    file.write(&text);
    let store = file.open_with(lazy()).await;
    let names: Vec<_> = everything(&*store).await.iter().map(|flow| flow.item.head().name.clone()).collect();
    assert_eq!(names, ["old 1", "old 2", "old 3", "old 4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unedited_earlier_file_changes_nothing() {
    let (file, store, text) = changed_since().await;
    let before = moment(&*store).await;
    replace_file(&file, &text);
    file_with(&file, &["saved", "new"]).await;
    assert_eq!(moment(&*store).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn edit_by_hand_can_be_undone_by_hand() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(1, "one"), flow(2, "two")]).await;
    let text = file_with(&file, &["one", "two"]).await;
    for edited in [text.replace("one", "by hand"), text] {
        let expected = if edited.contains("by hand") { "by hand" } else { "one" };
        file.write(&edited);
        eventually("the edit is adopted", async || name(&*store, 1).await == expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_are_deleted_by_hand() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, (1..=20).map(|number| flow(number, &format!("flow {number}.")))).await;
    let text = file_with(&file, &["flow 20."]).await;
    let mut edited: serde_json::Value = serde_json::from_str(&text).unwrap();
    let flows = edited["flows"].as_array_mut().unwrap();
    flows.retain(|flow| flow["name"] == "flow 1.");
    replace_file(&file, &edited.to_string());
    eventually("the flows are deleted", async || everything(&*store).await.len() == 1).await;
    assert_eq!(store.deleted().await.unwrap().len(), 19);
    let reported = faults(&*store).await;
    assert!(reported.contains("deleted 19 of 20 flows") && reported.contains("strom undo-edit"), "{reported}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_edit_of_a_saved_flow_is_merged() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow_with(1, "one", r#""a":1,"b":1,"gst_state":"Null""#)]).await;
    let text = file_with(&file, &["\"b\": 1"]).await;
    change(&*store, Change::replace(flow_with(1, "one", r#""a":1,"b":2,"gst_state":"Playing""#)), stamp(1)).await;
    file_with(&file, &["\"b\": 2"]).await;
    replace_file(&file, &text.replace("\"a\": 1", "\"a\": 3"));
    let merged = flow_with(1, "one", r#""a":3,"b":2,"gst_state":"Playing""#);
    eventually("the edits are merged", async || canonical(&stored(&*store, 1).await.item) == canonical(&merged)).await;
    assert_eq!(stored(&*store, 1).await.version.author.as_str(), "file");
    assert_eq!(faults(&*store).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicting_stale_edits_are_reported_and_remain_in_the_history() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    let members = |value: u32| format!(r#""properties":{{"description":"{value}"}},"x":{value}"#);
    create_all(&*store, [flow_with(1, "one", &members(1)), flow(2, "two")]).await;
    let text = file_with(&file, &["two"]).await;
    // Both sides change `x`. Only the client changes the description, so the file is based on the first version.
    change(&*store, Change::replace(flow_with(1, "one", &members(2))), stamp(1)).await;
    change(&*store, Change::delete(id(2)), stamp(1)).await;
    eventually("the file is written", async || !file.read().contains("two")).await;
    replace_file(&file, &text.replace("\"x\": 1", "\"x\": 3").replace("two", "by hand"));
    eventually("the conflicts are reported", async || faults(&*store).await.contains("remains deleted")).await;
    assert!(faults(&*store).await.contains("was edited in the file and saved by a client"));
    assert_eq!(canonical(&stored(&*store, 1).await.item), canonical(&flow_with(1, "one", &members(2))));
    eventually("the edit is in the history", async || names_in_history(&*store, 1).await.len() == 4).await;
    assert!(found(&*store, 2).await.is_none());
    assert_eq!(names_in_history(&*store, 2).await, ["tester by hand", "file by hand", "tester two", "tester two"]);
}

const NULL: &str = r#""gst_state":"Null","running":false"#;
const PLAYING: &str = r#""gst_state":"Playing","running":true"#;

/// An engine reports flow 1, while an editor edits flow 2 and changes the format of the file.
#[tokio::test(flavor = "multi_thread")]
async fn edit_by_hand_undoes_no_report() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow_with(1, "one", NULL), flow(2, "two"), flow_with(3, "three", NULL)]).await;
    let text = file_with(&file, &["three"]).await;
    change(&*store, Change::replace(flow_with(1, "one", PLAYING)), stamp(1)).await;
    change(&*store, Change::replace(flow_with(3, "three", PLAYING)), stamp(1)).await;
    file_with(&file, &["Playing"]).await;
    replace_file(&file, &text.replace("two", "by hand").replace("three", "3"));
    eventually("the edit is adopted", async || name(&*store, 2).await == "by hand").await;
    assert_eq!(canonical(&stored(&*store, 1).await.item), canonical(&flow_with(1, "one", PLAYING)));
    assert_eq!(canonical(&stored(&*store, 3).await.item), canonical(&flow_with(3, "3", PLAYING)));
    let text = file_with(&file, &["Playing", "by hand"]).await;
    // Editors may also change runtime members.
    replace_file(&file, &text.replacen("Playing", "Paused", 1));
    let paused = flow_with(1, "one", &PLAYING.replace("Playing", "Paused"));
    eventually("the edit is adopted", async || canonical(&stored(&*store, 1).await.item) == canonical(&paused)).await;
    assert_eq!(stored(&*store, 1).await.version.revision.number(), 1);
}

/// The journal contains reports that the edited file lacks.
#[tokio::test]
async fn edit_after_a_crash_and_report_before_it_are_merged() {
    let file = File::new();
    let store = file.open_with(lazy()).await;
    create_all(&*store, [flow_with(1, "one", NULL), flow_with(2, "two", NULL), flow_with(3, "three", NULL)]).await;
    store.close().await.unwrap();
    let store = file.open_with(lazy()).await;
    for (number, name) in [(1, "one"), (2, "two")] {
        change(&*store, Change::replace(flow_with(number, name, PLAYING)), stamp(1)).await;
    }
    let image = file.as_after_a_crash();
    let edited = image.read().replace("one", "by hand");
    let mut edited: serde_json::Value = serde_json::from_str(&edited).unwrap();
    edited["flows"][2]["running"] = true.into();
    edited["flows"].as_array_mut().unwrap().reverse();
    image.write(edited.to_string());
    let store = image.open_with(lazy()).await;
    assert_eq!(canonical(&stored(&*store, 1).await.item), canonical(&flow_with(1, "by hand", PLAYING)));
    assert_eq!(canonical(&stored(&*store, 2).await.item), canonical(&flow_with(2, "two", PLAYING)));
    let third = flow_with(3, "three", &NULL.replace("false", "true"));
    assert_eq!(canonical(&stored(&*store, 3).await.item), canonical(&third));
    assert_eq!(names_in_history(&*store, 1).await, ["file by hand", "tester one"]);
    assert_eq!(faults(&*store).await, "");
}

/// The file system stores coarse times, so the edit changes neither the length nor the time of the file.
#[tokio::test(flavor = "multi_thread")]
async fn edit_without_a_later_modification_time_is_detected() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(1, "one")]).await;
    for (before, after) in [("one", "ONE"), ("ONE", "One")] {
        let text = file_with(&file, &[before]).await;
        let time = file.path.metadata().unwrap().modified().unwrap();
        file.write(text.replace(before, after));
        OsFile::options().write(true).open(&file.path).unwrap().set_modified(time).unwrap();
        eventually("the edit is adopted", async || name(&*store, 1).await == after).await;
    }
}

/// A checkpoint does not overwrite such an edit.
#[tokio::test(flavor = "multi_thread")]
async fn edit_without_a_later_modification_time_is_not_overwritten() {
    let file = File::new();
    let store = file.open_with(hasty().with_poll(Duration::from_secs(3_600))).await;
    create_all(&*store, [flow(1, "one"), flow(2, "two")]).await;
    let text = file_with(&file, &["two"]).await;
    let time = file.path.metadata().unwrap().modified().unwrap();
    file.write(text.replace("one", "ONE"));
    OsFile::options().write(true).open(&file.path).unwrap().set_modified(time).unwrap();
    change(&*store, Change::replace(flow(2, "saved")), stamp(1)).await;
    file_with(&file, &["ONE", "saved"]).await;
    assert_eq!((name(&*store, 1).await, name(&*store, 2).await), ("ONE".into(), "saved".into()));
}
