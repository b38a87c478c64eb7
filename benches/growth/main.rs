//! Disk usage of a day of edits and of reports, with simulated time: `just bench growth`.
//!
//! 1. A flow of 20 kB is saved once per hour for 89 days, and every 1.5 s on the last day, with a round of the retention every ten
//!    minutes. Before, thinning has left one record per hour, so this ends as 90 days of such saves would.
//! 2. A hundred flows of 10 kB report every 1.5 s. Reports leave nothing behind, so ten minutes suffice.
//!
//! Half of each document is random and hardly compressible.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use strom_server::clock;
use strom_store::flow::GstState;
use strom_store::internals::Chance;
use strom_store::json::JsonRepository;
use strom_store::postgres::{DatabaseUrl, PostgresRepository};
use strom_store::repository::{Author, Change, FlowRepositoryExt, Precondition, Stamp};
use strom_store::{Flow, FlowRepository};

#[path = "../document/mod.rs"]
mod document;

const MINUTES_OF_REPORTS: i64 = 10;
const ENGINES: u64 = 100;

#[tokio::main]
async fn main() {
    println!("| backend | work | operations | before MB | after MB | written MB |\n|---|---|---|---|---|---|");
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("flows.json");
    let json = Arc::new(JsonRepository::open(&path, clock::now()).await.unwrap());
    let retention = async || json.apply_retention().await.unwrap();
    measure("JSON", json.clone(), retention, async || of_directory(directory.path())).await;
    json.close().await.unwrap();

    let Ok(url) = std::env::var("DATABASE_URL") else {
        return println!("no DATABASE_URL: PostgreSQL is not measured. `just bench` starts a server");
    };
    let postgres = Arc::new(PostgresRepository::open(&DatabaseUrl::parse(&url).unwrap()).await.unwrap());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let retention = async || postgres.apply_retention().await.unwrap();
    measure("PostgreSQL", postgres.clone(), retention, async || of_database(&mut connection).await).await;
    postgres.close().await.unwrap();
}

/// Bytes on the disk, and bytes written to it.
type Usage = (i64, i64);

async fn measure(
    backend: &str,
    repository: Arc<dyn FlowRepository>,
    apply_retention: impl AsyncFn(),
    mut usage: impl AsyncFnMut() -> Usage,
) {
    let mut chance = Chance::new(7);
    let end = clock::now();
    let (days, hour) = (end - TimeDelta::days(90), TimeDelta::hours(1));
    let hours = (0..89 * 24).map(|count| days + hour * count);
    let last_day = (0..24 * 2_400).map(|count| days + TimeDelta::days(89) + TimeDelta::milliseconds(1_500 * count));
    let before = usage().await;
    let mut saves = 0;
    for at in hours.chain(last_day) {
        save(&*repository, flow(0, 20_000, &mut chance), at).await;
        saves += 1;
        if saves % 400 == 0 {
            apply_retention().await;
        }
    }
    report(backend, "1 flow of 20 kB saved every 1.5 s, 90 days", saves, before, usage().await);

    let flows: Vec<_> = (1..=ENGINES).map(|number| flow(number, 10_000, &mut chance)).collect();
    for flow in &flows {
        save(&*repository, flow.clone(), end).await;
    }
    let before = usage().await;
    let rounds = MINUTES_OF_REPORTS * 40;
    for round in 0..rounds {
        let state = if round % 2 == 0 { GstState::Playing } else { GstState::Paused };
        let reports = flows.iter().map(|flow| save(&*repository, flow.with_state(state).unwrap(), end));
        stream::iter(reports).buffer_unordered(16).collect::<Vec<_>>().await;
    }
    apply_retention().await;
    report(
        backend,
        "100 flows of 10 kB report every 1.5 s, 10 minutes",
        rounds * ENGINES as i64,
        before,
        usage().await,
    );
}

fn report(backend: &str, work: &str, operations: i64, before: Usage, after: Usage) {
    let mb = |bytes: i64| bytes as f64 / 1e6;
    let written = mb(after.1 - before.1);
    println!("| {backend} | {work} | {operations} | {:.1} | {:.1} | {written:.1} |", mb(before.0), mb(after.0));
}

fn flow(number: u64, bytes: usize, chance: &mut Chance) -> Flow {
    let mut text = document::document(u128::from(number) + 1, bytes / 2);
    let random: String = (0..bytes / 32).map(|_| format!("{:016x}", chance.below(u64::MAX))).collect();
    text.insert_str(text.len() - 1, &format!(r#","notes":"{random}""#));
    Flow::parse(&text).unwrap()
}

async fn save(repository: &dyn FlowRepository, flow: Flow, at: DateTime<Utc>) {
    let change = Change::Put(flow, Precondition::Any);
    repository.apply_all(vec![change], Stamp::new(at, Author::new("bench"))).await.unwrap();
}

async fn of_database(connection: &mut PgConnection) -> Usage {
    let query = "SELECT pg_database_size(current_database()), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::BIGINT";
    sqlx::query_as(AssertSqlSafe(query)).fetch_one(connection).await.unwrap()
}

fn of_directory(directory: &Path) -> Usage {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("the kernel counts");
    (files.sum::<u64>() as i64, written.parse().unwrap())
}
