//! The documents of an import, and the decisions about them.

use chrono::{DateTime, Utc};

use super::options::OnConflict;
use super::spool::Slot;
use strom_store::flow::FlowId;
use strom_store::repository::Revision;

/// A document of an import.
#[derive(Debug)]
pub(super) struct ImportItem {
    /// The [`ItemDetails`](super::report::ItemDetails) for the report.
    pub(super) details: Slot,
    /// The flow, or `None` if the document cannot be stored.
    pub(super) flow: Option<ImportedFlow>,
}

/// A flow that can be stored.
#[derive(Debug)]
pub(super) struct ImportedFlow {
    pub(super) id: FlowId,
    pub(super) document: Slot,
    /// The hash without runtime members.
    pub(super) hash: [u8; 32],
    pub(super) modified: Option<DateTime<Utc>>,
    pub(super) auto_restart: bool,
    pub(super) is_ephemeral: bool,
}

/// The stored flow with the same id.
pub(super) struct StoredFlow {
    pub(super) revision: Revision,
    /// The hash without runtime members. `None` if the document was written by SQL and is invalid. Then it differs from
    /// every imported flow.
    pub(super) hash: Option<[u8; 32]>,
    pub(super) modified: DateTime<Utc>,
}

/// The decision about a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImportDecision {
    Create,
    Replace(Revision),
    Unchanged,
    Skip(&'static str),
    /// Store the flow under this new id.
    Clone(FlowId),
    Refuse(&'static str),
    /// The document cannot be stored.
    Invalid,
}

impl ImportedFlow {
    pub(super) fn decide(
        &self,
        stored: Option<&StoredFlow>,
        on_conflict: OnConflict,
        clone_id: &impl Fn(FlowId) -> FlowId,
    ) -> ImportDecision {
        let Some(stored) = stored else { return ImportDecision::Create };
        if on_conflict == OnConflict::Clone {
            return ImportDecision::Clone(clone_id(self.id));
        }
        if stored.hash == Some(self.hash) {
            return ImportDecision::Unchanged;
        }
        match on_conflict {
            OnConflict::Fail => ImportDecision::Refuse("the flow exists with different content"),
            OnConflict::Skip => ImportDecision::Skip("the flow exists with different content"),
            OnConflict::Replace | OnConflict::Clone => ImportDecision::Replace(stored.revision),
            OnConflict::Newer => match self.modified {
                None => {
                    ImportDecision::Skip("the imported flow has no modification time in `$.properties.last_modified`")
                }
                Some(modified) if modified > stored.modified => ImportDecision::Replace(stored.revision),
                Some(_) => ImportDecision::Skip("the imported flow was not modified later than the existing flow"),
            },
        }
    }
}

impl ImportDecision {
    /// Whether this decision refuses the whole import.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refuse(_) | Self::Invalid)
    }
}
