//! `strom check`: does the storage hold what it says.

use std::io::{self, ErrorKind, Write};

use chrono::TimeDelta;
use clap::Args;
use serde_json::json;
use strom::check::{self, Report, Severity};
use strom::clock;
use strom::repository::{Author, Retention, Stamp};
use strom::storage::{Settings, Storage};

use super::{Answer, Failure};
use crate::config::Flags;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Make the columns of a database follow their documents where they do not; changes nothing that people wrote
    #[arg(long)]
    repair: bool,

    /// For machines
    #[arg(long)]
    json: bool,
}

/// A check that came to no end.
#[derive(Debug, thiserror::Error)]
#[error("{storage} could not be checked to its end: {source}\ncheck it again when that is mended")]
pub(crate) struct CheckFailure {
    storage: String,
    source: strom::RepositoryError,
}

pub(super) async fn run(flags: &Flags, arguments: &Arguments) -> Result<Answer, Failure> {
    let env = |name: &str| std::env::var_os(name);
    let storage = flags.storage(env)?;
    // A database is only read unless something is to be repaired; a file is set right by whoever opens it.
    let only_reads = matches!(storage, Storage::Postgres(_)) && !arguments.repair;
    let settings = Settings {
        // How much history is kept is for the server to say.
        retention: Retention { revisions: 1_000_000, age: TimeDelta::days(1_000_000) },
        migrations: flags.migrations(env)?,
        read_only: only_reads || flags.read_only(env)?,
        opens_while_away: false,
    };
    let repository = storage.open_with(clock::now(), settings).await?;
    let stamp = arguments.repair.then(|| Stamp::new(clock::now(), Author::new("cli")));
    let checked = check::check(&*repository, stamp).await;
    repository.close().await;
    let report = checked.map_err(|source| CheckFailure { storage: storage.to_string(), source })?;
    let text = match arguments.json {
        true => {
            let Report { flows, findings } = &report;
            json!({ "storage": storage.to_string(), "flows": flows, "findings": findings }).to_string()
        }
        false => told(&storage, &report),
    };
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(Failure::Output(error)),
        _ => {}
    }
    Ok(if report.faults() == 0 { Answer::Done } else { Answer::No })
}

fn told(storage: &Storage, report: &Report) -> String {
    let lines = report.findings.iter().map(|finding| {
        let severity = match finding.severity {
            _ if finding.is_repaired => "repaired",
            Severity::Fault => "fault   ",
            Severity::Warning => "warning ",
        };
        let id = finding.id.map(|id| format!(" {id}")).unwrap_or_default();
        let name = finding.name.as_ref().map(|name| format!(" {name:?}:")).unwrap_or_default();
        format!("{severity} {id}{name} {}\n", finding.problem)
    });
    let (faults, warnings, repaired) = (report.faults(), report.warnings(), report.repaired());
    let flows = report.flows;
    let lines: String = lines.collect();
    format!("{lines}{storage}: {flows} flows read; {faults} faults, {warnings} warnings, {repaired} repaired")
}
