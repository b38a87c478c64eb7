//! A real process, killed at any moment: `kill -9`, again and again, on one directory. `STROM_KILL_ROUNDS` says how
//! often (`just torture`), `STROM_KILL_SEED` repeats the moments of a run.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use strom::json::{JsonRepository, Settings};
use strom::repository::{Change, Precondition, Revision};
use strom::testkit::chance::Chance;
use strom::testkit::faults::{self, FaultyDisk};
use strom::testkit::samples::{id, number, parse, stamp, time};
use strom::{FlowRepository, clock};

use crate::support::json::{File, hasty, lazy};
use crate::support::ledger::{Follower, Ledger, content, report};

const WRITERS: u32 = 8;
/// The rounds on one directory, whose history is read anew after each of them.
const ROUNDS_EACH: u64 = 10;
const CALLS_PER_ROUND: i64 = 1_000_000;

/// What the process that will be killed tells of itself, a line each.
#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Opened,
    /// Before a call.
    Asks {
        at: i64,
        changes: Vec<Told>,
    },
    /// After it was acknowledged, with the revisions.
    Made {
        at: i64,
        revisions: Vec<Option<u64>>,
    },
    Failed {
        at: i64,
        error: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
enum Told {
    Put(String),
    Restore(String),
    Delete(u32),
}

impl Told {
    fn of(change: &Change) -> Self {
        match change {
            Change::Put(flow, _) => Self::Put(flow.document().get().to_owned()),
            Change::Restore(flow, _) => Self::Restore(flow.document().get().to_owned()),
            Change::Delete(id, _) => Self::Delete(number(*id)),
            Change::Adopt(_) | Change::Inherit(_) => unreachable!("none of the writers does"),
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

/// In one write, so that a line is there or is cut off.
fn tell(line: &Line) {
    println!("{}", serde_json::to_string(line).unwrap());
}

/// Some rounds move the journal and write the file all the time, some never, some as `strom` does.
fn settings(round: u64) -> Settings {
    match round % 4 {
        0 => hasty(),
        1 => Settings {
            journal_bytes: 300,
            quiet: Duration::from_millis(1),
            interval: Duration::from_millis(3),
            ..hasty()
        },
        2 => lazy(),
        _ => Settings::default(),
    }
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "started and killed by another test"]
fn writer() {
    let Ok(place) = std::env::var("STROM_KILL_PLACE") else { return };
    let kept = std::env::var("STROM_KILL_KEPT").unwrap();
    let round: u64 = std::env::var("STROM_KILL_ROUND").unwrap().parse().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store: Arc<dyn FlowRepository> = match round % 4 {
            // With real syncs.
            3 => Arc::new(JsonRepository::open(place.as_ref(), time(0)).await.unwrap()),
            _ => {
                let disk = FaultyDisk::new(tempfile::tempdir_in(kept).unwrap().keep());
                faults::open(place.as_ref(), time(0), settings(round), &disk).await.unwrap()
            }
        };
        tell(&Line::Opened);
        for writer in 0..WRITERS {
            tokio::spawn(write(Arc::clone(&store), writer, round as i64 * CALLS_PER_ROUND + i64::from(writer)));
        }
        // Should nobody kill it.
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
}

/// One of the writers, each with flows of its own.
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
                let gone = Change::Delete(id(writer * 10 + 9), Precondition::Any);
                vec![put(writer * 10 + 7), gone, put(flow), put(writer * 10 + 8)]
            }
            (4, _) => vec![put(flow), put(writer * 10 + 9)],
            _ => vec![put(flow)],
        };
        tell(&Line::Asks { at, changes: changes.iter().map(Told::of).collect() });
        match store.apply(changes, stamp(at)).await {
            Ok(applied) => {
                let revision = |version: strom::repository::Version| version.revision.number();
                let revisions = applied.into_iter().map(|applied| applied.version.map(revision)).collect();
                tell(&Line::Made { at, revisions });
            }
            Err(error) => tell(&Line::Failed { at, error: format!("{error:?}") }),
        }
        tokio::time::sleep(Duration::from_micros(chance.below(4_000))).await;
    }
}

/// The process, and what it has told.
struct Victim {
    child: Child,
    told: JoinHandle<Vec<Line>>,
    opened: Arc<AtomicBool>,
}

impl Victim {
    fn start(file: &File, round: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "json_kill::writer", "--ignored", "--nocapture"])
            .env("STROM_KILL_PLACE", &file.path)
            .env("STROM_KILL_KEPT", file.kept())
            .env("STROM_KILL_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let opened = Arc::new(AtomicBool::new(false));
        let (output, seen) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&opened));
        let told = std::thread::spawn(move || {
            // The last line may be cut off, and the test harness says things of its own.
            let lines = output.lines().map_while(Result::ok).filter_map(|line| line_of(&line));
            let lines = lines.inspect(|line| {
                if matches!(line, Line::Opened) {
                    seen.store(true, Ordering::Relaxed);
                }
            });
            lines.collect()
        });
        Self { child, told, opened }
    }

    /// After the store was opened, or while it is.
    fn kill(mut self, opening: bool, after: Duration) -> Vec<Line> {
        let begin = Instant::now();
        while !opening && !self.opened.load(Ordering::Relaxed) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it did not open the store: {ended:?}");
            assert!(begin.elapsed() < Duration::from_secs(30), "it does not open the store");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(after);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.told.join().unwrap()
    }
}

fn line_of(text: &str) -> Option<Line> {
    let start = text.find(['{', '"'])?;
    serde_json::from_str(&text[start..]).ok()
}

fn enter(ledger: &mut Ledger, lines: Vec<Line>) {
    for line in lines {
        match line {
            Line::Opened => {}
            Line::Asks { at, changes } => {
                ledger.begin(at, &changes.iter().map(Told::change).collect::<Vec<_>>());
            }
            Line::Made { at, revisions } => {
                ledger.made(at, revisions.into_iter().map(|number| number.map(Revision::new)).collect());
            }
            Line::Failed { at, error } => panic!("call {at} failed on a good disk: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_kill_9() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let rounds = number("STROM_KILL_ROUNDS").unwrap_or(25);
    let seed = number("STROM_KILL_SEED").unwrap_or_else(|| clock::now().timestamp_micros().unsigned_abs());
    eprintln!("STROM_KILL_SEED={seed}");
    let mut chance = Chance::new(seed);
    let mut calls = 0;
    for first in (0..rounds).step_by(ROUNDS_EACH as usize) {
        let file = File::new();
        let store = file.open_with(hasty()).await;
        let mut follower = Follower::begin(&*store).await;
        store.close().await;
        let mut ledger = Ledger::default();
        for round in first..rounds.min(first + ROUNDS_EACH) {
            let opening = chance.below(5) == 0;
            let after = Duration::from_micros(chance.below(if opening { 60_000 } else { 250_000 }));
            let lines = Victim::start(&file, round).kill(opening, after);
            calls += lines.len();
            enter(&mut ledger, lines);
            eprintln!("round {round}: killed after {after:?}, opening: {opening}; {:?}", file.names());
            // Now and then the next process is the first to see what this one has left behind.
            if chance.below(4) == 0 {
                continue;
            }
            let store = file.open_with(hasty()).await;
            ledger.check(&*store).await;
            follower.check(&*store).await;
            store.close().await;
        }
    }
    assert!(calls as u64 > rounds, "the processes did not get to work");
}
