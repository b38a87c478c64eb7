//! Does a storage hold what it says: every flow is read, and what stands beside its document is compared with it.
//!
//! A *fault* is something that the storage should not have: a flow that cannot be read or could not be stored today, columns
//! that say something else than their document, a history that does not lead to what its flow is, what the storage itself
//! reports. A *warning* is about what somebody wrote and may have meant: a link whose end does not exist, two flows that start
//! by themselves and claim one port.
//!
//! Repairing stores a document once more. That makes the columns of its row follow it, and records what the flow is where its
//! history ends before that; it makes no revision. What people wrote is never changed: links are not dropped, and a flow that
//! cannot be read stays as it is. What is missing in the past of a history nobody knows any more.

mod histories;

use std::collections::HashMap;

use futures::TryStreamExt;
use serde::Serialize;

use self::histories::{Content, Fault};
use crate::flow::{Claim, Flow, FlowId, Head, Refusal};
use crate::repository::{Change, FlowRepository, RepositoryError, Result, Revision, Stamp, Stored};

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How many flows were read.
    pub flows: usize,
    /// What is wrong, or looks so; first what the storage says, then flow by flow, then what is between flows.
    pub findings: Vec<Finding>,
}

/// Something that is wrong, or looks so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The flow, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<FlowId>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What was found.
    pub problem: String,
    /// Whether it was set right.
    pub is_repaired: bool,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The storage should not have it.
    Fault,
    /// Somebody may have meant it.
    Warning,
}

/// A flow whose columns can be set right.
struct Repairable {
    finding: usize,
    flow: Flow,
    revision: Revision,
}

/// Reads every flow. With a stamp, what can be repaired is.
///
/// # Errors
/// When the storage does not answer, or a repair fails. What cannot be read is a finding.
pub async fn check(repository: &dyn FlowRepository, repair: Option<Stamp>) -> Result<Report> {
    let mut report = Report::default();
    let mut repairable = Vec::new();
    let mut claims: HashMap<Claim, Vec<(FlowId, String)>> = HashMap::new();
    let mut contents = HashMap::new();
    for fault in repository.health().await.faults {
        report.add_fault(fault);
    }
    let mut flows = repository.snapshot();
    loop {
        match flows.try_next().await {
            Ok(None) => {
                compare_histories(repository, contents, repair.as_ref(), &mut report).await?;
                break;
            }
            Ok(Some(stored)) => {
                report.flows += 1;
                contents.insert(stored.item.id(), Content::of(&stored.item, stored.version.revision));
                look_at(stored, &mut report, &mut repairable, &mut claims);
            }
            Err(error) => {
                let problem = unreadable(error)?;
                report.add_fault(format!(
                    "{problem}; neither the flows behind it by name nor any history were looked at"
                ));
                break;
            }
        }
    }
    drop(flows);
    report.add_rivals(claims);
    if let Some(stamp) = repair {
        for Repairable { finding, flow, revision } in repairable {
            report.findings[finding].is_repaired = store_again(repository, flow, revision, &stamp).await?;
        }
    }
    Ok(report)
}

async fn compare_histories(
    repository: &dyn FlowRepository,
    contents: HashMap<FlowId, Content>,
    repair: Option<&Stamp>,
    report: &mut Report,
) -> Result<()> {
    match histories::compare(repository, contents).await {
        Ok(faults) => {
            for Fault { id, name, problem, lacks_present } in faults {
                let is_repaired = match repair.filter(|_| lacks_present) {
                    Some(stamp) => record(repository, id, stamp).await?,
                    None => false,
                };
                let (id, name) = (Some(id), Some(name));
                report.findings.push(Finding { severity: Severity::Fault, id, name, problem, is_repaired });
            }
        }
        Err(error) => {
            let problem = unreadable(error)?;
            report.add_fault(format!("{problem}; histories were not compared with their flows"));
        }
    }
    Ok(())
}

/// Has what a flow is recorded; says whether it is.
async fn record(repository: &dyn FlowRepository, id: FlowId, stamp: &Stamp) -> Result<bool> {
    let Some(Stored { item, version }) = repository.get(id).await? else { return Ok(false) };
    store_again(repository, item, version.revision, stamp).await?;
    histories::tells_present(repository, id).await
}

/// Stores what is there once more. Says no where somebody has written the flow meanwhile, and with it all that goes along.
async fn store_again(repository: &dyn FlowRepository, flow: Flow, revision: Revision, stamp: &Stamp) -> Result<bool> {
    match repository.apply(vec![Change::replace_at(flow, revision)], stamp.clone()).await {
        Ok(_) => Ok(true),
        Err(RepositoryError::Conflict(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What is wrong where something was read that is none of ours; other errors are passed on.
fn unreadable(error: RepositoryError) -> Result<String> {
    match error {
        RepositoryError::Failed(source) => Ok(format!("the storage failed: {source}")),
        RepositoryError::Corrupt(_) => Ok(error.to_string()),
        other => Err(other),
    }
}

fn look_at(
    stored: Stored<Flow>,
    report: &mut Report,
    repairable: &mut Vec<Repairable>,
    claims: &mut HashMap<Claim, Vec<(FlowId, String)>>,
) {
    let Stored { item: flow, version } = stored;
    let head = flow.head();
    let mut find = |severity, problem| {
        let (id, name) = (Some(head.id), Some(head.name.clone()));
        report.findings.push(Finding { severity, id, name, problem, is_repaired: false });
        report.findings.len() - 1
    };
    let read = match Flow::parse(flow.document().get()) {
        Ok(read) => read,
        Err(Refusal { path, reason }) => {
            find(Severity::Fault, format!("it could not be stored today: `{path}`: {reason}"));
            return;
        }
    };
    if let Some(difference) = difference(head, read.head()) {
        let problem = format!("column `{}` says {}, the document {}", difference.0, difference.1, difference.2);
        let finding = find(Severity::Fault, problem);
        repairable.push(Repairable { finding, flow: flow.clone(), revision: version.revision });
    }
    for warning in read.warnings().unwrap_or_default() {
        find(Severity::Warning, warning.to_string());
    }
    if read.head().auto_restart {
        for (_, claim) in read.claims().unwrap_or_default() {
            claims.entry(claim).or_default().push((head.id, head.name.clone()));
        }
    }
}

/// The first of the columns that a document has that says something else. The counts are computed by the database.
fn difference(columns: &Head, document: &Head) -> Option<(&'static str, String, String)> {
    let said = [
        ("id", columns.id.to_string(), document.id.to_string()),
        ("name", format!("{:?}", columns.name), format!("{:?}", document.name)),
        ("state", format!("{:?}", columns.state), format!("{:?}", document.state)),
        ("auto_restart", columns.auto_restart.to_string(), document.auto_restart.to_string()),
    ];
    said.into_iter().find(|(_, column, document)| column != document)
}

impl Report {
    /// How many faults are not repaired.
    pub fn faults(&self) -> usize {
        self.count(|finding| finding.severity == Severity::Fault && !finding.is_repaired)
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.count(|finding| finding.severity == Severity::Warning)
    }

    /// How many faults were repaired.
    pub fn repaired(&self) -> usize {
        self.count(|finding| finding.is_repaired)
    }

    fn count(&self, is_meant: impl Fn(&Finding) -> bool) -> usize {
        self.findings.iter().filter(|finding| is_meant(finding)).count()
    }

    fn add_fault(&mut self, problem: String) {
        let fault = Finding { severity: Severity::Fault, id: None, name: None, problem, is_repaired: false };
        self.findings.push(fault);
    }

    /// What several flows claim that start by themselves: one finding for all of them.
    fn add_rivals(&mut self, claims: HashMap<Claim, Vec<(FlowId, String)>>) {
        let mut rivals: Vec<_> = claims.into_iter().map(|(claim, flows)| (claim.to_string(), flows)).collect();
        rivals.sort();
        for (claim, mut flows) in rivals {
            flows.dedup();
            let [(id, name), others @ ..] = &flows[..] else { continue };
            if others.is_empty() {
                continue;
            }
            let told: Vec<_> = others.iter().take(10).map(|(id, name)| format!("{name:?} ({id})")).collect();
            let more = match others.len() - told.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            self.findings.push(Finding {
                severity: Severity::Warning,
                id: Some(*id),
                name: Some(name.clone()),
                problem: format!("{claim} is also claimed by {}{more}", told.join(", ")),
                is_repaired: false,
            });
        }
    }
}
