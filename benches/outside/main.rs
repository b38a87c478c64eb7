//! Compares the program with a plain service, both over HTTP and PostgreSQL: `just bench outside`.
//!
//! Slices of both alternate in one run, so that they run under the same conditions. Only ratios are meaningful: Strom divided by the
//! plain service. Strom's side includes history, revisions and the change feed, which the plain service lacks.

mod client;
mod cost;
#[path = "../document/mod.rs"]
mod document;
mod plain;
#[path = "../program/mod.rs"]
mod program;

use std::process::Command;
use std::time::Duration;

use clap::Parser;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

use self::client::{BYTES, FLOWS, Operation, load};
use self::cost::{Cost, Meter};
use self::document::document;
use self::program::Program;

/// The environment variable that makes this executable the plain service over the database with this URL.
const PLAIN: &str = "STROM_BENCH_PLAIN";

/// Compares the program with a plain service over HTTP
#[derive(Debug, Parser)]
struct Arguments {
    /// Measure only operations whose name contains this text
    filter: Option<String>,
    /// Seconds of one slice
    #[arg(long, default_value_t = 2.0)]
    slice: f64,
    /// Slices of each side per operation
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Added by Cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// One of the two services.
struct Side {
    program: Program,
    page: &'static str,
}

/// The slices of one side.
#[derive(Default)]
struct Measured {
    rates: Vec<f64>,
    latencies: Vec<f64>,
    cost: Cost,
}

impl Measured {
    fn rate(&mut self) -> f64 {
        self.rates.sort_unstable_by(f64::total_cmp);
        self.rates[self.rates.len() / 2]
    }

    /// Returns the latency that this part of the requests does not exceed, in milliseconds.
    fn latency(&mut self, part: f64) -> f64 {
        self.latencies.sort_unstable_by(f64::total_cmp);
        1e3 * self.latencies[((self.latencies.len() - 1) as f64 * part) as usize]
    }

    fn per_call(&self, total: f64) -> f64 {
        total / self.latencies.len() as f64
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Ok(url) = std::env::var(PLAIN) {
        return runtime.block_on(plain::serve(&url));
    }
    let arguments = Arguments::parse();
    let server: Url = std::env::var("DATABASE_URL").expect("DATABASE_URL: run `just bench outside`").parse().unwrap();
    runtime.block_on(compare(&arguments, &server));
}

async fn compare(arguments: &Arguments, server: &Url) {
    let [ours, theirs] = ["strom_bench_ours", "strom_bench_plain"].map(|database| {
        let mut url = server.clone();
        url.set_path(database);
        (database, url.to_string())
    });
    let mut connection = PgConnection::connect(server.as_str()).await.unwrap();
    for (database, _) in [&ours, &theirs] {
        for statement in [format!("DROP DATABASE IF EXISTS {database}"), format!("CREATE DATABASE {database}")] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
    }
    let mut connection = PgConnection::connect(&theirs.1).await.unwrap();
    sqlx::raw_sql(plain::TABLE).execute(&mut connection).await.unwrap();
    let mut plain = Command::new(std::env::current_exe().unwrap());
    plain.env(PLAIN, &theirs.1);
    let sides = [
        Side {
            program: Program::start("outside", &["--database-url", &ours.1]),
            page: "/api/flows?limit=50&view=summary",
        },
        Side { program: Program::of(plain), page: "/api/summaries" },
    ];
    for (_, url) in [&ours, &theirs] {
        fill(url).await;
    }
    let mut meter = Meter::connect(server.as_str()).await;
    println!(
        "| operation | clients | Strom/s | plain/s | ratio | p99 ms | plain p99 | worst ms | WAL kB | plain WAL | CPU µs | plain CPU |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let puts = [1, 8, 32, 64].map(|clients| ("PUT", Operation::Put, clients));
    let gets = [1, 8, 32, 64].map(|clients| ("GET", Operation::Get, clients));
    let pages = [1, 8].map(|clients| ("page of 50 summaries", Operation::Page, clients));
    let all = [1, 8].map(|clients| ("all flows", Operation::All, clients));
    // Concurrent imports of the same flows would wait for each other.
    let others = pages.into_iter().chain(all).chain([("import of 200", Operation::Import, 1)]);
    for (name, operation, clients) in puts.into_iter().chain(gets).chain(others) {
        if arguments.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str())) {
            let measured = in_turns(arguments, &sides, &mut meter, operation, clients).await;
            print_row(name, clients, measured);
        }
    }
}

/// Stores the flows, and runs the maintenance that a server has done after some time.
async fn fill(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    for number in 0..FLOWS {
        let insert = "INSERT INTO flows (id, name, state, data) SELECT id, name, 'Null', data::JSONB
                      FROM (VALUES ($1::UUID, $2::TEXT, $3::TEXT)) AS flow (id, name, data)";
        let insert = sqlx::query(insert).bind(uuid::Uuid::from_u128(number)).bind(format!("flow {number:06}"));
        insert.bind(document(number, BYTES)).execute(&mut connection).await.unwrap();
    }
    for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    }
}

async fn in_turns(
    arguments: &Arguments,
    sides: &[Side; 2],
    meter: &mut Meter,
    operation: Operation,
    clients: usize,
) -> [Measured; 2] {
    let mut measured = <[Measured; 2]>::default();
    for round in 0..arguments.rounds {
        for index in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let Side { program, page } = &sides[index];
            let before = meter.read(program.child.id()).await;
            let time = Duration::from_secs_f64(arguments.slice);
            let begin = std::time::Instant::now();
            let latencies = load(&program.address, page, operation, clients, time, round + 1).await;
            measured[index].rates.push(latencies.len() as f64 / begin.elapsed().as_secs_f64());
            measured[index].cost += meter.read(program.child.id()).await - before;
            measured[index].latencies.extend(latencies);
        }
    }
    measured
}

fn print_row(name: &str, clients: usize, [mut ours, mut plain]: [Measured; 2]) {
    let rates = [ours.rate(), plain.rate()];
    let wal = [ours.per_call(ours.cost.wal_bytes), plain.per_call(plain.cost.wal_bytes)].map(|bytes| bytes / 1e3);
    let cpu =
        [ours.per_call(ours.cost.cpu_seconds), plain.per_call(plain.cost.cpu_seconds)].map(|seconds| seconds * 1e6);
    println!(
        "| {name} | {clients} | {:.0} | {:.0} | **{:.2}** | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} |",
        rates[0],
        rates[1],
        rates[0] / rates[1],
        ours.latency(0.99),
        plain.latency(0.99),
        ours.latency(1.0),
        wal[0],
        wal[1],
        cpu[0],
        cpu[1],
    );
}
