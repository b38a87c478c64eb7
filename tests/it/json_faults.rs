//! The disk fails at every call that the store makes, in every way: what was acknowledged stays, and nothing is half
//! there. `STROM_FAULTS=all` takes every call (`just torture`), else a sample of them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use strom::FlowRepository;
use strom::json::Settings;
use strom::repository::{Change, OpenError, Precondition, RepositoryError, Revision, Status};
use strom::testkit::faults::{Failure, Fault, FaultyDisk, Loss};
use strom::testkit::samples::{canonical, everything, flows_of_file, id, number};
use tokio::time::timeout;

use crate::support::json::{File, hasty, until};
use crate::support::ledger::{Follower, Ledger, content, report};

/// The file is not looked at for edits: that would make calls at any time.
fn settings() -> Settings {
    Settings { poll: Duration::from_secs(3_600), ..hasty() }
}

/// What was asked through one disk, whatever it did.
struct Script {
    file: Arc<File>,
    disk: Arc<FaultyDisk>,
    ledger: Ledger,
    follower: Option<Follower>,
    /// The store that was opened last.
    store: Option<Arc<dyn FlowRepository>>,
    /// After a stop the process is dead, and nobody hears what it answers.
    deadly: bool,
}

/// The disk has stopped and the process with it.
#[derive(Debug)]
struct Dead;

impl Script {
    fn new(file: &Arc<File>, fault: Option<(u64, Fault)>) -> Self {
        let disk = file.disk();
        if let Some((call, fault)) = fault {
            disk.plan(call, fault);
        }
        let deadly = matches!(fault, Some((_, Fault::Stop | Fault::StopHalfway)));
        Self { file: Arc::clone(file), disk, ledger: Ledger::default(), follower: None, store: None, deadly }
    }

    /// Creations, edits, reports, deletions, a restore, several at once and several together, with the journal being
    /// moved and the file being written in between; and all that again after a restart.
    async fn run(&mut self) -> Result<(), Dead> {
        let store = self.open().await?;
        self.follower = Some(Follower::begin(&*store).await);
        self.put(&store, 1).await?;
        let changes = vec![Change::create(content(2, self.at())), Change::create(content(3, self.at()))];
        self.ask(&store, changes).await?;
        self.file_is_written(&store).await;
        self.put(&store, 1).await?;
        self.report(&store, 1).await?;
        self.put(&store, 2).await?;
        let (four, one) = (content(4, self.at()), content(1, self.at()));
        let several = [Change::Delete(id(3), Precondition::Any), put(four), put(one)];
        self.ask(&store, several.to_vec()).await?;
        self.restore(&store, 3).await?;
        for _ in 0..6 {
            self.put(&store, 4).await?;
        }
        self.ask(&store, vec![Change::Delete(id(4), Precondition::Any)]).await?;
        self.report(&store, 2).await?;
        self.file_is_written(&store).await;
        self.at_once(&store, [5, 6, 7]).await?;
        self.ask(&store, vec![Change::Delete(id(6), Precondition::Any)]).await?;
        store.close().await;

        let store = self.open().await?;
        self.put(&store, 5).await?;
        self.restore(&store, 4).await?;
        self.file_is_written(&store).await;
        self.put(&store, 1).await?;
        if !self.dead() {
            self.get_well(&store).await;
            self.ledger.check(&*store).await;
        }
        Ok(())
    }

    fn at(&self) -> i64 {
        self.ledger.next()
    }

    /// A disk that fails may keep a store from opening, but only as long as it fails.
    async fn open(&mut self) -> Result<Arc<dyn FlowRepository>, Dead> {
        let opened = self.try_open().await;
        let error = match opened {
            Ok(store) => return Ok(store),
            Err(_) if self.dead() => return Err(Dead),
            Err(error) => error,
        };
        assert!(self.disk.has_struck(), "nothing was wrong with the disk: {error}");
        self.disk.heal();
        Ok(self.try_open().await.unwrap_or_else(|error| panic!("the disk is well again: {error}")))
    }

    async fn try_open(&mut self) -> Result<Arc<dyn FlowRepository>, OpenError> {
        let opened = self.file.open_on(&self.disk, settings()).await;
        self.disk.note(format!("open: {:?}", opened.as_ref().map(|_| ())));
        self.store = opened.as_ref().ok().cloned();
        opened
    }

    fn dead(&self) -> bool {
        self.deadly && self.disk.has_struck()
    }

    async fn ask(&mut self, store: &Arc<dyn FlowRepository>, changes: Vec<Change>) -> Result<(), Dead> {
        self.ask_all(store, vec![changes]).await
    }

    async fn ask_all(&mut self, store: &Arc<dyn FlowRepository>, calls: Vec<Vec<Change>>) -> Result<(), Dead> {
        let mut asked = Vec::new();
        for changes in calls {
            let at = self.ledger.next();
            let stamp = self.ledger.begin(at, &changes);
            let ids: Vec<_> = changes.iter().map(|change| number(change.id())).collect();
            let store = Arc::clone(store);
            asked.push((at, ids, tokio::spawn(async move { store.apply(changes, stamp).await })));
        }
        let mut failed = false;
        for (at, ids, asked) in asked {
            let result = asked.await.unwrap();
            self.disk.note(format!("call {at} on {ids:?}: {:?}", result.as_ref().map(|_| ())));
            failed |= result.is_err();
            if let Err(error) = &result {
                assert!(self.disk.has_struck(), "call {at} failed on a good disk: {error:?}");
            }
            if !(self.dead() && result.is_err()) {
                self.ledger.end(at, &result);
            }
        }
        if self.dead() && failed {
            return Err(Dead);
        }
        let alive = !self.dead();
        if let Some(follower) = self.follower.as_mut().filter(|_| alive) {
            follower.follow(&**store).await;
        }
        Ok(())
    }

    async fn put(&mut self, store: &Arc<dyn FlowRepository>, flow: u32) -> Result<(), Dead> {
        let content = content(flow, self.at());
        self.ask(store, vec![put(content)]).await
    }

    async fn report(&mut self, store: &Arc<dyn FlowRepository>, flow: u32) -> Result<(), Dead> {
        let Some(stored) = store.get(id(flow)).await.unwrap() else { return Ok(()) };
        let reported = report(&stored.item, self.at());
        self.ask(store, vec![put(reported)]).await
    }

    async fn restore(&mut self, store: &Arc<dyn FlowRepository>, flow: u32) -> Result<(), Dead> {
        let Some(first) = store.revision(id(flow), Revision::FIRST).await.unwrap() else { return Ok(()) };
        self.ask(store, vec![Change::Restore(first.item, Precondition::Any)]).await
    }

    async fn at_once(&mut self, store: &Arc<dyn FlowRepository>, flows: [u32; 3]) -> Result<(), Dead> {
        let first = self.at();
        let calls = flows.into_iter().zip(first..).map(|(flow, at)| vec![put(content(flow, at))]);
        self.ask_all(store, calls.collect()).await
    }

    /// Waits for the file to have what the store has. A disk that has failed may have prevented it.
    async fn file_is_written(&self, store: &Arc<dyn FlowRepository>) {
        let expected = documents(&**store).await;
        let wait = until("the file is written", async || written(&self.file) == expected || self.disk.has_struck());
        wait.await;
        if self.disk.has_struck() {
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }

    /// The disk is well, and so is the store, by itself.
    async fn get_well(&mut self, store: &Arc<dyn FlowRepository>) {
        let mut tries = 0;
        loop {
            self.disk.heal();
            let at = self.at();
            let changes = vec![put(content(8, at))];
            let stamp = self.ledger.begin(at, &changes);
            let result = store.apply(changes, stamp).await;
            self.disk.note(format!("call {at} on a disk that is well: {:?}", result.as_ref().map(|_| ())));
            match result {
                Err(_) if self.dead() => return,
                _ => self.ledger.end(at, &result),
            }
            match result {
                Ok(_) => return,
                Err(RepositoryError::Unavailable { .. }) if tries < 400 => tries += 1,
                Err(error) => panic!("the disk is well again, and the store is not: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Opens it on a disk without faults, twice, with a call in between.
    async fn verify(&mut self) {
        self.disk = self.file.disk();
        self.deadly = false;
        for _ in 0..2 {
            if self.file.path.exists() {
                let text = self.file.read();
                assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "not JSON: {text}");
            }
            let store = self.try_open().await.unwrap_or_else(|error| panic!("it does not open: {error}"));
            assert_eq!(store.health().await.status, Status::Ready);
            self.ledger.check(&*store).await;
            if let Some(follower) = &mut self.follower {
                follower.check(&*store).await;
            }
            let call = self.put(&store, 1).await;
            assert!(call.is_ok());
            let expected = documents(&*store).await;
            store.close().await;
            assert_eq!(written(&self.file), expected, "after the close the file is complete");
            let others = |name: &String| name.ends_with(".tmp");
            assert!(!self.file.names().iter().any(others), "no temporary file stays: {:?}", self.file.names());
        }
    }
}

fn put(flow: strom::Flow) -> Change {
    Change::Put(flow, Precondition::Any)
}

async fn documents(store: &dyn FlowRepository) -> Vec<String> {
    let mut documents: Vec<_> = everything(store).await.iter().map(|stored| canonical(&stored.item)).collect();
    documents.sort();
    documents
}

fn written(file: &File) -> Vec<String> {
    let mut documents = match file.path.exists() {
        true => flows_of_file(&file.path).iter().map(canonical).collect(),
        false => Vec::new(),
    };
    documents.sort();
    documents
}

/// The script with one fault, and the verdict. What has happened is told when it panics.
fn one(fault: Option<(u64, Fault)>, loss: Option<Loss>) -> u64 {
    let file = Arc::new(File::new());
    let mut script = Script::new(&file, fault);
    let disk = Arc::clone(&script.disk);
    let all = async move {
        // A stop ends the script early. What the store does then does not reach the disk, and it lets go of the file.
        let _ = script.run().await;
        if let Some(store) = script.store.take() {
            store.close().await;
        }
        if let Some(loss) = loss {
            script.disk.lose_unsynced(loss);
        }
        script.verify().await;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let in_time = async { timeout(Duration::from_secs(60), all).await.expect("the store hangs") };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| runtime.block_on(in_time))) {
        let trace = disk.trace().join("\n");
        let place = Arc::into_inner(file).map(File::keep);
        eprintln!("{trace}\nwith {fault:?} and then {loss:?}; the files are in {place:?}");
        resume_unwind(panic);
    }
    disk.calls()
}

/// The script with the fault at one call after the other, four at a time.
fn at_every_call(fault: Fault, loss: impl Fn(u64) -> Option<Loss> + Sync) {
    const SAMPLE: u64 = 20;
    let calls = one(None, None);
    assert!(calls > 50, "the script does not reach the disk: {calls} calls");
    let all = std::env::var("STROM_FAULTS").is_ok_and(|value| value == "all");
    let step = if all { 1 } else { (calls / SAMPLE).max(1) };
    // Another sample for each way to fail.
    let first = 1 + format!("{fault:?}{:?}", loss(0)).bytes().map(u64::from).sum::<u64>() % step;
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let call = next.fetch_add(step, Ordering::Relaxed);
                    if call > calls {
                        break;
                    }
                    one(Some((call, fault)), loss(call));
                }
            });
        }
    });
}

#[test]
fn killed_at_any_call() {
    at_every_call(Fault::Stop, |_| None);
}

#[test]
fn killed_in_the_middle_of_any_write() {
    at_every_call(Fault::StopHalfway, |_| None);
}

#[test]
fn a_power_cut_at_any_call() {
    at_every_call(Fault::Stop, |_| Some(Loss::All));
}

#[test]
fn a_power_cut_that_spares_some() {
    at_every_call(Fault::StopHalfway, |call| Some(Loss::Some(call)));
}

#[test]
fn a_power_cut_on_a_disk_that_writes_in_any_order() {
    at_every_call(Fault::Stop, |call| Some(Loss::Sectors(call)));
}

/// After the failure the store goes on, and a power cut after its close takes nothing.
#[test]
fn any_call_fails_once() {
    at_every_call(Fault::Once(Failure::Broken), |_| Some(Loss::All));
    at_every_call(Fault::Once(Failure::Full), |_| Some(Loss::All));
}

#[test]
fn the_disk_fails_for_a_while_from_any_call_on() {
    at_every_call(Fault::UntilHealed(Failure::Full), |_| Some(Loss::All));
    at_every_call(Fault::UntilHealed(Failure::Broken), |call| Some(Loss::Some(call)));
}

/// The note that the file was written is on the disk with the next save. Should that fail, it is no better off than the save
/// is, though it stands behind a line that is known to be on the disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_takes_the_note_before_it_along() -> Result<(), Dead> {
    let file = Arc::new(File::new());
    let mut script = Script::new(&file, None);
    let disk = Arc::clone(&script.disk);
    let store = script.open().await?;
    script.put(&store, 1).await?;
    script.file_is_written(&store).await;
    let is_note = |call: &String| call.contains("write") && call.contains("of flows.json.journal");
    until("it is noted", async || disk.trace().last().is_some_and(is_note)).await;
    let sync = disk.calls() + 2;
    disk.plan(sync, Fault::UntilHealed(Failure::Broken));
    script.put(&store, 2).await?;
    store.close().await;

    disk.heal();
    let store = script.open().await?;
    script.put(&store, 3).await?;
    store.close().await;
    disk.lose_unsynced(Loss::All);
    script.verify().await;
    Ok(())
}
