//! The history thins out while the store is open, and whatever ends the rewriting of its file.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use strom_store::FlowRepository;
use strom_store::internals::faulty_disk::{self, Failure, Fault, FaultyDisk, Loss};
use strom_store::internals::samples::{canonical, id, number, stamp, stored, time};
use strom_store::json::Settings;
use strom_store::repository::{Change, FeedCursor, FlowRepositoryExt as _, Operation, Precondition, Retention, Since};

use strom_test_support::eventually::eventually;
use strom_test_support::json::{File, faults, hasty};
use strom_test_support::ledger::{content, read};

const FLOWS: [u32; 2] = [1, 2];
/// The seconds between two saves in the first hour, and later.
const DENSE: i64 = 20;
const SPARSE: i64 = 120;
const HOUR: i64 = 3_600;
/// The name of the new history file until it is in its place. It has the first four such calls when it is created.
const NEW_FILE: &str = ".flows.json.history.strom";

fn settings() -> Settings {
    hasty().with_retention(Retention { revisions: 2, age: TimeDelta::days(100_000) })
}

/// A store to which both flows are saved, minute by minute.
struct Saves {
    store: Arc<dyn FlowRepository>,
    disk: Arc<FaultyDisk>,
    begin: FeedCursor,
    /// The seconds of the acknowledged saves.
    saved: Vec<i64>,
    next: i64,
}

impl Saves {
    async fn begin(file: &File) -> Self {
        let disk = file.disk();
        let store = file.open_on(&disk, settings()).await.unwrap();
        let begin = store.change_summaries(Since::Now, 1).await.unwrap().next;
        Self { store, disk, begin, saved: Vec::new(), next: DENSE }
    }

    /// Saves both flows. Returns whether that was acknowledged.
    async fn save(&mut self) -> bool {
        let at = self.next;
        self.next += if at < HOUR { DENSE } else { SPARSE };
        let changes = FLOWS.map(|flow| Change::Put(content(flow, at), Precondition::Any));
        let is_saved = self.store.apply_all(changes.to_vec(), stamp(at)).await.is_ok();
        self.saved.extend(is_saved.then_some(at));
        is_saved
    }

    /// Saves until the history was rewritten, or the planned fault has happened.
    async fn run(&mut self) {
        while self.next < 2 * HOUR {
            self.save().await;
        }
        let mut limit = 10_000;
        while !self.disk.has_struck() && !self.is_compacted() {
            self.save().await;
            limit -= 1;
            assert!(limit > 0, "the history is not rewritten");
            // Creates interleavings.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// The first new file is the empty history.
    fn is_compacted(&self) -> bool {
        let moved = |line: &&String| line.contains("rename") && line.contains(NEW_FILE) && line.ends_with("done");
        self.disk.trace().iter().filter(moved).count() > 1
    }

    /// Opens the store again at the time of the next save.
    async fn open(&self, file: &File) -> Arc<dyn FlowRepository> {
        faulty_disk::open(&file.path, time(self.next), settings(), &file.disk()).await.unwrap()
    }

    /// Checks that the store has every save that the retention requires, and nothing that was never saved.
    async fn check(&self, store: &dyn FlowRepository) {
        assert_eq!(faults(store).await, "");
        let last = *self.saved.last().unwrap();
        for flow in FLOWS {
            let mut records = Vec::new();
            // Another rewriting may begin in between.
            eventually("history and feed have the same revisions", async || {
                let feed = read(store, Since::After(self.begin), 1_000).await.0;
                assert!(feed.is_sorted_by(|a, b| a.cursor < b.cursor));
                let in_feed = feed.iter().filter(|record| number(record.item.id()) == flow);
                let in_feed: Vec<_> = in_feed.rev().map(|record| (record.revision, record.at)).collect();
                records = store.history(id(flow), None, 100_000).await.unwrap();
                in_feed == records.iter().map(|record| (record.revision, record.at)).collect::<Vec<_>>()
            })
            .await;
            assert!(records.is_sorted_by(|a, b| a.revision > b.revision));
            let found: BTreeSet<i64> = records.iter().map(|record| (record.at - time(0)).num_seconds()).collect();
            let required = self.saved.iter().enumerate().filter(|(index, at)| {
                let is_young = last - **at < HOUR;
                is_young || self.saved.get(index + 1).is_none_or(|next| next / 60 != **at / 60)
            });
            let missing: Vec<_> = required.map(|(_, at)| *at).filter(|at| !found.contains(at)).collect();
            assert!(missing.is_empty(), "of flow {flow}, the saves at {missing:?} are missing");
            for record in records.iter().step_by(20) {
                let Some(revision) = store.revision(id(flow), record.revision).await.unwrap() else { continue };
                let at = (record.at - time(0)).num_seconds();
                assert_eq!(canonical(&revision.item), canonical(&content(flow, at)));
            }
            let newest = records.first().unwrap();
            assert_eq!(stored(store, flow).await.version.revision, newest.revision);
            assert!(newest.at >= time(last), "the last acknowledged save");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_thins_out_during_saves() {
    let file = File::in_memory();
    let mut saves = Saves::begin(&file).await;
    let mut reader = None;
    while saves.next < 2 * HOUR {
        saves.save().await;
        if saves.next == HOUR {
            reader = Some(saves.store.change_summaries(Since::Now, 1).await.unwrap().next);
        }
    }
    saves.run().await;
    let reader = Since::After(reader.unwrap());
    eventually("readers see that revisions are removed", async || {
        saves.store.history(id(1), None, 100_000).await.unwrap().len() < saves.saved.len()
    })
    .await;
    let after = read(&*saves.store, reader, 50).await.0;
    assert!(after.iter().all(|record| record.operation == Operation::Update && record.at > time(HOUR - 2 * DENSE)));
    let image = file.as_after_a_crash();
    saves.check(&*saves.open(&image).await).await;
    saves.store.close().await.unwrap();
    for _ in 0..2 {
        let store = saves.open(&file).await;
        saves.check(&*store).await;
        assert_eq!(read(&*store, reader, 50).await.0.len(), after.len());
        store.close().await.unwrap();
    }
}

/// The process ends, or a call to the disk fails, at any call that concerns the new file.
#[tokio::test(flavor = "multi_thread")]
async fn fault_while_the_history_is_rewritten_loses_no_revision() {
    let kinds = [
        (Fault::Stop, Some(Loss::All)),
        (Fault::Stop, None),
        (Fault::StopHalfway, Some(Loss::Some(7))),
        (Fault::Once(Failure::Full), Some(Loss::All)),
        (Fault::Once(Failure::Broken), Some(Loss::Sectors(7))),
    ];
    let mut struck = BTreeSet::new();
    for call in 5..=11 {
        for (fault, loss) in kinds {
            let file = File::in_memory();
            let mut saves = Saves::begin(&file).await;
            saves.disk.plan_on(NEW_FILE, call, fault);
            saves.run().await;
            if saves.disk.has_struck() {
                struck.insert(call);
            }
            for _ in 0..5 {
                saves.save().await;
            }
            // A stopped disk leaves the file incomplete.
            let _ = saves.store.close().await;
            if let Some(loss) = loss {
                saves.disk.lose_unsynced(loss);
            }
            for _ in 0..2 {
                let store = saves.open(&file).await;
                saves.check(&*store).await;
                store.close().await.unwrap();
                let is_temporary = |name: &String| name.ends_with(".tmp");
                assert!(!file.names().iter().any(is_temporary), "{:?}", file.names());
            }
        }
    }
    assert!(struck.len() >= 5, "the faults concern the rewriting: {struck:?}");
}

/// The store is dropped or closed at any moment, also while it rewrites the history.
#[tokio::test(flavor = "multi_thread")]
async fn close_ends_a_compaction() {
    for calls in 5..=10 {
        let file = File::in_memory();
        let mut saves = Saves::begin(&file).await;
        while saves.next < 2 * HOUR {
            saves.save().await;
        }
        let count = || saves.disk.trace().iter().filter(|line| line.contains(NEW_FILE)).count();
        eventually("the history is being rewritten", async || count() >= calls).await;
        saves.store.close().await.unwrap();
        let before = count();
        assert!(!file.names().iter().any(|name| name.ends_with(".tmp")), "{:?}", file.names());
        let store = saves.open(&file).await;
        saves.check(&*store).await;
        store.close().await.unwrap();
        assert_eq!(count(), before, "the closed store writes nothing");
    }
}
