//! How near the store is to what the disk and PostgreSQL allow: `just bench limits`.
//!
//! Each operation is measured in turns with its floor, which is the least that has to be done for it: the same bytes
//! appended and synced, the same statement sent by pgbench, the repository below the HTTP server. Disks and machines drift
//! by more than most differences within a minute; taking turns, both sides have the same weather, and only the ratio of
//! their medians is worth quoting.
//!
//! The PostgreSQL half runs when `DATABASE_URL` names a server whose superuser may make databases; `just bench` brings one
//! that syncs. Its floors are pgbench's, from `POSTGRES_BIN` or the path.

mod chart;
#[path = "../document/mod.rs"]
mod document;
mod http;
mod json;
mod json_growth;
mod load;
mod pgbench;
mod postgres;
mod postgres_bulk;
mod postgres_lists;
#[path = "../program/mod.rs"]
mod program;
mod report;
mod start;
mod weather;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use self::report::Report;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    Json,
    Postgres,
    Lists,
    Http,
    Start,
}

/// Measures whole operations, each in turns with its floor.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure; all if nothing is named
    subjects: Vec<Subject>,
    /// The most flows of one store
    #[arg(long, default_value_t = 100_000)]
    flows: u64,
    /// How often everything takes its turn, in percent of what is usual
    #[arg(long, default_value_t = 100)]
    effort: usize,
    /// Where the files of the JSON store are made: on a disk, or its syncs cost nothing
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
    /// Appends one line of JSON for each figure
    #[arg(long)]
    lines: Option<PathBuf>,
    /// Draws how the figures grow
    #[arg(long)]
    chart: Option<PathBuf>,
    /// Cargo adds it
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn rounds(&self, usual: usize) -> usize {
        (usual * self.effort / 100).max(3)
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(path) = std::env::var_os(json::IN_CHILD) {
        return runtime.block_on(json::child(path.as_ref()));
    }
    let arguments = Arguments::parse();
    let wanted = |subject| arguments.subjects.is_empty() || arguments.subjects.contains(&subject);
    let mut report = Report::begin(arguments.lines.as_deref());
    runtime.block_on(async {
        if wanted(Subject::Json) {
            json_growth::measure(&arguments, &mut report).await;
            json::measure(&arguments, &mut report).await;
        }
        if wanted(Subject::Start) {
            start::json(&arguments, &mut report).await;
        }
        let Some(server) = postgres::Server::of_environment().await else {
            return eprintln!("no DATABASE_URL: PostgreSQL is not measured; `just bench` brings one");
        };
        if wanted(Subject::Postgres) {
            postgres::measure(&server, &arguments, &mut report).await;
            postgres_bulk::measure(&server, &arguments, &mut report).await;
        }
        if wanted(Subject::Http) {
            http::measure(&server, &arguments, &mut report).await;
        }
        if wanted(Subject::Start) {
            start::postgres(&server, &arguments, &mut report).await;
        }
        if wanted(Subject::Lists) {
            postgres_lists::measure(&server, &arguments, &mut report).await;
        }
    });
    report.end();
    if let Some(path) = &arguments.chart {
        chart::draw(path, report.rows());
    }
}
