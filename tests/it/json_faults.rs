//! The disk fails at any call of the store, in several ways. Acknowledged changes survive, and no call is applied
//! partially. `STROM_FAULTS=all` (`just torture`) tests every disk call, otherwise a sample.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use strom_store::FlowRepository;
use strom_store::internals::faulty_disk::{Failure, Fault, FaultyDisk, Loss};
use strom_store::internals::samples::{canonical, everything, flows_of_file, id, number};
use strom_store::json::Settings;
use strom_store::repository::{Change, OpenError, Precondition, RepositoryError, Revision, Status};
use tokio::time::timeout;

use strom_test_support::eventually::{HANGS, eventually};
use strom_test_support::json::{File, hasty};
use strom_test_support::ledger::{Follower, Ledger, content, report};

/// The store does not check the file for edits, because that would make disk calls at any time.
fn settings() -> Settings {
    // A failed checkpoint is repeated after the interval.
    hasty().with_poll(Duration::from_secs(3_600)).with_interval(Duration::from_millis(20))
}

/// A series of calls on one disk, with their results.
struct Script {
    file: Arc<File>,
    disk: Arc<FaultyDisk>,
    ledger: Ledger,
    follower: Option<Follower>,
    /// The most recently opened store.
    store: Option<Arc<dyn FlowRepository>>,
    /// The fault ends the process, so that later results do not count.
    is_fatal: bool,
}

/// The disk has stopped, and the process has ended.
#[derive(Debug)]
struct Ended;

impl Script {
    fn new(file: &Arc<File>, fault: Option<(u64, Fault)>) -> Self {
        let disk = file.disk();
        if let Some((call, fault)) = fault {
            disk.plan(call, fault);
        }
        let is_fatal = matches!(fault, Some((_, Fault::Stop | Fault::StopHalfway)));
        Self { file: Arc::clone(file), disk, ledger: Ledger::default(), follower: None, store: None, is_fatal }
    }

    /// Makes creations, edits, reports, deletions, restores, concurrent calls and calls with several changes.
    /// Checkpoints happen in between. Then reopens the store and makes further calls.
    async fn run(&mut self) -> Result<(), Ended> {
        let store = self.open().await?;
        self.follower = Some(Follower::begin(&*store).await);
        self.put(&store, 1).await?;
        let changes = vec![Change::create(content(2, self.at())), Change::create(content(3, self.at()))];
        self.call(&store, changes).await?;
        self.file_is_written(&store).await;
        self.put(&store, 1).await?;
        self.report(&store, 1).await?;
        self.put(&store, 2).await?;
        let (four, one) = (content(4, self.at()), content(1, self.at()));
        let several = [Change::Delete(id(3), Precondition::Any), put(four), put(one)];
        self.call(&store, several.to_vec()).await?;
        self.restore(&store, 3).await?;
        for _ in 0..6 {
            self.put(&store, 4).await?;
        }
        self.call(&store, vec![Change::Delete(id(4), Precondition::Any)]).await?;
        self.report(&store, 2).await?;
        self.file_is_written(&store).await;
        self.put_concurrently(&store, [5, 6, 7]).await?;
        self.call(&store, vec![Change::Delete(id(6), Precondition::Any)]).await?;
        self.close(&store).await;

        let store = self.open().await?;
        self.put(&store, 5).await?;
        self.restore(&store, 4).await?;
        self.file_is_written(&store).await;
        self.put(&store, 1).await?;
        if !self.has_ended() {
            self.recover(&store).await;
            self.ledger.check(&*store).await;
        }
        Ok(())
    }

    fn at(&self) -> i64 {
        self.ledger.next()
    }

    /// Opens the store. A failing disk may prevent this, but only while it fails.
    async fn open(&mut self) -> Result<Arc<dyn FlowRepository>, Ended> {
        let opened = self.try_open().await;
        let error = match opened {
            Ok(store) => return Ok(store),
            Err(_) if self.has_ended() => return Err(Ended),
            Err(error) => error,
        };
        assert!(self.disk.has_struck(), "the disk has not failed: {error}");
        self.disk.heal();
        Ok(self
            .try_open()
            .await
            .unwrap_or_else(|error| panic!("the disk works again, but the store does not open: {error}")))
    }

    async fn try_open(&mut self) -> Result<Arc<dyn FlowRepository>, OpenError> {
        let opened = self.file.open_on(&self.disk, settings()).await;
        self.disk.note(format!("open: {:?}", opened.as_ref().map(|_| ())));
        self.store = opened.as_ref().ok().cloned();
        opened
    }

    /// Closes the store. Unless it reports an error, the file is complete.
    async fn close(&self, store: &Arc<dyn FlowRepository>) {
        let expected = documents(&**store).await;
        match store.close().await {
            Ok(()) => assert_eq!(written(&self.file), expected, "the close did not report an incomplete file"),
            Err(error) => {
                assert!(self.disk.has_struck() && matches!(error, RepositoryError::Incomplete(_)), "{error:?}");
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.is_fatal && self.disk.has_struck()
    }

    async fn call(&mut self, store: &Arc<dyn FlowRepository>, changes: Vec<Change>) -> Result<(), Ended> {
        self.call_concurrently(store, vec![changes]).await
    }

    async fn call_concurrently(
        &mut self,
        store: &Arc<dyn FlowRepository>,
        calls: Vec<Vec<Change>>,
    ) -> Result<(), Ended> {
        let mut pending = Vec::new();
        for changes in calls {
            let at = self.ledger.next();
            let stamp = self.ledger.begin(at, &changes);
            let ids: Vec<_> = changes.iter().map(|change| number(change.id())).collect();
            let store = Arc::clone(store);
            pending.push((at, ids, tokio::spawn(async move { store.apply_all(changes, stamp).await })));
        }
        let mut failed = false;
        for (at, ids, call) in pending {
            let result = call.await.unwrap();
            self.disk.note(format!("call {at} on {ids:?}: {:?}", result.as_ref().map(|_| ())));
            failed |= result.is_err();
            if let Err(error) = &result {
                assert!(self.disk.has_struck(), "call {at} failed on a working disk: {error:?}");
            }
            if !(self.has_ended() && result.is_err()) {
                self.ledger.end(at, &result);
            }
        }
        if self.has_ended() && failed {
            return Err(Ended);
        }
        let is_running = !self.has_ended();
        if let Some(follower) = self.follower.as_mut().filter(|_| is_running) {
            follower.follow(&**store).await;
        }
        Ok(())
    }

    async fn put(&mut self, store: &Arc<dyn FlowRepository>, flow: u32) -> Result<(), Ended> {
        let content = content(flow, self.at());
        self.call(store, vec![put(content)]).await
    }

    async fn report(&mut self, store: &Arc<dyn FlowRepository>, flow: u32) -> Result<(), Ended> {
        let Some(stored) = store.get(id(flow)).await.unwrap() else { return Ok(()) };
        let reported = report(&stored.item, self.at());
        self.call(store, vec![put(reported)]).await
    }

    async fn restore(&mut self, store: &Arc<dyn FlowRepository>, flow: u32) -> Result<(), Ended> {
        let Some(first) = store.revision(id(flow), Revision::FIRST).await.unwrap() else { return Ok(()) };
        self.call(store, vec![Change::Restore(first.item, Precondition::Any)]).await
    }

    async fn put_concurrently(&mut self, store: &Arc<dyn FlowRepository>, flows: [u32; 3]) -> Result<(), Ended> {
        let first = self.at();
        let calls = flows.into_iter().zip(first..).map(|(flow, at)| vec![put(content(flow, at))]);
        self.call_concurrently(store, calls.collect()).await
    }

    /// Waits until the file contains the flows of the store. A failing disk may prevent this.
    async fn file_is_written(&self, store: &Arc<dyn FlowRepository>) {
        let expected = documents(&**store).await;
        let calls = self.disk.calls();
        eventually("the file is written", async || {
            // A checkpoint on a failing disk makes at least one call.
            let has_failed = self.disk.is_failing() && self.disk.calls() > calls;
            self.has_ended() || has_failed || written(&self.file) == expected
        })
        .await;
    }

    /// Repairs the disk and waits until the store works again.
    async fn recover(&mut self, store: &Arc<dyn FlowRepository>) {
        eventually("the store works again", async || {
            self.disk.heal();
            let at = self.at();
            let changes = vec![put(content(8, at))];
            let stamp = self.ledger.begin(at, &changes);
            let result = store.apply_all(changes, stamp).await;
            self.disk.note(format!("call {at} on a working disk: {:?}", result.as_ref().map(|_| ())));
            match result {
                Err(_) if self.has_ended() => return true,
                _ => self.ledger.end(at, &result),
            }
            match result {
                Ok(_) => true,
                Err(RepositoryError::Unavailable { .. }) => false,
                Err(error) => panic!("the disk works again, but the store does not: {error:?}"),
            }
        })
        .await;
    }

    /// Opens the store twice on a disk without faults, and checks it against the ledger.
    async fn verify(&mut self) {
        self.disk = self.file.disk();
        self.is_fatal = false;
        for _ in 0..2 {
            if self.file.path.exists() {
                let text = self.file.read();
                assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "not JSON: {text}");
            }
            let store = self.try_open().await.unwrap_or_else(|error| panic!("the store does not open: {error}"));
            assert_eq!(store.health().await.status, Status::Ready);
            self.ledger.check(&*store).await;
            if let Some(follower) = &mut self.follower {
                follower.check(&*store).await;
            }
            let call = self.put(&store, 1).await;
            assert!(call.is_ok());
            // The store checks the history before the first checkpoint.
            self.file_is_written(&store).await;
            let mut faults = store.health().await.faults;
            // The fault may have prevented the first checkpoint.
            faults.retain(|fault| !fault.contains("were restored from the journal"));
            assert_eq!(faults, [""; 0], "nothing is missing, so nothing is reported");
            let expected = documents(&*store).await;
            store.close().await.unwrap();
            assert_eq!(written(&self.file), expected, "after the close the file is complete");
            let is_temporary = |name: &String| name.ends_with(".tmp");
            assert!(!self.file.names().iter().any(is_temporary), "no temporary file remains: {:?}", self.file.names());
        }
    }
}

fn put(flow: strom_store::Flow) -> Change {
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

/// Runs the script with one fault and verifies the store. Prints a trace if the test fails. Returns the number of disk
/// calls.
fn run_with(fault: Option<(u64, Fault)>, loss: Option<Loss>) -> u64 {
    let file = Arc::new(File::in_memory());
    let mut script = Script::new(&file, fault);
    let disk = Arc::clone(&script.disk);
    let all = async move {
        // A stop ends the script early. The store then changes nothing on the disk, and its close releases the file.
        let _ = script.run().await;
        if let Some(store) = script.store.take() {
            script.close(&store).await;
        }
        if let Some(loss) = loss {
            script.disk.lose_unsynced(loss);
        }
        script.verify().await;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let in_time = async { timeout(HANGS, all).await.expect("the store hangs") };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| runtime.block_on(in_time))) {
        let trace = disk.trace().join("\n");
        let directory = Arc::into_inner(file).map(File::keep);
        eprintln!("{trace}\nwith {fault:?} and then {loss:?}; the files are in {directory:?}");
        resume_unwind(panic);
    }
    disk.calls()
}

/// Runs the script once per disk call with the fault at this call, in four threads.
fn at_every_call(fault: Fault, loss: impl Fn(u64) -> Option<Loss> + Sync) {
    const SAMPLE: u64 = 20;
    let calls = run_with(None, None);
    assert!(calls > 50, "the script makes too few disk calls: {calls}");
    let all = std::env::var("STROM_FAULTS").is_ok_and(|value| value == "all");
    let step = if all { 1 } else { (calls / SAMPLE).max(1) };
    // A different sample for each kind of failure.
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
                    run_with(Some((call, fault)), loss(call));
                }
            });
        }
    });
}

#[test]
fn kill_at_any_disk_call_loses_no_acknowledged_change() {
    at_every_call(Fault::Stop, |_| None);
}

#[test]
fn kill_during_any_write_loses_no_acknowledged_change() {
    at_every_call(Fault::StopHalfway, |_| None);
}

#[test]
fn power_cut_at_any_disk_call_loses_no_acknowledged_change() {
    at_every_call(Fault::Stop, |_| Some(Loss::All));
}

#[test]
fn power_cut_with_partial_loss_loses_no_acknowledged_change() {
    at_every_call(Fault::StopHalfway, |call| Some(Loss::Some(call)));
}

#[test]
fn power_cut_on_a_reordering_disk_loses_no_acknowledged_change() {
    at_every_call(Fault::Stop, |call| Some(Loss::Sectors(call)));
}

/// After the failure the store continues, and a power cut after its close loses nothing.
#[test]
fn one_failed_disk_call_loses_no_acknowledged_change() {
    at_every_call(Fault::Once(Failure::Broken), |_| Some(Loss::All));
    at_every_call(Fault::Once(Failure::Full), |_| Some(Loss::All));
}

#[test]
fn temporary_disk_failure_loses_no_acknowledged_change() {
    at_every_call(Fault::UntilHealed(Failure::Full), |_| Some(Loss::All));
    at_every_call(Fault::UntilHealed(Failure::Broken), |call| Some(Loss::Some(call)));
}

/// The note about a checkpoint reaches the disk with the sync of the next save. If that sync fails, the note may be
/// lost like the save, although it follows a line that is known to be on the disk.
#[tokio::test(flavor = "multi_thread")]
async fn failed_sync_invalidates_the_checkpoint_note_before_it() -> Result<(), Ended> {
    let file = Arc::new(File::new());
    let mut script = Script::new(&file, None);
    let disk = Arc::clone(&script.disk);
    let store = script.open().await?;
    script.put(&store, 1).await?;
    script.file_is_written(&store).await;
    let is_note = |call: &String| call.contains("write") && call.contains("of flows.json.journal");
    // The trace also has lines of this script, which may follow.
    let last_call = || disk.trace().into_iter().rfind(|line| line.trim_start().starts_with(char::is_numeric));
    eventually("the journal contains the note", async || last_call().is_some_and(|call| is_note(&call))).await;
    let sync = disk.calls() + 2;
    disk.plan(sync, Fault::UntilHealed(Failure::Broken));
    script.put(&store, 2).await?;
    store.close().await.unwrap();

    disk.heal();
    let store = script.open().await?;
    script.put(&store, 3).await?;
    store.close().await.unwrap();
    disk.lose_unsynced(Loss::All);
    script.verify().await;
    Ok(())
}
