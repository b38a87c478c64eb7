//! The JSON file with many writers, its opening, and its memory.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use serde::Deserialize;
use serde_json::value::RawValue;
use strom_server::clock;
use strom_store::FlowRepository;
use strom_store::json::{JsonRepository, Settings};
use strom_store::repository::ListQuery;

use crate::Arguments;
use crate::document::document;
use crate::json_growth::filled;
use crate::load::{AsyncOperation, Edits, edit, in_turns, served, stamp, tasks, timed};
use crate::report::{Report, Row, Samples};

/// The environment variable with the path of the store, set in the process whose memory is measured.
pub(crate) const IN_CHILD: &str = "STROM_BENCH_STORE";

const OPENINGS: usize = 11;
const BURSTS: usize = 9;
const BURST: Duration = Duration::from_millis(500);

pub(crate) async fn measure(arguments: &Arguments, report: &mut Report) {
    for flows in [1_000, 10_000, 100_000].into_iter().filter(|flows| *flows <= arguments.flows) {
        let directory = tempfile::tempdir_in(&arguments.directory).unwrap();
        let path = directory.path().join("flows.json");
        let repository = filled(&path, flows, 2_000).await;
        if flows == 10_000 {
            writers(&repository, arguments, report).await;
        }
        repository.close().await.unwrap();
        drop(repository);
        open(&path, flows, arguments, report).await;
        memory(&path, flows, report);
    }
    report.add_slope("JSON", "open", None);
}

/// Measures saves of several writers. The floor is one writer.
async fn writers(repository: &Arc<dyn FlowRepository>, arguments: &Arguments, report: &mut Report) {
    for count in [5, 8, 32, 128] {
        let burst = async |count| {
            let writer = |task| Writer { repository: Arc::clone(repository), edits: Edits::of(task, 10_000, 2_000) };
            tasks(count, BURST, writer).await.seconds
        };
        let (many, one) =
            in_turns(arguments.rounds(BURSTS), async || burst(count).await, async || burst(1).await).await;
        let row = Row::new("JSON", "saves of many writers", &many).of(10_000, 2_000, count);
        report.add(row.over("one writer", &one).goal(0.25));
    }
}

struct Writer {
    repository: Arc<dyn FlowRepository>,
    edits: Edits,
}

impl AsyncOperation for Writer {
    async fn once(&mut self) {
        self.repository.apply_all(vec![self.edits.next_change()], stamp()).await.unwrap();
    }
}

/// Measures opening a store. The floor reads the file and finds the end of each flow.
async fn open(path: &Path, flows: u64, arguments: &Arguments, report: &mut Report) {
    let opening = async || {
        let begin = std::time::Instant::now();
        let repository = JsonRepository::open_with(path, clock::now(), Settings::default()).await.unwrap();
        let time = begin.elapsed().as_secs_f64();
        repository.close().await.unwrap();
        time
    };
    let scanning = async || {
        timed(async {
            let content = std::fs::read(path).unwrap();
            let file: File = serde_json::from_slice(&content).unwrap();
            assert_eq!(black_box(file).flows.len() as u64, flows);
        })
        .await
    };
    let (ours, floor) = in_turns(arguments.rounds(OPENINGS), opening, scanning).await;
    report.add(Row::new("JSON", "open", &ours).of(flows, 2_000, 1).over("read, RawValue", &floor).goal(2.0));
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    flows: Vec<&'a RawValue>,
}

/// Measures the peak memory of a process, compared with the size of the documents.
fn memory(path: &Path, flows: u64, report: &mut Report) {
    let output = Command::new(std::env::current_exe().unwrap()).env(IN_CHILD, path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let peak: f64 = text.trim().parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let documents = flows as f64 * document(1, 2_000).len() as f64;
    let row = Row::new("JSON", "memory at its peak", &Samples::from([peak])).of(flows, 2_000, 1).in_bytes();
    let row = row.over("the documents", &Samples::from([documents]));
    report.add(if flows == 10_000 { row.goal(2.5) } else { row });
}

/// Opens a store, lists the flows, saves a hundred times, and closes it, as a server does.
pub(crate) async fn child(path: &Path) {
    let repository =
        served(Arc::new(JsonRepository::open_with(path, clock::now(), Settings::default()).await.unwrap()));
    let flows = repository.list(&ListQuery::default()).await.unwrap().items.len() as u64;
    for save in 0..100 {
        repository.apply_all(vec![edit(save * 7 % flows, 2_000, 500 + save)], stamp()).await.unwrap();
    }
    repository.close().await.unwrap();
    // <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: f64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("{}", kilobytes * 1024.0);
}
