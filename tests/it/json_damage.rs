//! What stands beside the file is cut off, damaged or gone: the store opens, keeps what is good, and says so.

use std::path::PathBuf;

use strom::FlowRepository;
use strom::repository::{Change, FeedCursor, Precondition, RepositoryError, Since, Version};
use strom::testkit::samples::{change, create_all, flow, flow_with, found, id, moment, stamp, stored};

use crate::support::json::{File, faults, hasty, lazy, until};
use crate::support::ledger::read;

type Moment = Vec<(String, Version)>;

/// A store that has not yet written its file: what it was after each save, and how long the journal was then.
struct Unwritten {
    file: File,
    moments: Vec<(Moment, u64)>,
    cursor: FeedCursor,
}

async fn unwritten() -> Unwritten {
    let file = File::new();
    let store = file.open_with(lazy()).await;
    let mut moments = Vec::new();
    let calls = [
        vec![Change::create(flow(1, "one"))],
        vec![Change::create(flow_with(2, "two", r#""x":[1.10,"é"]"#))],
        vec![Change::create(flow(3, "three"))],
        vec![Change::replace(flow(1, "one again"))],
        vec![Change::create(flow(4, "four")), Change::delete(id(3)), Change::replace(flow(1, "one more"))],
    ];
    for (call, at) in calls.into_iter().zip(0..) {
        store.apply(call, stamp(at)).await.unwrap();
        moments.push((moment(&*store).await, file.journal().len() as u64));
    }
    let cursor = read(&*store, Since::Oldest, 100).await.1;
    let copy = file.as_after_a_crash();
    store.close().await;
    Unwritten { file: copy, moments, cursor }
}

#[tokio::test]
async fn a_journal_may_end_anywhere() {
    let Unwritten { file, moments, .. } = unwritten().await;
    let journal = file.journal();
    let ends: Vec<u64> = moments.iter().map(|(_, end)| *end).collect();
    assert!(ends.is_sorted_by(|a, b| a < b) && *ends.last().unwrap() == journal.len() as u64, "{ends:?}");
    // After a power cut there may be zeros behind it, which were written ahead of what is missing.
    for cut in ends[2]..=ends[4] {
        let zeros = if cut % 2 == 0 { 0 } else { 5_000 };
        let found = [&journal[..cut as usize], &vec![0; zeros]].concat();
        std::fs::write(file.beside("journal"), found).unwrap();
        let cut_off = file.as_after_a_crash();
        let store = cut_off.open_with(lazy()).await;
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let found = moment(&*store).await;
        // Where only the end of the line is missing, nothing of the call is.
        let complete = ends.contains(&(cut + 1)) && found == moments[whole].0;
        assert!(complete || found == moments[whole - 1].0, "cut at {cut} of {ends:?}, {zeros} zeros");
        assert!(!faults(&*store).await.contains("cannot be read"), "nobody was told that it was saved");
        // It goes on, and what it then saves is not lost in the remains.
        change(&*store, Change::create(flow(9, "after")), stamp(9)).await;
        let after = moment(&*store).await;
        let again = cut_off.as_after_a_crash();
        store.close().await;
        let store = again.open_with(lazy()).await;
        assert_eq!(moment(&*store).await, after, "cut at {cut}, and opened twice");
        store.close().await;
    }
}

/// The parts of one append get onto the disk in any order. A part that is there proves nothing while another is missing.
#[tokio::test]
async fn of_an_append_that_was_never_synced_any_part_may_be_missing() {
    let Unwritten { file, moments, .. } = unwritten().await;
    let journal = file.journal();
    let (start, end) = (moments[3].1 as usize, moments[4].1 as usize);
    for missing in [start..start + 1, start..start + 100, start + 50..start + 400, start..end - 20, start + 1..end] {
        let mut found = journal.clone();
        found[missing.clone()].fill(0);
        std::fs::write(file.beside("journal"), found).unwrap();
        let image = file.as_after_a_crash();
        let store = image.open_with(lazy()).await;
        assert_eq!(moment(&*store).await, moments[3].0, "without {missing:?} of {start}..{end}");
        assert!(!faults(&*store).await.contains("cannot be read"));
        store.close().await;
    }
}

/// Damage to the bytes of the second call, of several kinds.
fn damaged(journal: &[u8], start: u64, end: u64) -> Vec<Vec<u8>> {
    let (start, end) = (start as usize, end as usize);
    let mut all = Vec::new();
    for place in [start, start + 3, (start + end) / 2, end - 3, end - 1] {
        let mut flipped = journal.to_vec();
        flipped[place] ^= 0x01;
        all.push(flipped);
    }
    let mut zeros = journal.to_vec();
    zeros[start..end].fill(0);
    all.push(zeros);
    all.push([&journal[..start + 10], &journal[start + 20..]].concat());
    all
}

#[tokio::test]
async fn damage_in_the_middle_costs_what_was_there_and_is_told() {
    let Unwritten { file, moments, cursor } = unwritten().await;
    let journal = file.journal();
    for bytes in damaged(&journal, moments[0].1, moments[1].1) {
        std::fs::write(file.beside("journal"), &bytes).unwrap();
        let image = file.as_after_a_crash();
        let store = image.open_with(lazy()).await;
        for (number, name) in [(1, "one more"), (4, "four")] {
            assert_eq!(stored(&*store, number).await.item.head().name, name);
        }
        assert!(found(&*store, 3).await.is_none());
        is_told(&image, &*store, "journal").await;
        assert_eq!(aside(&image), [bytes], "the damaged original is kept");
        let error = store.changes(Since::After(cursor), 10).await.unwrap_err();
        assert!(matches!(error, RepositoryError::Gone), "{error:?}");
        store.changes(Since::Now, 10).await.unwrap();
        create_all(&*store, [flow(9, "after")]).await;
        let after = moment(&*store).await;
        store.close().await;
        let store = image.open_with(lazy()).await;
        assert_eq!(moment(&*store).await, after);
        store.close().await;
    }
}

#[tokio::test]
async fn with_the_file_a_damaged_journal_costs_no_flow() {
    let file = File::new();
    let store = file.open_with(lazy()).await;
    let mut ends = Vec::new();
    for number in 1..=4 {
        create_all(&*store, [flow(number, "a")]).await;
        ends.push(file.journal().len() as u64);
    }
    let documents = |moment: Moment| moment.into_iter().map(|(document, _)| document).collect::<Vec<_>>();
    let before = documents(moment(&*store).await);
    store.close().await;
    let journal = std::fs::read(file.beside("journal")).unwrap();
    for bytes in damaged(&journal, ends[0], ends[1]) {
        std::fs::write(file.beside("journal"), &bytes).unwrap();
        let image = file.as_after_a_crash();
        let store = image.open_with(lazy()).await;
        assert_eq!(documents(moment(&*store).await), before);
        is_told(&image, &*store, "journal").await;
        store.close().await;
    }
    // Nor does one that is gone.
    std::fs::remove_file(file.beside("journal")).unwrap();
    let store = file.open_with(lazy()).await;
    assert_eq!(documents(moment(&*store).await), before);
}

#[tokio::test]
async fn a_history_that_is_damaged_or_gone_costs_no_flow() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    create_all(&*store, [flow(1, "never touched again")]).await;
    for edit in 0..60 {
        change(&*store, Change::Put(flow(2, &format!("edit {edit}")), Precondition::Any), stamp(edit)).await;
    }
    until("there is a history", async || file.beside("history").exists()).await;
    let before = moment(&*store).await;
    store.close().await;
    let history = std::fs::read(file.beside("history")).unwrap();
    let mut flipped = history.clone();
    flipped[history.len() / 2] ^= 0x01;
    let half = history[..history.len() / 2].to_vec();
    for damage in [Some(flipped), Some(half), Some(Vec::new()), None] {
        let image = file.as_after_a_crash();
        match &damage {
            Some(bytes) => std::fs::write(image.beside("history"), bytes).unwrap(),
            None => std::fs::remove_file(image.beside("history")).unwrap(),
        }
        let what = damage.map(|bytes| bytes.len());
        let store = image.open_with(hasty()).await;
        assert_eq!(moment(&*store).await, before, "{what:?} bytes of {}", history.len());
        is_told(&image, &*store, "history").await;
        let kept = store.history(id(2), None, 100).await.unwrap();
        assert_eq!(kept[0].item.name, "edit 59");
        assert!(kept.is_sorted_by(|a, b| a.revision > b.revision), "{what:?}");
        change(&*store, Change::replace(flow(2, "after")), stamp(100)).await;
        let after = moment(&*store).await;
        store.close().await;
        let store = image.open_with(hasty()).await;
        assert_eq!(moment(&*store).await, after);
        store.close().await;
    }
}

async fn is_told(file: &File, store: &dyn FlowRepository, what: &str) {
    // A long history is looked through behind the start.
    until(&format!("`{what}` is in the faults; {:?}", file.names()), async || faults(store).await.contains(what)).await;
}

/// The journals that were put aside.
fn aside(file: &File) -> Vec<Vec<u8>> {
    let names = file.names().into_iter().filter(|name| name.starts_with("flows.json.journal.damaged-"));
    let paths = names.map(|name| -> PathBuf { file.directory().join(name) });
    paths.map(|path| std::fs::read(path).unwrap()).collect()
}

/// The first line with another format, and the checksum of that.
fn of_format_2(text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let body = first[r#"{"crc":"00000000","#.len()..].replace(r#""format":1"#, r#""format":2"#);
    format!("{{\"crc\":\"{:08x}\",{body}\n{rest}", crc32fast::hash(body.as_bytes())).into_bytes()
}

#[tokio::test]
async fn a_journal_or_a_history_of_a_newer_strom_is_left_to_it() {
    let file = File::new();
    let store = file.open_with(hasty()).await;
    for edit in 0..30 {
        change(&*store, Change::Put(flow(1, &format!("edit {edit}")), Precondition::Any), stamp(edit)).await;
    }
    until("there is a history", async || file.beside("history").exists()).await;
    store.close().await;
    for ending in ["journal", "history"] {
        let image = file.as_after_a_crash();
        std::fs::write(image.beside(ending), of_format_2(&std::fs::read(image.beside(ending)).unwrap())).unwrap();
        let before = image.contents();
        let error = image.try_open().await.unwrap_err();
        assert!(error.problem.contains(ending) && error.problem.contains("newer Strom"), "{}", error.problem);
        assert_eq!(image.contents(), before, "nothing was touched");
    }
}
