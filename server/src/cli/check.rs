//! `strom check`: verifies the storage, and repairs it on request.

use clap::Args;
use serde_json::json;
use strom_server::check::{self, CheckReport, Severity};
use strom_store::storage::Storage;

use super::answer::Answer;
use super::failure::Failure;
use super::output::{escaped, print};
use super::repository::{Purpose, open, stamp};
use super::signals::{Stop, unless_requested};
use crate::config::Flags;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Correct a damaged schema, and database columns that differ from their document; changes no document
    #[arg(long)]
    repair: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: &Flags, arguments: &Arguments) -> Result<Answer, Failure> {
    let storage = flags.storage()?;
    let purpose = if arguments.repair { Purpose::Repair } else { Purpose::Read };
    let mut stop = if arguments.repair { Some(Stop::on_signal()?) } else { None };
    let (repository, _) = unless_requested(&mut stop, open(flags, purpose)).await?;
    let checking = async {
        let checked = check::check(&*repository, arguments.repair.then(stamp)).await;
        checked.map_err(|source| Failure::Check { storage: storage.to_string(), source })
    };
    let checked = unless_requested(&mut stop, checking).await;
    drop(stop);
    let report = Failure::or_close(checked, repository.close().await)?;
    let output = match arguments.json {
        true => {
            let CheckReport { flows, findings } = &report;
            json!({ "storage": storage.to_string(), "flows": flows, "findings": findings }).to_string()
        }
        false => text(&storage, &report),
    };
    print(&output)?;
    Ok(if report.faults() == 0 { Answer::Done } else { Answer::No })
}

/// Returns one line per finding and a summary.
fn text(storage: &Storage, report: &CheckReport) -> String {
    let lines = report.findings.iter().map(|finding| {
        let severity = match finding.severity {
            _ if finding.is_repaired => "repaired",
            Severity::Fault => "fault   ",
            Severity::Warning => "warning ",
            Severity::Note => "note    ",
        };
        let id = finding.id.map(|id| format!(" {id}")).unwrap_or_default();
        let name = finding.name.as_ref().map(|name| format!(" {name:?}:")).unwrap_or_default();
        format!("{severity} {id}{name} {}\n", escaped(&finding.problem))
    });
    let (faults, warnings, notes) = (report.faults(), report.warnings(), report.notes());
    let repaired = report.repaired();
    let flows = report.flows;
    let lines: String = lines.collect();
    format!(
        "{lines}{storage}: {flows} flows read; {faults} faults, {warnings} warnings, {notes} notes, {repaired} repaired"
    )
}
