//! The journal or the history is cut off, damaged or missing. The store opens, keeps the intact part, and reports the
//! fault.

use std::path::PathBuf;
use strom_store::repository::FlowRepositoryExt as _;

use chrono::TimeDelta;
use futures::{StreamExt, stream};
use strom_store::FlowRepository;
use strom_store::internals::samples::{change, create_all, flow, flow_with, found, id, moment, stamp, stored};
use strom_store::repository::{Change, FeedCursor, Precondition, RepositoryError, Retention, Since, Version};

use strom_test_support::eventually::eventually;
use strom_test_support::json::{File, faults, hasty, lazy};
use strom_test_support::ledger::read;

fn is_change(line: &[u8]) -> bool {
    line.get(r#"{"crc":"00000000","#.len()..).is_some_and(|rest| rest.starts_with(br#""id":"#))
}

type Moment = Vec<(String, Version)>;

/// A store without a checkpoint: its content and the length of its journal after each save.
struct WithoutCheckpoint {
    file: File,
    moments: Vec<(Moment, u64)>,
    cursor: FeedCursor,
}

async fn without_checkpoint() -> WithoutCheckpoint {
    let file = File::new();
    let store = file.open_with(lazy()).await;
    let mut moments = Vec::new();
    let calls = [
        vec![Change::create(flow(1, "one"))],
        vec![Change::create(flow_with(2, "two", r#""x":[1.10,"é"]"#))],
        vec![Change::create(flow(3, "three"))],
        vec![Change::replace(flow(1, "one, second"))],
        vec![Change::create(flow(4, "four")), Change::delete(id(3)), Change::replace(flow(1, "one, third"))],
    ];
    for (call, at) in calls.into_iter().zip(0..) {
        store.apply_all(call, stamp(at)).await.unwrap();
        moments.push((moment(&*store).await, file.journal().len() as u64));
    }
    let cursor = read(&*store, Since::Oldest, 100).await.1;
    let copy = file.as_after_a_crash();
    store.close().await.unwrap();
    WithoutCheckpoint { file: copy, moments, cursor }
}

#[tokio::test]
async fn journal_cut_at_any_byte_opens_with_complete_calls() {
    let WithoutCheckpoint { file, moments, .. } = without_checkpoint().await;
    let journal = file.journal();
    let ends: Vec<u64> = moments.iter().map(|(_, end)| *end).collect();
    assert!(ends.is_sorted_by(|a, b| a < b) && *ends.last().unwrap() == journal.len() as u64, "{ends:?}");
    let (journal, ends, moments) = (&journal, &ends, &moments);
    // Several positions concurrently, because each one mostly waits for another thread.
    stream::iter(ends[2]..=ends[4])
        .for_each_concurrent(16, async |cut| {
            // After a power cut, preallocated zeros may follow the cut.
            let zeros = if cut % 2 == 0 { 0 } else { 5_000 };
            let cut_off = File::in_memory();
            std::fs::write(cut_off.sibling("journal"), [&journal[..cut as usize], &vec![0; zeros]].concat()).unwrap();
            let store = cut_off.open_with(lazy()).await;
            let calls = ends.iter().filter(|end| **end <= cut).count();
            let found = moment(&*store).await;
            // If only the line feed is missing, the call may be complete.
            let complete = ends.contains(&(cut + 1)) && found == moments[calls].0;
            assert!(complete || found == moments[calls - 1].0, "cut at {cut} of {ends:?}, {zeros} zeros");
            assert!(!faults(&*store).await.contains("cannot be read"), "an incomplete call at the end is not a fault");
            // Later saves are not lost behind the remains.
            change(&*store, Change::create(flow(9, "after")), stamp(9)).await;
            let after = moment(&*store).await;
            let reopened = cut_off.as_after_a_crash();
            let second = reopened.open_with(lazy()).await;
            assert_eq!(moment(&*second).await, after, "cut at {cut}, opened twice");
            // A close writes the complete file. A sample of positions is enough.
            if cut % 16 == 0 {
                store.close().await.unwrap();
                second.close().await.unwrap();
            }
        })
        .await;
}

/// The disk may write the parts of an append in any order. An append with a missing part is incomplete.
#[tokio::test]
async fn unsynced_append_with_missing_parts_is_discarded() {
    let WithoutCheckpoint { file, moments, .. } = without_checkpoint().await;
    let journal = file.journal();
    let (start, end) = (moments[3].1 as usize, moments[4].1 as usize);
    for missing in [start..start + 1, start..start + 100, start + 50..start + 400, start..end - 20, start + 1..end] {
        let mut found = journal.clone();
        found[missing.clone()].fill(0);
        std::fs::write(file.sibling("journal"), found).unwrap();
        let image = file.as_after_a_crash();
        let store = image.open_with(lazy()).await;
        assert_eq!(moment(&*store).await, moments[3].0, "without {missing:?} of {start}..{end}");
        assert!(!faults(&*store).await.contains("cannot be read"));
        store.close().await.unwrap();
    }
}

/// Returns copies of the journal with several kinds of damage between two positions.
fn damaged(journal: &[u8], start: u64, end: u64) -> Vec<Vec<u8>> {
    let (start, end) = (start as usize, end as usize);
    let mut all = Vec::new();
    for index in [start, start + 3, (start + end) / 2, end - 3, end - 1] {
        let mut flipped = journal.to_vec();
        flipped[index] ^= 0x01;
        all.push(flipped);
    }
    let mut zeros = journal.to_vec();
    zeros[start..end].fill(0);
    all.push(zeros);
    all.push([&journal[..start + 10], &journal[start + 20..]].concat());
    all
}

#[tokio::test]
async fn damage_in_the_middle_of_the_journal_is_reported_and_loses_only_that_call() {
    let WithoutCheckpoint { file, moments, cursor } = without_checkpoint().await;
    let journal = file.journal();
    for bytes in damaged(&journal, moments[0].1, moments[1].1) {
        std::fs::write(file.sibling("journal"), &bytes).unwrap();
        let image = file.as_after_a_crash();
        let store = image.open_with(lazy()).await;
        for (number, name) in [(1, "one, third"), (4, "four")] {
            assert_eq!(stored(&*store, number).await.item.head().name, name);
        }
        assert!(found(&*store, 3).await.is_none());
        wait_for_fault(&image, &*store, "journal").await;
        assert_eq!(damaged_journals(&image), [bytes], "the damaged original is preserved");
        let error = store.changes(Since::After(cursor), 10).await.unwrap_err();
        assert!(matches!(error, RepositoryError::Gone), "{error:?}");
        store.changes(Since::Now, 10).await.unwrap();
        create_all(&*store, [flow(9, "after")]).await;
        let after = moment(&*store).await;
        store.close().await.unwrap();
        let store = image.open_with(lazy()).await;
        assert_eq!(moment(&*store).await, after);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn damaged_journal_loses_no_flow_if_the_file_is_complete() {
    let file = File::new();
    let store = file.open_with(lazy()).await;
    let mut ends = Vec::new();
    for number in 1..=4 {
        create_all(&*store, [flow(number, "a")]).await;
        ends.push(file.journal().len() as u64);
    }
    let documents = |moment: Moment| moment.into_iter().map(|(document, _)| document).collect::<Vec<_>>();
    let before = documents(moment(&*store).await);
    store.close().await.unwrap();
    let journal = std::fs::read(file.sibling("journal")).unwrap();
    for bytes in damaged(&journal, ends[0], ends[1]) {
        std::fs::write(file.sibling("journal"), &bytes).unwrap();
        let image = file.as_after_a_crash();
        let store = image.open_with(lazy()).await;
        assert_eq!(documents(moment(&*store).await), before);
        wait_for_fault(&image, &*store, "journal").await;
        store.close().await.unwrap();
    }
    // A missing journal loses no flow either.
    std::fs::remove_file(file.sibling("journal")).unwrap();
    let store = file.open_with(lazy()).await;
    assert_eq!(documents(moment(&*store).await), before);
}

#[tokio::test]
async fn damaged_or_missing_history_loses_no_flow() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(1, "unchanged")]).await;
    for edit in 0..60 {
        change(&*store, Change::Put(flow(2, &format!("edit {edit}")), Precondition::Any), stamp(edit)).await;
    }
    eventually("the history file exists", async || file.sibling("history").exists()).await;
    let before = moment(&*store).await;
    store.close().await.unwrap();
    let history = std::fs::read(file.sibling("history")).unwrap();
    let mut flipped = history.clone();
    flipped[history.len() / 2] ^= 0x01;
    let half = history[..history.len() / 2].to_vec();
    for damage in [Some(flipped), Some(half), Some(Vec::new()), None] {
        let image = file.as_after_a_crash();
        match &damage {
            Some(bytes) => std::fs::write(image.sibling("history"), bytes).unwrap(),
            None => std::fs::remove_file(image.sibling("history")).unwrap(),
        }
        let length = damage.map(|bytes| bytes.len());
        let store = image.open_with(hasty()).await;
        assert_eq!(moment(&*store).await, before, "{length:?} bytes of {}", history.len());
        wait_for_fault(&image, &*store, "history").await;
        let records = store.history(id(2), None, 100).await.unwrap();
        assert_eq!(records[0].item.name, "edit 59");
        assert!(records.is_sorted_by(|a, b| a.revision > b.revision), "{length:?}");
        change(&*store, Change::replace(flow(2, "after")), stamp(100)).await;
        let after = moment(&*store).await;
        store.close().await.unwrap();
        let store = image.open_with(hasty()).await;
        assert_eq!(moment(&*store).await, after);
        store.close().await.unwrap();
    }
}

/// A reported loss ends when the retention has removed the damaged lines, and after a restart.
#[tokio::test]
async fn damage_of_the_history_is_reported_until_the_damaged_lines_are_removed() {
    let file = File::new();
    let settings = || hasty().with_retention(Retention { revisions: 3, age: TimeDelta::zero() });
    let store = file.open_with(settings()).await;
    for edit in 0..60 {
        change(&*store, Change::Put(flow(2, &format!("edit {edit}")), Precondition::Any), stamp(edit)).await;
    }
    eventually("the history file exists", async || file.sibling("history").exists()).await;
    store.close().await.unwrap();
    let mut history = std::fs::read(file.sibling("history")).unwrap();
    let middle = history.len() / 2;
    history[middle] ^= 0x01;
    std::fs::write(file.sibling("history"), &history).unwrap();
    let store = file.open_with(settings()).await;
    wait_for_fault(&file, &*store, "unreadable").await;
    let mut edit = 100;
    eventually("the fault ends", async || {
        edit += 1;
        change(&*store, Change::Put(flow(2, &format!("edit {edit}")), Precondition::Any), stamp(edit)).await;
        faults(&*store).await.is_empty()
    })
    .await;
    store.close().await.unwrap();
}

/// A power cut during a rotation leaves an incomplete append in the history. The journal still contains its changes,
/// and the next rotation repeats it.
#[tokio::test]
async fn interrupted_rotation_reports_no_loss() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    for edit in 0..60 {
        change(&*store, Change::Put(flow(2, &format!("edit {edit}")), Precondition::Any), stamp(edit)).await;
    }
    eventually("the history file exists", async || file.sibling("history").exists()).await;
    store.close().await.unwrap();
    let store = file.open_with(lazy()).await;
    for edit in 60..70 {
        change(&*store, Change::Put(flow(2, &format!("edit {edit}")), Precondition::Any), stamp(edit)).await;
    }
    store.close().await.unwrap();
    // The changes of the journal, as a rotation would append them. The disk has lost the beginning.
    let journal = file.journal();
    let changes: Vec<_> = journal.split_inclusive(|byte| *byte == b'\n').filter(|line| is_change(line)).collect();
    let changes = changes.concat();
    let history = std::fs::read(file.sibling("history")).unwrap();
    assert!(changes.len() > 1_000 && !history.is_empty());
    for lost in [0..1, 0..10, 0..400, 3..700, changes.len() - 20..changes.len()] {
        let image = file.as_after_a_crash();
        let mut appended = changes.clone();
        appended[lost.clone()].fill(0);
        std::fs::write(image.sibling("history"), [&history[..], &appended].concat()).unwrap();
        for _ in 0..2 {
            let store = image.open_with(hasty()).await;
            let before = std::fs::read(image.sibling("history")).unwrap();
            let mut edit = 100;
            // The store checks the history before its first rotation.
            eventually("the history grows", async || {
                edit += 1;
                change(&*store, Change::Put(flow(2, &format!("edit {edit}")), Precondition::Any), stamp(edit)).await;
                std::fs::read(image.sibling("history")).unwrap() != before
            })
            .await;
            assert_eq!(faults(&*store).await, "", "lost {lost:?}");
            store.close().await.unwrap();
        }
    }
}

async fn wait_for_fault(file: &File, store: &dyn FlowRepository, what: &str) {
    // A long history is checked in the background after the start.
    eventually(&format!("`{what}` is reported as a fault; {:?}", file.names()), async || {
        faults(store).await.contains(what)
    })
    .await;
}

/// Returns the damaged journals that the store has renamed.
fn damaged_journals(file: &File) -> Vec<Vec<u8>> {
    let names = file.names().into_iter().filter(|name| name.starts_with("flows.json.journal.damaged-"));
    let paths = names.map(|name| -> PathBuf { file.directory().join(name) });
    paths.map(|path| std::fs::read(path).unwrap()).collect()
}

/// Changes the format in the first line to 2 and updates its checksum.
fn of_format_2(text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let body = first[r#"{"crc":"00000000","#.len()..].replace(r#""format":1"#, r#""format":2"#);
    format!("{{\"crc\":\"{:08x}\",{body}\n{rest}", crc32fast::hash(body.as_bytes())).into_bytes()
}

#[tokio::test]
async fn journal_or_history_of_a_newer_version_is_rejected_unchanged() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    for edit in 0..30 {
        change(&*store, Change::Put(flow(1, &format!("edit {edit}")), Precondition::Any), stamp(edit)).await;
    }
    eventually("the history file exists", async || file.sibling("history").exists()).await;
    store.close().await.unwrap();
    for ending in ["journal", "history"] {
        let image = file.as_after_a_crash();
        std::fs::write(image.sibling(ending), of_format_2(&std::fs::read(image.sibling(ending)).unwrap())).unwrap();
        let before = image.contents();
        let error = image.try_open().await.unwrap_err();
        assert!(error.problem.contains(ending) && error.problem.contains("newer version"), "{}", error.problem);
        assert_eq!(image.contents(), before, "no file was changed");
    }
}
