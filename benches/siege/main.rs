//! What clients can do to a server: `just siege [FLOWS [json|postgresql]]`, with 100,000 flows of 2 kB on both if nothing else
//! is said.
//!
//! Each attack is made on a real server, on a JSON file and on PostgreSQL in turn. Printed is what it had to give and how
//! much memory it took above what it had before; an answer that is wrong or memory beyond a bound ends the program with
//! an error. The log of the server is in the target directory, `tmp/siege.log`.

mod attacks;
#[path = "../document/mod.rs"]
mod document;
#[path = "../program/mod.rs"]
mod program;
mod server;
mod transfers;

use std::time::Instant;

use self::server::Server;

/// How much more than before a server may need for what one attack makes it do, in MB.
const BOUND: f64 = 64.0;

/// The same for clients who ask for lists of all flows: what has room at a time, and two lists that are read.
const LISTS: f64 = 1024.0;

#[tokio::main]
async fn main() {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let flows = arguments.next().map_or(100_000, |flows| flows.parse().expect("a number of flows"));
    let only = arguments.next();
    let is_wanted = |storage| only.as_deref().is_none_or(|only| only == storage);
    println!("| storage | attack | seconds | MB before | MB at most | what came of it |");
    println!("|---|---|---|---|---|---|");
    if is_wanted("json") {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        siege("json", &["--data-dir", directory.path().to_str().unwrap()], flows).await;
    }
    if is_wanted("postgresql") {
        let database = std::env::var("DATABASE_URL").expect("DATABASE_URL names an empty database");
        siege("postgresql", &["--database-url", &database], flows).await;
    }
}

async fn siege(storage: &str, arguments: &[&str], flows: u64) {
    let server = Server::start(arguments);
    let attack = Attack { storage, server: &server };
    // Some hundred bytes of each flow, and on a file, which has its flows in memory, the flows.
    let import = BOUND + flows as f64 * if storage == "json" { 0.005 } else { 0.0005 };
    attack.run("import", import, transfers::import(&server, flows)).await;
    attack.run("import of the same", import, transfers::import_again(&server, flows)).await;
    attack.run("export", BOUND, transfers::export(&server, flows)).await;
    attack.run("export, slow reader", BOUND, transfers::slow_reader(&server)).await;
    attack.run("body of 1 GiB", BOUND, attacks::large_bodies(&server)).await;
    attack.run("gzip bombs", BOUND, attacks::gzip_bombs(&server)).await;
    attack.run("deep nesting", BOUND, attacks::deep_nesting(&server)).await;
    attack.run("hang-ups", LISTS, attacks::hang_ups(&server)).await;
    attack.run("random requests", BOUND, attacks::random_requests(&server)).await;
}

struct Attack<'a> {
    storage: &'a str,
    server: &'a Server,
}

impl Attack<'_> {
    async fn run(&self, name: &str, bound: f64, attack: impl Future<Output = String>) {
        self.server.forget_peak();
        let (before, _) = self.server.memory();
        let begin = Instant::now();
        let came_of_it = attack.await;
        let seconds = begin.elapsed().as_secs_f64();
        let (_, peak) = self.server.memory();
        println!("| {} | {name} | {seconds:.1} | {before:.0} | {peak:.0} | {came_of_it} |", self.storage);
        assert!(peak - before <= bound, "{name} took {:.0} MB, at most {bound} are allowed", peak - before);
        assert_eq!(self.server.get("/health").await.status(), 200, "it is still there");
    }
}
