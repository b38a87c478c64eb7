//! The report of a check.

use serde::Serialize;
use strom_store::flow::{FlowId, Head};

/// The report of a check.
#[derive(Debug, Default, Serialize)]
pub struct CheckReport {
    /// The number of flows that were read.
    pub flows: usize,
    /// The findings: of the storage, then of each flow, then of histories, then of several flows.
    pub findings: Vec<Finding>,
}

/// A finding of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The severity.
    pub severity: Severity,
    /// The flow, unless the finding is about the storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<FlowId>,
    /// The name of the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The problem.
    pub problem: String,
    /// Whether the check repaired it.
    pub is_repaired: bool,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// An error of the storage.
    Fault,
    /// Suspicious content of one flow.
    Warning,
    /// A hint about several flows.
    Note,
}

impl CheckReport {
    /// Returns the number of faults that are not repaired.
    pub fn faults(&self) -> usize {
        self.count(|finding| finding.severity == Severity::Fault && !finding.is_repaired)
    }

    /// Returns the number of warnings.
    pub fn warnings(&self) -> usize {
        self.count(|finding| finding.severity == Severity::Warning)
    }

    /// Returns the number of notes.
    pub fn notes(&self) -> usize {
        self.count(|finding| finding.severity == Severity::Note)
    }

    /// Returns the number of repaired faults.
    pub fn repaired(&self) -> usize {
        self.count(|finding| finding.is_repaired)
    }

    fn count(&self, predicate: impl Fn(&Finding) -> bool) -> usize {
        self.findings.iter().filter(|finding| predicate(finding)).count()
    }

    /// Adds a fault of the storage.
    pub(super) fn add_fault(&mut self, problem: String) {
        let fault = Finding { severity: Severity::Fault, id: None, name: None, problem, is_repaired: false };
        self.findings.push(fault);
    }

    /// Adds faults of the storage before all other findings.
    pub(super) fn add_faults_first(&mut self, problems: Vec<String>) {
        let fault = |problem| Finding { severity: Severity::Fault, id: None, name: None, problem, is_repaired: false };
        self.findings.splice(0..0, problems.into_iter().map(fault));
    }

    /// Adds a finding about a flow. Returns its index.
    pub(super) fn add(&mut self, severity: Severity, head: &Head, problem: String) -> usize {
        let (id, name) = (Some(head.id), Some(head.name.clone()));
        self.findings.push(Finding { severity, id, name, problem, is_repaired: false });
        self.findings.len() - 1
    }
}
