//! Edits by hand and by other programs, while no Strom runs and while one does.

use std::time::Duration;

use strom::FlowRepository;
use strom::json::Settings;
use strom::repository::{Author, Change, Operation, Outcome, Precondition, RepositoryError, Revision, Since};
use strom::testkit::samples::{
    canonical, change, create_all, everything, flow, flow_with, found, id, moment, number, stamp, stored, time,
};

use crate::support::json::{File, faults, file_of, hasty, lazy, until};
use crate::support::ledger::read;

const FIRST: &str = r#"{"id":"57130000-0000-4000-8000-000000000001","name":"first"}"#;
const SECOND: &str = r#"{"id":"57130000-0000-4000-8000-000000000002","name":"second"}"#;

async fn name(store: &dyn FlowRepository, number: u32) -> String {
    found(store, number).await.map_or_else(|| "gone".into(), |stored| stored.item.head().name.clone())
}

async fn names_in_history(store: &dyn FlowRepository, number: u32) -> Vec<String> {
    let records = store.history(id(number), None, 100).await.unwrap();
    records.iter().map(|record| format!("{} {}", record.author.as_str(), record.item.name)).collect()
}

#[tokio::test]
async fn edits_by_hand_are_revisions_by_file() {
    let file = File::holding(&file_of(&[FIRST, SECOND]));
    let modified = chrono::DateTime::<chrono::Utc>::from(file.path.metadata().unwrap().modified().unwrap());
    let store = file.open_with(hasty()).await;
    let version = stored(&*store, 1).await.version;
    assert_eq!((version.revision, &version.author), (Revision::FIRST, &Author::file()));
    assert_eq!(version.created_at.timestamp_micros(), modified.timestamp_micros());
    create_all(&*store, [flow(3, "third"), flow_with(4, "fourth", r#""n":1.10"#)]).await;
    change(&*store, Change::delete(id(2)), stamp(1)).await;
    store.close().await;

    // One edited, one taken out, one that was deleted put back.
    let fourth = "57130000-0000-4000-8000-000000000004";
    let second = "57130000-0000-4000-8000-000000000002";
    file.write(file.read().replace("\"third\"", "\"by hand\"").replace(fourth, second));
    let store = file.open_with(hasty()).await;
    let edited = stored(&*store, 3).await;
    assert_eq!((edited.item.head().name.as_str(), edited.version.revision), ("by hand", Revision::new(2)));
    assert_eq!((edited.version.author, edited.version.created_at), (Author::file(), time(0)));
    assert_eq!(names_in_history(&*store, 3).await, ["file by hand", "tester third"]);
    assert_eq!(stored(&*store, 2).await.version.revision, Revision::new(3), "goes on after its deletion");
    assert_eq!(stored(&*store, 1).await.version, version, "what was not edited stays");

    assert!(found(&*store, 4).await.is_none());
    let deleted = store.deleted().await.unwrap();
    assert_eq!(deleted.iter().map(|record| number(record.item.id)).collect::<Vec<_>>(), [4]);
    assert_eq!((deleted[0].revision, &deleted[0].author), (Revision::new(2), &Author::file()));
    let back = store.restore(id(4), Revision::new(2), Precondition::Absent, stamp(2)).await.unwrap().unwrap();
    assert_eq!((back.outcome, back.version.unwrap().revision), (Outcome::Created, Revision::new(3)));
    let expected = flow_with(4, "fourth", r#""n":1.10"#);
    assert_eq!(canonical(&stored(&*store, 4).await.item), canonical(&expected));
}

/// An editor that has seen the first must not overwrite the second unawares.
#[tokio::test]
async fn two_edits_by_hand_without_a_save_between_them_have_two_revisions() {
    let file = File::holding(&file_of(&[FIRST, SECOND]));
    for (name, revision) in [("first", 1), ("edited", 2), ("edited again", 3)] {
        let renamed = FIRST.replace("first", name);
        file.write(file_of(&[&renamed, SECOND]));
        let store = file.open_with(hasty()).await;
        let flow = stored(&*store, 1).await;
        assert_eq!((flow.item.head().name.as_str(), flow.version.revision.number()), (name, revision));
        assert_eq!(stored(&*store, 2).await.version.revision, Revision::FIRST);
        store.close().await;
    }
}

/// It reads numbers as it can, drops what it does not know, and writes in an order of its own.
#[tokio::test]
async fn an_older_strom_changes_what_it_changes() {
    let file = File::holding(&file_of(&[]).replace("{\n  \"v", "{\n  \"unknown\": 1,\n  \"v"));
    let store = file.open_with(hasty()).await;
    for (flow, at) in [(flow(1, "a"), 1), (flow_with(2, "b", r#""x":1.5"#), 2), (flow(3, "c"), 3)] {
        change(&*store, Change::create(flow), stamp(at)).await;
    }
    let before = moment(&*store).await;
    store.close().await;
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

/// Strom was killed before its last saves had reached the file, and then somebody edited the file.
#[tokio::test]
async fn what_was_saved_stays_above_an_edit_of_an_older_file() {
    let file = File::new();
    let store = file.open_with(lazy()).await;
    create_all(&*store, (1..=4).map(|number| flow(number, "old"))).await;
    store.close().await;
    let store = file.open_with(lazy()).await;
    for number in 1..=2 {
        change(&*store, Change::replace(flow(number, "saved")), stamp(1)).await;
    }
    let image = file.as_after_a_crash();
    store.close().await;
    let mut text: serde_json::Value = serde_json::from_str(&image.read()).unwrap();
    // The first and the third are edited, the second is taken out; the first two were saved since.
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
    store.close().await;
    let store = image.open_with(lazy()).await;
    assert_eq!(moment(&*store).await, before, "once and not again");
}

/// The file is written, and looked at every 20 ms.
async fn running() -> (File, std::sync::Arc<dyn FlowRepository>) {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(1, "one"), flow(2, "two")]).await;
    until("the file is written", async || file.path.exists()).await;
    (file, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_noticed_while_running() {
    let (file, store) = running().await;
    let cursor = read(&*store, Since::Oldest, 100).await.1;
    // Of the same length, in place, as some editors do it; then by a new file, as others do.
    file.write(file.read().replace("\"one\"", "\"ONE\""));
    until("the edit is seen", async || name(&*store, 1).await == "ONE").await;
    let version = stored(&*store, 1).await.version;
    assert_eq!((version.revision, version.author), (Revision::new(2), Author::file()));
    let third = file
        .read()
        .replace("\"two\"", "\"TWO\"")
        .replace("\n  ]", &format!(",\n    {}\n  ]", FIRST.replace("000000000001", "000000000003")));
    let beside = file.directory().join("editor");
    std::fs::write(&beside, third).unwrap();
    std::fs::rename(beside, &file.path).unwrap();
    until("the new file is seen", async || name(&*store, 3).await == "first").await;
    assert_eq!(name(&*store, 2).await, "TWO");
    let (records, _) = read(&*store, Since::After(cursor), 100).await;
    let mut told: Vec<_> = records
        .iter()
        .map(|record| (number(record.item.id()), record.operation, record.author.as_str().to_owned()))
        .collect();
    told.sort_by_key(|(number, ..)| *number);
    let by_file = |number, operation| (number, operation, "file".to_owned());
    let expected = [by_file(1, Operation::Update), by_file(2, Operation::Update), by_file(3, Operation::Create)];
    assert_eq!(told, expected);
    assert_eq!(names_in_history(&*store, 1).await, ["file ONE", "tester one"]);
    change(&*store, Change::replace(flow(2, "saved")), stamp(1)).await;
    store.close().await;
    let text = file.read();
    assert!(["\"ONE\"", "\"saved\"", "\"first\""].iter().all(|name| text.contains(name)), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_not_overwritten_and_saves_go_on() {
    let (file, store) = running().await;
    let good = file.read();
    let broken = good.replace("\"one\"", "\"by hand\"").split_at(good.len() - 10).0.to_owned();
    file.write(&broken);
    until("it is told", async || !faults(&*store).await.is_empty()).await;
    for edit in 0..5 {
        change(&*store, Change::replace(flow(2, &format!("saved {edit}"))), stamp(edit)).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(file.read(), broken, "nobody's work is overwritten");
    }
    assert_eq!(name(&*store, 2).await, "saved 4");
    file.write(good.replace("\"one\"", "\"by hand\""));
    until("it is read", async || name(&*store, 1).await == "by hand").await;
    until("it is well", async || faults(&*store).await.is_empty()).await;
    until("both are in it", async || file.read().contains("by hand") && file.read().contains("saved 4")).await;
    assert_eq!(name(&*store, 2).await, "saved 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_broken_at_the_close_stays_as_it_is() {
    let (file, store) = running().await;
    file.write("{\"version\": 1, \"flows\": [");
    change(&*store, Change::replace(flow(2, "saved")), stamp(1)).await;
    let before = moment(&*store).await;
    store.close().await;
    assert_eq!(file.read(), "{\"version\": 1, \"flows\": [");
    assert!(file.open_on(&file.disk(), hasty()).await.is_err());
    std::fs::remove_file(&file.path).unwrap();
    let store = file.open_with(hasty()).await;
    assert_eq!(moment(&*store).await, before, "the journal has everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_removed_is_written_again() {
    let (file, store) = running().await;
    let before = moment(&*store).await;
    std::fs::remove_file(&file.path).unwrap();
    until("it is there again", async || file.path.exists()).await;
    assert_eq!(moment(&*store).await, before, "to remove the file is not to delete the flows");
    store.close().await;
    assert!(file.read().contains("\"two\""));
}

/// The right moment for a mistake: an edit comes just when the file is to be written.
#[tokio::test(flavor = "multi_thread")]
async fn edits_and_saves_at_once_lose_neither() {
    let file = File::new();
    // Looks at the file before it writes it, and else seldom.
    let settings = Settings { poll: Duration::from_secs(3_600), quiet: Duration::from_millis(100), ..hasty() };
    let store = file.open_with(settings).await;
    create_all(&*store, [flow(1, "one"), flow(2, "two")]).await;
    until("the file is written", async || file.path.exists()).await;
    change(&*store, Change::replace(flow(2, "saved")), stamp(1)).await;
    file.write(file.read().replace("\"one\"", "\"by hand\""));
    until("both are in it", async || file.read().contains("by hand") && file.read().contains("saved")).await;
    assert_eq!((name(&*store, 1).await, name(&*store, 2).await), ("by hand".into(), "saved".into()));
    assert_eq!(everything(&*store).await.len(), 2);
}

/// People who find files that they do not know tidy up.
#[tokio::test]
async fn what_is_removed_beside_the_file_is_put_back() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(1, "one")]).await;
    change(&*store, Change::replace(flow(1, "two")), stamp(1)).await;
    for suffix in ["lock", "journal"] {
        std::fs::remove_file(file.beside(suffix)).unwrap();
        until(&format!("the {suffix} is there again"), async || file.beside(suffix).exists()).await;
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
async fn nothing_is_written_beside_another_process_that_has_taken_over() {
    let file = File::new();
    let first = file.open_with(hasty()).await;
    create_all(&*first, [flow(1, "one")]).await;
    until("the file is written", async || file.path.exists()).await;
    let journal = std::fs::read(file.beside("journal")).unwrap();
    std::fs::write(file.beside("another"), &journal).unwrap();
    std::fs::rename(file.beside("another"), file.beside("journal")).unwrap();
    until("it is noticed", async || faults(&*first).await.contains("another process")).await;
    let error = first.apply(vec![Change::replace(flow(1, "two"))], stamp(1)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::ReadOnly(_)), "{error:?}");
    first.close().await;
    assert_eq!(std::fs::read(file.beside("journal")).unwrap(), journal);
}
