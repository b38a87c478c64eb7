//! Processes on one directory, killed with `kill -9` at random times. `STROM_KILL_ROUNDS` sets the number of processes
//! (`just torture`), `STROM_KILL_SEED` repeats the times of a run.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use serde::{Deserialize, Serialize};
use strom_store::FlowRepository;
use strom_store::internals::Chance;
use strom_store::internals::faulty_disk::{self, FaultyDisk};
use strom_store::internals::samples::{id, number, parse, stamp, time};
use strom_store::json::{JsonRepository, Settings};
use strom_store::repository::{Change, Precondition, Revision};
use strom_test_support::clock;

use strom_test_support::eventually::HANGS;
use strom_test_support::json::{File, hasty, lazy};
use strom_test_support::ledger::{Follower, Ledger, content, report};

const WRITERS: u32 = 8;
/// The number of rounds on one directory. Each round reads its whole history again.
const ROUNDS_EACH: u64 = 10;
const CALLS_PER_ROUND: i64 = 1_000_000;

/// A line that the writing process prints.
#[derive(Debug, Serialize, Deserialize)]
enum Line {
    /// Before the store is opened.
    Opens,
    /// Before a call.
    Begins {
        at: i64,
        changes: Vec<PrintedChange>,
    },
    /// After the call was acknowledged, with the revisions.
    Applied {
        at: i64,
        revisions: Vec<Option<u64>>,
    },
    Failed {
        at: i64,
        error: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
enum PrintedChange {
    Put(String),
    Restore(String),
    Delete(u32),
}

impl PrintedChange {
    fn of(change: &Change) -> Self {
        match change {
            Change::Put(flow, _) => Self::Put(flow.document().get().to_owned()),
            Change::Restore(flow, _) => Self::Restore(flow.document().get().to_owned()),
            Change::Delete(id, _) => Self::Delete(number(*id)),
            Change::Adopt(_) | Change::Inherit(_) => unreachable!("the writers make no such change"),
        }
    }

    fn change(&self) -> Change {
        match self {
            Self::Put(text) => Change::Put(parse(text), Precondition::Any),
            Self::Restore(text) => Change::Restore(parse(text), Precondition::Any),
            Self::Delete(number) => Change::Delete(id(*number), Precondition::Any),
        }
    }
}

/// Prints a line with one write, so that it is complete or cut off.
fn print(line: &Line) {
    println!("{}", serde_json::to_string(line).unwrap());
}

/// Returns settings with frequent checkpoints, with none before the close, or the defaults, by round.
fn settings(round: u64) -> Settings {
    match round % 4 {
        0 => hasty().with_interval(Duration::from_millis(20)),
        1 => {
            hasty().with_journal_bytes(300).with_quiet(Duration::from_millis(1)).with_interval(Duration::from_millis(3))
        }
        2 => lazy(),
        _ => Settings::default(),
    }
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "started and killed by another test"]
fn writer() {
    let Ok(path) = std::env::var("STROM_KILL_PATH") else { return };
    let durable = std::env::var("STROM_KILL_DURABLE").unwrap();
    let round: u64 = std::env::var("STROM_KILL_ROUND").unwrap().parse().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        print(&Line::Opens);
        let store: Arc<dyn FlowRepository> = match round % 4 {
            // With real syncs.
            3 => Arc::new(JsonRepository::open(path.as_ref(), time(0)).await.unwrap()),
            _ => {
                let disk = FaultyDisk::new(tempfile::tempdir_in(durable).unwrap().keep());
                faulty_disk::open(path.as_ref(), time(0), settings(round), &disk).await.unwrap()
            }
        };
        for writer in 0..WRITERS {
            tokio::spawn(write(Arc::clone(&store), writer, round as i64 * CALLS_PER_ROUND + i64::from(writer)));
        }
        // Ends the process if nothing kills it.
        tokio::time::sleep(Duration::from_secs(120)).await;
    });
}

/// Makes random changes to the flows of one writer.
async fn write(store: Arc<dyn FlowRepository>, writer: u32, first: i64) {
    let mut chance = Chance::new(first as u64);
    for at in (first..).step_by(WRITERS as usize) {
        let flow = writer * 10 + chance.below(4) as u32;
        let put = |flow| Change::Put(content(flow, at), Precondition::Any);
        let changes = match (chance.below(8), store.get(id(flow)).await.unwrap()) {
            (0, Some(_)) => vec![Change::Delete(id(flow), Precondition::Any)],
            (1..4, None) => match store.revision(id(flow), Revision::FIRST).await.unwrap() {
                Some(first) => vec![Change::Restore(first.item, Precondition::Any)],
                None => vec![put(flow)],
            },
            (1, Some(stored)) => vec![Change::Put(report(&stored.item, at), Precondition::Any)],
            (2 | 3, _) => {
                let deletion = Change::Delete(id(writer * 10 + 9), Precondition::Any);
                vec![put(writer * 10 + 7), deletion, put(flow), put(writer * 10 + 8)]
            }
            (4, _) => vec![put(flow), put(writer * 10 + 9)],
            _ => vec![put(flow)],
        };
        print(&Line::Begins { at, changes: changes.iter().map(PrintedChange::of).collect() });
        match store.apply_all(changes, stamp(at)).await {
            Ok(applied) => {
                let revision = |version: strom_store::repository::Version| version.revision.number();
                let revisions = applied.into_iter().map(|applied| applied.version.map(revision)).collect();
                print(&Line::Applied { at, revisions });
            }
            Err(error) => print(&Line::Failed { at, error: format!("{error:?}") }),
        }
        // Creates interleavings.
        tokio::time::sleep(Duration::from_micros(chance.below(2_000))).await;
    }
}

/// The writing process and its output.
struct WriterProcess {
    child: Child,
    lines: JoinHandle<Vec<Line>>,
    progress: Receiver<Progress>,
}

/// The progress of the process.
enum Progress {
    Opens,
    Applied,
}

impl WriterProcess {
    fn start(file: &File, round: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "json_kill::writer", "--ignored", "--nocapture"])
            .env("STROM_KILL_PATH", &file.path)
            .env("STROM_KILL_DURABLE", file.durable())
            .env("STROM_KILL_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, progress) = channel();
        let lines = std::thread::spawn(move || {
            // The last line may be cut off, and the test harness prints lines as well.
            let lines = output.lines().map_while(Result::ok).filter_map(|line| line_of(&line));
            let lines = lines.inspect(|line| {
                // The receiver may be closed.
                let _ = match line {
                    Line::Opens => sender.send(Progress::Opens),
                    Line::Applied { .. } => sender.send(Progress::Applied),
                    Line::Begins { .. } | Line::Failed { .. } => Ok(()),
                };
            });
            lines.collect()
        });
        Self { child, lines, progress }
    }

    /// Kills the process some time after this number of acknowledged calls. With 0 it may still be opening the store.
    fn kill(mut self, calls: u64, after: Duration) -> Vec<Line> {
        for progress in 0..=calls {
            match self.progress.recv_timeout(HANGS) {
                Ok(Progress::Opens) => assert_eq!(progress, 0),
                Ok(Progress::Applied) => assert_ne!(progress, 0),
                Err(error) => panic!("the process makes no more calls: {error}, {:?}", self.child.try_wait()),
            }
        }
        // Creates interleavings.
        std::thread::sleep(after);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.join().unwrap()
    }
}

fn line_of(text: &str) -> Option<Line> {
    let start = text.find(['{', '"'])?;
    serde_json::from_str(&text[start..]).ok()
}

fn record(ledger: &mut Ledger, lines: Vec<Line>) {
    for line in lines {
        match line {
            Line::Opens => {}
            Line::Begins { at, changes } => {
                ledger.begin(at, &changes.iter().map(PrintedChange::change).collect::<Vec<_>>());
            }
            Line::Applied { at, revisions } => {
                ledger.applied(at, revisions.into_iter().map(|number| number.map(Revision::new)).collect());
            }
            Line::Failed { at, error } => panic!("call {at} failed on a working disk: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_survive_kill_9() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let rounds = number("STROM_KILL_ROUNDS").unwrap_or(12);
    let seed = number("STROM_KILL_SEED").unwrap_or_else(|| clock::now().timestamp_micros().unsigned_abs());
    eprintln!("STROM_KILL_SEED={seed}");
    let mut chance = Chance::new(seed);
    let mut calls = 0;
    for first in (0..rounds).step_by(ROUNDS_EACH as usize) {
        let file = File::new();
        let store = file.open_with(hasty()).await;
        let mut follower = Follower::begin(&*store).await;
        store.close().await.unwrap();
        let mut ledger = Ledger::default();
        for round in first..rounds.min(first + ROUNDS_EACH) {
            let opening = chance.below(5) == 0;
            let count = if opening { 0 } else { 1 + chance.below(150) };
            let after = Duration::from_micros(chance.below(10_000));
            let lines = WriterProcess::start(&file, round).kill(count, after);
            calls += lines.len();
            record(&mut ledger, lines);
            eprintln!("round {round}: killed {after:?} after {count} calls; {:?}", file.names());
            // Sometimes the next process is the first to open the files of the killed one.
            if chance.below(4) == 0 {
                continue;
            }
            let store = file.open_with(hasty()).await;
            ledger.check(&*store).await;
            follower.check(&*store).await;
            store.close().await.unwrap();
        }
    }
    assert!(calls as u64 > rounds, "the processes made too few calls");
}
