//! Compares the store with the limits of the disk and of PostgreSQL: `just bench limits`.
//!
//! Each operation alternates with its floor, which is the minimal work for it: the same bytes appended and synced, the
//! same statement sent by pgbench, or the repository without the HTTP server. Disks and machines drift within a minute
//! by more than most differences. Because both sides alternate, they run under the same conditions, and only the ratio
//! of their medians is meaningful.
//!
//! The PostgreSQL half runs if `DATABASE_URL` names a server whose user may create databases. `just bench` starts one
//! that syncs. Its floors come from pgbench, in `POSTGRES_BIN` or on the path.

mod chart;
#[path = "../document/mod.rs"]
mod document;
mod http;
mod json;
mod json_growth;
mod load;
mod machine_load;
mod outage;
mod pgbench;
mod postgres;
mod postgres_bulk;
mod postgres_lists;
#[path = "../program/mod.rs"]
mod program;
mod report;
mod start;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use self::report::Report;

/// The subjects of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    Json,
    Postgres,
    Lists,
    Http,
    Start,
    Outage,
}

/// Measures whole operations, each alternating with its floor.
#[derive(Debug, Parser)]
struct Arguments {
    /// Subjects to measure. Default: all
    subjects: Vec<Subject>,
    /// Maximum number of flows in one store
    #[arg(long, default_value_t = 100_000)]
    flows: u64,
    /// Number of rounds, in percent of the default
    #[arg(long, default_value_t = 100)]
    effort: usize,
    /// Directory for the files of the JSON store. It must be on a disk, otherwise syncs cost nothing
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
    /// Append one line of JSON per figure to this file
    #[arg(long)]
    lines: Option<PathBuf>,
    /// Draw the growth of the figures to this SVG file
    #[arg(long)]
    chart: Option<PathBuf>,
    /// Added by Cargo
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
    let is_selected = |subject| arguments.subjects.is_empty() || arguments.subjects.contains(&subject);
    let mut report = Report::begin(arguments.lines.as_deref());
    runtime.block_on(async {
        if is_selected(Subject::Json) {
            json_growth::measure(&arguments, &mut report).await;
            json::measure(&arguments, &mut report).await;
        }
        if is_selected(Subject::Start) {
            start::json(&arguments, &mut report).await;
        }
        let Some(server) = postgres::Server::of_environment().await else {
            return eprintln!("no DATABASE_URL: PostgreSQL is not measured. `just bench` starts a server");
        };
        if is_selected(Subject::Postgres) {
            postgres::measure(&server, &arguments, &mut report).await;
            postgres_bulk::measure(&server, &arguments, &mut report).await;
        }
        if is_selected(Subject::Http) {
            http::measure(&server, &arguments, &mut report).await;
        }
        if is_selected(Subject::Start) {
            start::postgres(&server, &arguments, &mut report).await;
        }
        if is_selected(Subject::Outage) {
            outage::measure(&server, &arguments, &mut report).await;
        }
        if is_selected(Subject::Lists) {
            postgres_lists::measure(&server, &arguments, &mut report).await;
        }
    });
    report.end();
    if let Some(path) = &arguments.chart {
        chart::draw(path, report.rows());
    }
}
