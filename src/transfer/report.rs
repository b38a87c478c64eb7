//! What came of an import, flow by flow.

use std::io::{self, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::prune::Pruned;
use super::spool::{Slot, Spool};
use crate::flow::{FlowId, Warning};

/// What came of a flow of an import, or would come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is new.
    Created,
    /// It has taken the place of another content.
    Replaced,
    /// It is there already, with this content.
    Unchanged,
    /// Another content is there and was left as it is.
    Skipped,
    /// Another flow has its id, so it has got one of its own.
    Cloned,
    /// It cannot be stored, or must not be; then nothing of the import was.
    Refused,
    /// It is not in the import, and so no longer in the storage ([`Prune`](super::Prune)).
    Deleted,
}

/// A flow of an import.
#[derive(Debug, Serialize)]
pub struct FlowReport {
    /// The id under which it is stored, or would be; of one that cannot be stored what seems to be meant.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// Of a clone: the id that it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloned_from: Option<FlowId>,
    /// What is suspicious about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<FlowWarning>,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it was refused, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Of one that was deleted: what it was, and can be again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// Something suspicious about a flow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlowWarning {
    /// The JSON path of the value.
    pub path: String,
    /// What is suspicious about it.
    pub message: String,
}

impl From<&Warning> for FlowWarning {
    fn from(warning: &Warning) -> Self {
        Self { path: warning.path.to_string(), message: warning.suspicion.to_string() }
    }
}

/// How many flows came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// New ones.
    pub created: usize,
    /// Those that have taken the place of another content.
    pub replaced: usize,
    /// Those that were there already.
    pub unchanged: usize,
    /// Those that were left out.
    pub skipped: usize,
    /// Those that have got an id of their own.
    pub cloned: usize,
    /// Those that cannot be stored or must not be.
    pub refused: usize,
    /// Those that were not in the import, where it was asked to delete them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<usize>,
}

/// What came of an import. Flows are read from a temporary file, however many there are.
#[derive(Debug)]
pub struct Report {
    /// Whether nothing was to be stored.
    pub dry_run: bool,
    /// How many flows came to what.
    pub counts: Counts,
    /// Whether a flow was refused because of its document, and not only of what is stored.
    pub has_bad_documents: bool,
    /// Whether it was refused because it would have deleted every flow there is ([`Prune::Rest`](super::Prune::Rest)).
    pub would_delete_all: bool,
    pub(super) spool: Arc<Spool>,
    pub(super) entries: Vec<Entry>,
    pub(super) pruned: Vec<Pruned>,
}

/// A flow of a report, most of which is in the spool.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) outcome: Outcome,
    pub(super) about: Slot,
    pub(super) id: Option<FlowId>,
    pub(super) cloned_from: Option<FlowId>,
    pub(super) reason: Option<&'static str>,
    /// Beside those in the spool.
    pub(super) warnings: Vec<FlowWarning>,
}

/// What waits in the spool of a flow's report.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) warnings: Vec<FlowWarning>,
    pub(super) error: Option<String>,
}

impl Report {
    /// Whether a flow was refused, or that all are deleted, and so nothing was stored.
    pub fn is_refused(&self) -> bool {
        self.counts.refused > 0 || self.would_delete_all
    }

    /// All flows in their order, and behind them those that were deleted; after a refusal only those that were refused,
    /// unless this was a dry run.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn flows(&self) -> impl Iterator<Item = io::Result<FlowReport>> {
        let only_refused = self.is_refused() && !self.dry_run;
        let entries = self.entries.iter().filter(move |entry| !only_refused || entry.outcome == Outcome::Refused);
        let entries = entries.map(|entry| {
            let About { id, name, mut warnings, error } = self.spool.json(entry.about)?;
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

    /// Writes the members of a JSON object, without its braces: `"dry_run":…,"created":…,…,"flows":[…]`, the last one where
    /// `with_flows` asks for it.
    ///
    /// # Errors
    /// Those of `out`, and of [`flows`](Self::flows).
    pub fn write_members(&self, out: &mut dyn Write, with_flows: bool) -> io::Result<()> {
        #[derive(Serialize)]
        struct Begin {
            dry_run: bool,
            #[serde(flatten)]
            counts: Counts,
        }
        let begin = serde_json::to_string(&Begin { dry_run: self.dry_run, counts: self.counts })?;
        out.write_all(begin.trim_matches(['{', '}']).as_bytes())?;
        if !with_flows {
            return Ok(());
        }
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
