//! Attacks of clients on a server: `just siege [FLOWS [json|postgresql]]`. Default: 100,000 flows of 2 kB on both
//! backends.
//!
//! Each attack runs concurrently against two servers, one on a JSON file and one on PostgreSQL. The table shows the
//! outcome, the memory before the attack, and the peak memory. A wrong response or too much memory ends the program
//! with an error. The log of the server is in the target directory, `tmp/siege-STORAGE.log`.

mod attacks;
#[path = "../document/mod.rs"]
mod document;
#[path = "../program/mod.rs"]
mod program;
mod server;
mod transfers;

use std::time::Instant;

use self::server::Server;

/// The memory that one attack may add to a server, in MB. Frames and buffers of a build without optimisation are
/// larger.
const BOUND: f64 = if cfg!(debug_assertions) { 128.0 } else { 64.0 };

/// The bound for clients that request lists of all flows: the memory budget for requests, and two lists that are read.
const LISTS: f64 = 1024.0;

#[tokio::main]
async fn main() {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let flows = arguments.next().map_or(100_000, |flows| flows.parse().expect("a number of flows"));
    let only = arguments.next();
    let is_selected = |storage| only.as_deref().is_none_or(|only| only == storage);
    println!("| storage | attack | seconds | MB before | MB at most | outcome |");
    println!("|---|---|---|---|---|---|");
    // Concurrently, because clients and servers mostly wait for each other, and each server has its own memory.
    let on_file = async {
        if is_selected("json") {
            let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            siege("json", &["--data-dir", directory.path().to_str().unwrap()], flows).await;
        }
    };
    let on_database = async {
        if is_selected("postgresql") {
            let database = std::env::var("DATABASE_URL").expect("DATABASE_URL names an empty database");
            siege("postgresql", &["--database-url", &database], flows).await;
        }
    };
    tokio::join!(on_file, on_database);
}

async fn siege(storage: &str, arguments: &[&str], flows: u64) {
    let server = Server::start(storage, arguments);
    let attack = Attack { storage, server: &server };
    // Some hundred bytes per flow, and for a JSON file also the flows, because that backend keeps them in memory.
    let import = BOUND + flows as f64 * if storage == "json" { 0.005 } else { 0.0005 };
    attack.run("import", import, transfers::import(&server, flows)).await;
    attack.run("import of the same", import, transfers::import_again(&server, flows)).await;
    attack.run("export", BOUND, transfers::export(&server, flows)).await;
    attack.run("export, slow reader", BOUND, transfers::slow_reader(&server)).await;
    attack.run("body of 1 GiB", BOUND, attacks::large_bodies(&server)).await;
    attack.run("gzip bombs", BOUND, attacks::gzip_bombs(&server)).await;
    attack.run("deep nesting", BOUND, attacks::deep_nesting(&server)).await;
    attack.run("hang-ups", LISTS, attacks::hang_ups(&server, flows / 100)).await;
    attack.run("random requests", BOUND, attacks::random_requests(&server)).await;
}

struct Attack<'a> {
    storage: &'a str,
    server: &'a Server,
}

impl Attack<'_> {
    async fn run(&self, name: &str, bound: f64, attack: impl Future<Output = String>) {
        self.server.reset_peak();
        let (before, _) = self.server.memory();
        let begin = Instant::now();
        let outcome = attack.await;
        let seconds = begin.elapsed().as_secs_f64();
        let (_, peak) = self.server.memory();
        println!("| {} | {name} | {seconds:.1} | {before:.0} | {peak:.0} | {outcome} |", self.storage);
        assert!(peak - before <= bound, "{name} used {:.0} MB, more than the allowed {bound} MB", peak - before);
        assert_eq!(self.server.get("/health").await.status(), 200, "the server still responds");
    }
}
