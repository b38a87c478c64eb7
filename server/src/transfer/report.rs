//! The report of an import.

use std::io::{self, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::prune::Pruned;
use super::spool::{Slot, Spool};
use strom_store::flow::{FlowId, Warning};

/// The outcome of a flow in an import or a dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The flow was created.
    Created,
    /// The flow replaced other content.
    Replaced,
    /// The flow exists with this content.
    Unchanged,
    /// The flow exists with other content, which was kept.
    Skipped,
    /// The id exists, so the flow was stored under a new id.
    Cloned,
    /// The flow cannot be stored, or the policy refused it. Then nothing was stored.
    Refused,
    /// The import does not contain the flow, and it was deleted ([`Prune`](super::Prune)).
    Deleted,
}

/// The report about a flow.
#[derive(Debug, Serialize)]
pub struct FlowReport {
    /// The id of the stored flow. If the document is invalid, the text of its `id`, if there is one.
    pub id: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The outcome.
    pub outcome: Outcome,
    /// The original id of a clone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloned_from: Option<FlowId>,
    /// Warnings about the content.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<FlowWarning>,
    /// The reason why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The location and reason of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The last revision of a deleted flow, for `strom restore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// A warning about the content of a flow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlowWarning {
    /// The JSON path of the value.
    pub path: String,
    /// The warning.
    pub message: String,
}

impl From<&Warning> for FlowWarning {
    fn from(warning: &Warning) -> Self {
        Self { path: warning.path.to_string(), message: warning.suspicion.to_string() }
    }
}

/// The number of flows per outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Created flows.
    pub created: usize,
    /// Flows that replaced other content.
    pub replaced: usize,
    /// Flows that exist with this content.
    pub unchanged: usize,
    /// Skipped flows.
    pub skipped: usize,
    /// Flows that were stored under a new id.
    pub cloned: usize,
    /// Refused flows.
    pub refused: usize,
    /// Deleted flows, if [`Prune`](super::Prune) was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<usize>,
}

/// The report of an import. The flows are read from a temporary file on demand.
#[derive(Debug)]
pub struct Report {
    /// Whether the import was a dry run.
    pub dry_run: bool,
    /// The number of flows per outcome.
    pub counts: Counts,
    /// Whether a document is invalid. Otherwise flows were refused because of stored flows only.
    pub has_bad_documents: bool,
    /// Whether the import was refused because it would have deleted every stored flow
    /// ([`Prune::Rest`](super::Prune::Rest)).
    pub would_delete_all: bool,
    pub(super) spool: Arc<Spool>,
    pub(super) entries: Vec<Entry>,
    pub(super) pruned: Vec<Pruned>,
}

/// The report about a flow, without the details in the spool.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) outcome: Outcome,
    pub(super) details: Slot,
    pub(super) id: Option<FlowId>,
    pub(super) cloned_from: Option<FlowId>,
    pub(super) reason: Option<&'static str>,
    /// Warnings in addition to those in the spool.
    pub(super) warnings: Vec<FlowWarning>,
}

/// The part of the report about a flow that is in the spool.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ItemDetails {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) warnings: Vec<FlowWarning>,
    pub(super) error: Option<String>,
}

impl Report {
    /// Whether the import was refused, so that nothing was stored.
    pub fn is_refused(&self) -> bool {
        self.counts.refused > 0 || self.would_delete_all
    }

    /// Returns the flows in the order of the import, followed by the deleted flows. After a refusal, returns only the
    /// refused flows, unless this was a dry run.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn flows(&self) -> impl Iterator<Item = io::Result<FlowReport>> {
        let only_refused = self.is_refused() && !self.dry_run;
        let entries = self.entries.iter().filter(move |entry| !only_refused || entry.outcome == Outcome::Refused);
        let entries = entries.map(|entry| {
            let ItemDetails { id, name, mut warnings, error } = self.spool.json(entry.details)?;
            warnings.extend(entry.warnings.iter().cloned());
            let (refused, reason) = match entry.outcome {
                Outcome::Refused => (entry.reason.map(str::to_owned), None),
                _ => (None, entry.reason.map(str::to_owned)),
            };
            let id = entry.id.map(|id| id.to_string()).or(id);
            let Entry { outcome, cloned_from, .. } = *entry;
            let error = error.or(refused);
            Ok(FlowReport { id, name, outcome, cloned_from, warnings, reason, error, revision: None })
        });
        let pruned = self.pruned.iter().filter(move |_| !only_refused);
        entries.chain(pruned.map(|Pruned { id, name, revision }| {
            Ok(FlowReport {
                id: Some(id.to_string()),
                name: Some(name.clone()),
                outcome: Outcome::Deleted,
                cloned_from: None,
                warnings: Vec::new(),
                reason: None,
                error: None,
                revision: Some(revision.number()),
            })
        }))
    }

    /// Writes the members of a JSON object without its braces: `"dry_run":…,"created":…,…,"flows":[…]`.
    ///
    /// # Errors
    /// Errors of `out`, and of [`flows`](Self::flows).
    pub fn write_members(&self, out: &mut dyn Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct Start {
            dry_run: bool,
            #[serde(flatten)]
            counts: Counts,
        }
        let start = serde_json::to_string(&Start { dry_run: self.dry_run, counts: self.counts })?;
        out.write_all(start.trim_matches(['{', '}']).as_bytes())?;
        out.write_all(b",\"flows\":[")?;
        for (index, flow) in self.flows().enumerate() {
            if index > 0 {
                out.write_all(b",")?;
            }
            serde_json::to_writer(&mut *out, &flow?)?;
        }
        out.write_all(b"]")
    }
}
