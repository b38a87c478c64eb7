//! `strom check`: does the storage hold what it says.

use clap::Args;
use serde_json::json;
use strom::check::{self, Report, Severity};
use strom::storage::Storage;

use super::opening::{Purpose, open, stamp};
use super::output::{say, visible};
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
    let storage = flags.storage()?;
    let purpose = if arguments.repair { Purpose::Change } else { Purpose::Read };
    let (repository, _) = open(flags, purpose).await?;
    let checked = check::check(&*repository, arguments.repair.then(stamp)).await;
    repository.close().await;
    let report = checked.map_err(|source| CheckFailure { storage: storage.to_string(), source })?;
    let text = match arguments.json {
        true => {
            let Report { flows, findings } = &report;
            json!({ "storage": storage.to_string(), "flows": flows, "findings": findings }).to_string()
        }
        false => told(&storage, &report),
    };
    say(&text)?;
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
        format!("{severity} {id}{name} {}\n", visible(&finding.problem))
    });
    let (faults, warnings, repaired) = (report.faults(), report.warnings(), report.repaired());
    let flows = report.flows;
    let lines: String = lines.collect();
    format!("{lines}{storage}: {flows} flows read; {faults} faults, {warnings} warnings, {repaired} repaired")
}
