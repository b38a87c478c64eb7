//! Reports are state: the file has them, the history and the journal do not keep them.

use std::sync::Arc;
use std::time::Duration;

use strom_store::internals::samples::{canonical, change, create_all, flow, flow_with, id, stamp, stored};
use strom_store::json::Settings;
use strom_store::repository::{Change, FeedCursor, Operation, Precondition, Since};
use strom_store::{Flow, FlowRepository};

use strom_test_support::eventually::eventually;
use strom_test_support::json::{File, faults, hasty};
use strom_test_support::ledger::read;

const PLAYING: &str = r#""gst_state":"Playing","running":true"#;

fn reported(number: u32, round: u32) -> Flow {
    let padding = "x".repeat(10_000);
    flow_with(number, "a", &format!(r#""padding":"{padding}","block_health":[{round}]"#))
}

fn measured(store: &dyn FlowRepository, name: &str) -> f64 {
    store.measurements().iter().find(|one| one.name == name).map(|one| one.value).unwrap()
}

/// Returns the operations and flows after a cursor.
async fn feed(store: &dyn FlowRepository, since: Since) -> Vec<(Operation, String)> {
    let (records, _) = read(store, since, 3).await;
    records.iter().map(|record| (record.operation, canonical(&record.item))).collect()
}

/// Engines report for ten minutes. The time is paused: it advances by itself while every task waits.
#[tokio::test(start_paused = true)]
async fn continuous_reports_write_the_file_once_per_minute_and_leave_nothing_behind() {
    const FLOWS: u32 = 10;
    const MINUTES: u32 = 10;
    let file = File::new();
    let settings = Settings::default().with_journal_bytes(100_000);
    let store = file.open_with(settings).await;
    create_all(&*store, (1..=FLOWS).map(|number| reported(number, 0))).await;
    eventually("the file is written", async || file.path.exists()).await;
    let length = |suffix: &str| file.sibling(suffix).metadata().map_or(0, |metadata| metadata.len());
    let before = measured(&*store, "json_checkpoints_total");
    let mut longest = 0;
    for round in 1..=MINUTES * 40 {
        for number in 1..=FLOWS {
            change(&*store, Change::replace(reported(number, round)), stamp(i64::from(round))).await;
        }
        longest = longest.max(length("journal"));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    let checkpoints = measured(&*store, "json_checkpoints_total") - before;
    assert!((1.0..=f64::from(MINUTES) + 1.0).contains(&checkpoints), "{checkpoints}");
    // The journal is rotated by each checkpoint, so it contains about the reports of a minute.
    assert!(longest < 2 * 40 * u64::from(FLOWS) * 11_000, "the journal has grown to {longest} bytes");
    // The creations remain.
    assert!(length("history") < 2 * u64::from(FLOWS) * 11_000, "{}", length("history"));
    let last = MINUTES * 40;
    eventually("the file contains the last reports", async || {
        let text: serde_json::Value = serde_json::from_str(&file.read()).unwrap();
        let mut flows = text["flows"].as_array().unwrap().iter();
        flows.all(|flow| flow["block_health"][0] == last)
    })
    .await;
    let states = feed(&*store, Since::Oldest).await;
    assert_eq!(states.iter().filter(|(operation, _)| *operation == Operation::State).count(), FLOWS as usize);
    store.close().await.unwrap();
}

/// Opens a store with flows 1 to 3 whose reports have left the journal. Returns a cursor before the reports.
async fn with_rotated_reports() -> (File, Arc<dyn FlowRepository>, FeedCursor) {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, (1..=3).map(|number| flow(number, &format!("old {number}")))).await;
    let cursor = read(&*store, Since::Oldest, 10).await.1;
    for number in 1..=3 {
        change(&*store, Change::replace(flow_with(number, &format!("old {number}"), PLAYING)), stamp(1)).await;
    }
    let mut round = 0;
    eventually("the reports have left the journal", async || {
        round += 1;
        change(&*store, Change::Put(flow(9, &format!("edit {round}")), Precondition::Any), stamp(2)).await;
        file.path.exists()
            && file.read().contains("Playing")
            && !String::from_utf8_lossy(&file.journal()).contains(r#""op":"state""#)
    })
    .await;
    change(&*store, Change::delete(id(9)), stamp(3)).await;
    (file, store, cursor)
}

fn states(feed: &[(Operation, String)]) -> Vec<String> {
    let states = feed.iter().filter(|(operation, _)| *operation == Operation::State);
    states.map(|(_, document)| document.clone()).collect()
}

fn playing(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    let flow = |number| canonical(&flow_with(number, &format!("old {number}"), PLAYING));
    numbers.into_iter().map(flow).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_reports_remain_in_the_feed_after_they_have_left_the_journal() {
    let (file, store, cursor) = with_rotated_reports().await;
    let history = std::fs::read_to_string(file.sibling("history")).unwrap();
    assert!(!history.contains(r#""op":"state""#), "{history}");
    let before = feed(&*store, Since::After(cursor)).await;
    assert_eq!(states(&before), playing(1..=3));
    let image = file.as_after_a_crash();
    let closed = {
        store.close().await.unwrap();
        file
    };
    for file in [image, closed] {
        let store = file.open_with(hasty()).await;
        assert_eq!(feed(&*store, Since::After(cursor)).await, before);
        // A change removes the report of its flow, and another report replaces it.
        change(&*store, Change::replace(flow_with(1, "new", PLAYING)), stamp(4)).await;
        change(&*store, Change::replace(flow(2, "old 2")), stamp(4)).await;
        let after = states(&feed(&*store, Since::After(cursor)).await);
        assert_eq!(after, [playing([3]), vec![canonical(&flow(2, "old 2"))]].concat());
        store.close().await.unwrap();
    }
}

/// The journal of the killed process does not contain the reports, only the file does.
#[tokio::test(flavor = "multi_thread")]
async fn edit_by_hand_after_a_crash_keeps_reports_that_have_left_the_journal() {
    let (file, _store, _) = with_rotated_reports().await;
    let image = file.as_after_a_crash();
    // The engine of the first flow reports again, and the file lacks that.
    let report = flow_with(1, "old 1", r#""gst_state":"Paused","running":false"#);
    let late = image.open_with(hasty().with_report_interval(Duration::from_secs(3_600))).await;
    eventually("the file is written", async || measured(&*late, "json_unwritten_changes") == 0.0).await;
    change(&*late, Change::replace(report.clone()), stamp(5)).await;
    let image = image.as_after_a_crash();
    let text: serde_json::Value = serde_json::from_str(&image.read().replace("old 2", "by hand")).unwrap();
    // Other programs print JSON in their own way.
    image.write(text.to_string());
    let store = image.open_with(hasty()).await;
    let expected = [report, flow_with(2, "by hand", PLAYING), flow_with(3, "old 3", PLAYING)];
    for (number, expected) in (1..).zip(expected) {
        assert_eq!(canonical(&stored(&*store, number).await.item), canonical(&expected));
    }
    let edited = stored(&*store, 2).await.version;
    assert_eq!((edited.revision.number(), edited.author.as_str()), (2, "file"));
    assert_eq!(stored(&*store, 1).await.version.revision.number(), 1);
}

/// Replaces text in the lines of a journal or history, and updates their checksums.
fn rewritten(text: &str, change: impl Fn(&str) -> String) -> String {
    let line = |line: &str| {
        let body = change(&line[r#"{"crc":"00000000","#.len()..]);
        format!("{{\"crc\":\"{:08x}\",{body}\n", crc32fast::hash(body.as_bytes()))
    };
    text.lines().map(line).collect()
}

/// Older versions moved the newest report of a flow to the history, and did not name it in the journal.
#[tokio::test(flavor = "multi_thread")]
async fn reports_in_the_history_of_an_older_version_are_in_the_feed() {
    let file = File::new();
    let store = file.open_with(hasty().with_journal_bytes(u64::MAX)).await;
    create_all(&*store, [flow(1, "old 1"), flow(2, "old 2")]).await;
    let cursor = read(&*store, Since::Oldest, 10).await.1;
    for number in 1..=2 {
        change(&*store, Change::replace(flow_with(number, &format!("old {number}"), PLAYING)), stamp(1)).await;
    }
    store.close().await.unwrap();
    let journal = String::from_utf8(file.journal()).unwrap();
    let changes: String =
        journal.lines().filter(|line| line.contains(r#""op":"#)).map(|line| format!("{line}\n")).collect();
    assert_eq!(changes.lines().count(), 4);
    // A rotation, so that the journal begins after the reports.
    let store = file.open_with(hasty().with_journal_bytes(1)).await;
    change(&*store, Change::create(flow(3, "new")), stamp(2)).await;
    eventually("the history file exists", async || file.sibling("history").exists()).await;
    store.close().await.unwrap();
    let history = std::fs::read_to_string(file.sibling("history")).unwrap();
    let (header, rest) = history.split_once('\n').unwrap();
    let last = rest.lines().last().unwrap();
    assert!(last.contains("new"), "{last}");
    std::fs::write(file.sibling("history"), format!("{header}\n{changes}{last}\n")).unwrap();
    let journal = String::from_utf8(file.journal()).unwrap();
    let without = |body: &str| match body.split_once(r#","report":"#) {
        Some((before, _)) => format!("{before}}}"),
        None => match body.split_once(r#","read":"#) {
            Some((before, _)) => format!("{before}}}"),
            None => body.to_owned(),
        },
    };
    let old = rewritten(&journal, without);
    assert!(!old.contains("report") && !old.contains("read") && old != journal, "{old}");
    std::fs::write(file.sibling("journal"), old).unwrap();
    for _ in 0..2 {
        let store = file.open_with(hasty()).await;
        assert_eq!(faults(&*store).await, "");
        assert_eq!(states(&feed(&*store, Since::After(cursor)).await), playing(1..=2));
        store.close().await.unwrap();
    }
    let store = file.open_with(hasty()).await;
    change(&*store, Change::replace(flow(1, "old 1")), stamp(4)).await;
    let found = states(&feed(&*store, Since::After(cursor)).await);
    assert_eq!(found, [playing([2]), vec![canonical(&flow(1, "old 1"))]].concat());
}
