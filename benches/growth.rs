//! What the JSON store costs as it grows: `just growth [DIRECTORY [FLOWS]]`, up to 100,000 flows of 2 kB if nothing else
//! is said.
//!
//! A save must cost the same whatever the number of flows. Disks drift by more than that in a minute, so the sizes take
//! turns, save by save, and the floor, which is an append of as many bytes and its sync, takes its turn with them. The
//! file is not written for quiet meanwhile, or the largest store would disturb the others. The memory of each size is
//! that of a process of its own.

mod document;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strom::json::{JsonRepository, Settings};
use strom::repository::{Author, Change, ListQuery, Precondition, Stamp};
use strom::testkit::chance::Chance;
use strom::{Flow, FlowRepository, clock};
use tokio::runtime::Runtime;

use self::document::document;

const SIZES: [u64; 5] = [10, 100, 1_000, 10_000, 100_000];
const SAVES: usize = 200;
const BURSTS: usize = 5;
const WRITERS: u64 = 8;
const SAVES_PER_WRITER: u64 = 25;
const OPENINGS: usize = 2;
/// What the JSON of a save has around the document, more or less.
const ENVELOPE: usize = 200;
const IN_CHILD: &str = "STROM_GROWTH_STORE";

/// A store of one size, and what was measured of it.
struct Store {
    flows: u64,
    path: PathBuf,
    open: Option<Arc<dyn FlowRepository>>,
    chance: Chance,
    floor: File,
    floor_end: u64,
    saves: Vec<Duration>,
    floors: Vec<Duration>,
    bursts: Vec<Duration>,
    opens: Vec<Duration>,
    checkpoints: Vec<Duration>,
    memory: u64,
}

fn main() {
    let runtime = Runtime::new().unwrap();
    if let Some(path) = std::env::var_os(IN_CHILD) {
        return runtime.block_on(child(path.as_ref()));
    }
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let directory = arguments.next().unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").to_owned());
    let largest = arguments.next().map_or(u64::MAX, |flows| flows.parse().expect("a number of flows"));
    let place = tempfile::tempdir_in(&directory).unwrap();
    let mut stores: Vec<Store> =
        SIZES.into_iter().filter(|flows| *flows <= largest).map(|flows| Store::new(flows, place.path())).collect();
    runtime.block_on(async {
        for store in &mut stores {
            store.fill().await;
        }
        for store in &mut stores {
            store.memory = peak_of_a_child(&store.path);
        }
        for _ in 0..OPENINGS {
            for store in &mut stores {
                store.open_and_close().await;
            }
        }
        for store in &mut stores {
            store.open().await;
        }
        for _ in 0..SAVES {
            for store in &mut stores {
                store.save().await;
            }
        }
        for _ in 0..BURSTS {
            for store in &mut stores {
                store.burst().await;
            }
        }
        for store in &mut stores {
            store.close().await;
        }
    });
    print(&directory, &stores);
}

impl Store {
    fn new(flows: u64, place: &Path) -> Self {
        let directory = place.join(flows.to_string());
        std::fs::create_dir(&directory).unwrap();
        Self {
            flows,
            path: directory.join("flows.json"),
            open: None,
            chance: Chance::new(flows),
            floor: File::create(directory.join("floor")).unwrap(),
            floor_end: 0,
            saves: Vec::new(),
            floors: Vec::new(),
            bursts: Vec::new(),
            opens: Vec::new(),
            checkpoints: Vec::new(),
            memory: 0,
        }
    }

    async fn open(&mut self) {
        let settings = Settings { quiet: Duration::from_secs(3_600), ..Settings::default() };
        self.open = Some(Arc::new(JsonRepository::open_with(&self.path, clock::now(), settings).await.unwrap()));
    }

    async fn close(&mut self) {
        self.open.take().unwrap().close().await;
    }

    fn repository(&self) -> &Arc<dyn FlowRepository> {
        self.open.as_ref().expect("it is open")
    }

    async fn fill(&mut self) {
        self.open().await;
        for first in (0..self.flows).step_by(10_000) {
            let numbers = first..self.flows.min(first + 10_000);
            self.repository().apply(numbers.map(|number| edit(number, 0)).collect(), stamp()).await.unwrap();
        }
        self.close().await;
    }

    async fn open_and_close(&mut self) {
        let begin = Instant::now();
        self.open().await;
        self.opens.push(begin.elapsed());
        let change = edit(self.chance.below(self.flows), self.opens.len() as u64);
        self.repository().apply(vec![change], stamp()).await.unwrap();
        let begin = Instant::now();
        self.close().await;
        self.checkpoints.push(begin.elapsed());
    }

    async fn save(&mut self) {
        let change = edit(self.chance.below(self.flows), 1_000 + self.saves.len() as u64);
        let bytes = vec![b'x'; change.flow().map_or(0, |flow| flow.document().get().len()) + ENVELOPE];
        let begin = Instant::now();
        self.repository().apply(vec![change], stamp()).await.unwrap();
        self.saves.push(begin.elapsed());
        let begin = Instant::now();
        self.floor.write_all_at(&bytes, self.floor_end).unwrap();
        self.floor.sync_data().unwrap();
        self.floors.push(begin.elapsed());
        self.floor_end += bytes.len() as u64;
    }

    /// Each writer has flows of its own, as far as there are enough.
    async fn burst(&mut self) {
        let burst = self.bursts.len() as u64;
        let begin = Instant::now();
        let writers = (0..WRITERS).map(|writer| {
            let (repository, flows) = (Arc::clone(self.repository()), self.flows);
            tokio::spawn(async move {
                for save in 0..SAVES_PER_WRITER {
                    let number = (writer + WRITERS * save) % flows;
                    let content = 1_000_000 * (burst + 1) + 1_000 * writer + save;
                    repository.apply(vec![edit(number, content)], stamp()).await.unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        self.bursts.push(begin.elapsed());
    }
}

/// A content that the flow did not have.
fn edit(number: u64, content: u64) -> Change {
    let text = document(u128::from(number), 2_000).replace("\"links\":[]", &format!("\"links\":[],\"edit\":{content}"));
    Change::Put(Flow::parse(&text).unwrap(), Precondition::Any)
}

fn stamp() -> Stamp {
    Stamp::new(clock::now(), Author::new("bench"))
}

/// What a server does with a store, in short: opens, lists, saves a hundred times, closes.
async fn child(path: &Path) {
    let repository = JsonRepository::open_with(path, clock::now(), Settings::default()).await.unwrap();
    let flows = repository.list(&ListQuery::default()).await.unwrap().items.len() as u64;
    for save in 0..100 {
        repository.apply(vec![edit(save * 7 % flows, 500 + save)], stamp()).await.unwrap();
    }
    repository.close().await;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{}", peak.trim().trim_end_matches(" kB"));
}

fn peak_of_a_child(path: &Path) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap()).env(IN_CHILD, path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let kilobytes: u64 =
        text.trim().parse().unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    kilobytes * 1_024
}

fn print(directory: &str, stores: &[Store]) {
    println!("JSON store in {directory}, documents of 2 kB; times in ms, memory in MB");
    let heads = ["save", "best", "floor", "best", "x floor", "8 writers/s", "open", "checkpoint", "memory", "x data"];
    print!("{:>8}", "flows");
    heads.iter().for_each(|head| print!(" {head:>11}"));
    println!();
    for store in stores {
        let (save, floor) = (median(&store.saves), median(&store.floors));
        let data = store.flows as f64 * document(1, 2_000).len() as f64;
        let columns = [
            save,
            least(&store.saves),
            floor,
            least(&store.floors),
            save / floor,
            (WRITERS * SAVES_PER_WRITER) as f64 / median(&store.bursts) * 1e3,
            least(&store.opens),
            least(&store.checkpoints),
            store.memory as f64 / 1e6,
            store.memory as f64 / data,
        ];
        print!("{:>8}", store.flows);
        columns.iter().for_each(|column| print!(" {column:>11.2}"));
        println!();
    }
    let points = |times: fn(&Store) -> &[Duration]| {
        let some = stores.iter().filter(|store| (100..=10_000).contains(&store.flows));
        some.map(|store| ((store.flows as f64).ln(), median(times(store)).ln())).collect::<Vec<_>>()
    };
    let (save, floor) = (slope(&points(|store| &store.saves)), slope(&points(|store| &store.floors)));
    println!("log-log slope of a save over 100..10,000 flows: {save:.3} (of the floor: {floor:.3}; 1 is linear)");
}

fn median(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn least(times: &[Duration]) -> f64 {
    times.iter().min().expect("it was measured").as_secs_f64() * 1e3
}

/// Of the line through the points that leaves the least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let up: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    up / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}
