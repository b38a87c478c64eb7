//! Reads all flows and collects findings.

use std::collections::HashMap;

use futures::TryStreamExt;

use super::claims;
use super::histories::{self, HistoryFault};
use super::history::Content;
use super::repair::{record_current, store_again};
use super::report::{CheckReport, Finding, Severity};
use crate::claims::Claimants;
use strom_store::flow::{Flow, FlowId, Head, Refusal};
use strom_store::repository::{
    FlowRepository, RepositoryError, Result, Revision, Stamp, Stored, Version, is_beyond_limits,
};

/// A flow whose columns differ from its document.
struct Repairable {
    /// The index of the finding.
    finding: usize,
    flow: Flow,
    revision: Revision,
}

/// Reads every flow and its history. With a stamp, also repairs faults.
///
/// # Errors
/// If the storage does not respond or a repair fails. Unreadable content is not an error but a finding.
pub async fn check(repository: &dyn FlowRepository, repair: Option<Stamp>) -> Result<CheckReport> {
    let mut report = CheckReport::default();
    let mut repairable = Vec::new();
    let mut claimants = Claimants::with_limit(usize::MAX);
    let mut contents = HashMap::new();
    let mut flows = repository.snapshot();
    loop {
        match flows.try_next().await {
            Ok(None) => {
                check_histories(repository, contents, repair.as_ref(), &mut report).await?;
                break;
            }
            Ok(Some(stored)) => {
                report.flows += 1;
                contents.insert(stored.item.id(), Content::of(&stored.item, stored.version.revision));
                check_flow(stored, &mut report, &mut claimants, &mut repairable);
            }
            Err(error) => {
                let problem = unreadable(error)?;
                report.add_fault(format!("{problem}; the check skipped all flows after it by name, and all histories"));
                break;
            }
        }
    }
    drop(flows);
    report.findings.extend(claims::notes(claimants));
    if let Some(stamp) = repair {
        for Repairable { finding, flow, revision } in repairable {
            report.findings[finding].is_repaired = store_again(repository, flow, revision, &stamp).await?;
        }
    }
    // After the repairs, which can end a fault. A fault of a flow that was found is already in the report.
    let ids: Vec<_> = report.findings.iter().filter_map(|finding| Some(finding.id?.to_string())).collect();
    let mut faults = repository.health().await.faults;
    faults.retain(|fault| !ids.iter().any(|id| fault.contains(id)));
    report.add_faults_first(faults);
    Ok(report)
}

async fn check_histories(
    repository: &dyn FlowRepository,
    contents: HashMap<FlowId, Content>,
    repair: Option<&Stamp>,
    report: &mut CheckReport,
) -> Result<()> {
    match histories::compare(repository, contents).await {
        Ok(faults) => {
            for HistoryFault { id, name, problem, lacks_current } in faults {
                let is_repaired = match repair.filter(|_| lacks_current) {
                    Some(stamp) => record_current(repository, id, stamp).await?,
                    None => false,
                };
                let (id, name) = (Some(id), Some(name));
                report.findings.push(Finding { severity: Severity::Fault, id, name, problem, is_repaired });
            }
        }
        Err(error) => {
            let problem = unreadable(error)?;
            report.add_fault(format!("{problem}; the check did not compare histories with their flows"));
        }
    }
    Ok(())
}

/// Returns the problem if stored data is unreadable. Passes other errors on.
fn unreadable(error: RepositoryError) -> Result<String> {
    match error {
        RepositoryError::Failed(source) => Ok(format!("the storage failed: {source}")),
        RepositoryError::Corrupt(_) => Ok(error.to_string()),
        other => Err(other),
    }
}

/// Checks one flow. Adds what a repair can correct to `repairable`.
fn check_flow(
    stored: Stored<Flow>,
    report: &mut CheckReport,
    claimants: &mut Claimants,
    repairable: &mut Vec<Repairable>,
) {
    let Stored { item: flow, version } = stored;
    let head = flow.head();
    let columns = invalid_columns(&version).into_iter().map(|problem| report.add(Severity::Fault, head, problem));
    let mut findings: Vec<_> = columns.collect();
    let parsed = match Flow::parse(flow.document().get()) {
        Ok(parsed) => parsed,
        Err(Refusal { path, reason, .. }) => {
            report.add(Severity::Fault, head, format!("the document is not valid: `{path}`: {reason}"));
            return;
        }
    };
    findings.extend(different_column(head, parsed.head()).map(|(name, column, document)| {
        report.add(
            Severity::Fault,
            head,
            format!("column `{name}` contains {column}, but the document contains {document}"),
        )
    }));
    for warning in parsed.warnings().unwrap_or_default() {
        report.add(Severity::Warning, head, warning.to_string());
    }
    claimants.add(parsed.id(), &parsed);
    let repair = |finding| Repairable { finding, revision: version.revision, flow: flow.clone() };
    repairable.extend(findings.into_iter().map(repair));
}

/// Returns the problems of columns that no change can have written.
fn invalid_columns(version: &Version) -> Vec<String> {
    let times = [("created_at", version.created_at), ("updated_at", version.updated_at)];
    let times = times.into_iter().filter(|(_, time)| is_beyond_limits(*time)).map(|(column, _)| {
        format!(
            "column `{column}` contains a time outside of the years 1 to 9999; set another time by SQL, or let `strom \
             check --repair` replace it"
        )
    });
    let revision = match version.revision.number() {
        0 => Some("column `revision` is below 1; `strom check --repair` replaces it"),
        // RFC 8259, section 6
        number if number >= 1 << 53 => {
            Some("column `revision` is above 2^53 - 1, which JSON cannot represent; `strom check --repair` replaces it")
        }
        _ => None,
    };
    times.chain(revision.map(str::to_owned)).collect()
}

/// Returns the first column that differs from the document, with both values.
fn different_column(columns: &Head, document: &Head) -> Option<(&'static str, String, String)> {
    let values = [
        ("id", columns.id.to_string(), document.id.to_string()),
        ("name", format!("{:?}", columns.name), format!("{:?}", document.name)),
        ("state", format!("{:?}", columns.state), format!("{:?}", document.state)),
        ("auto_restart", columns.auto_restart.to_string(), document.auto_restart.to_string()),
        ("size", columns.size.to_string(), document.size.to_string()),
        ("elements", columns.elements.to_string(), document.elements.to_string()),
        ("blocks", columns.blocks.to_string(), document.blocks.to_string()),
        ("links", columns.links.to_string(), document.links.to_string()),
    ];
    values.into_iter().find(|(_, column, document)| column != document)
}
