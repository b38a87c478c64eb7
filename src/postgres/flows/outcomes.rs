//! [`Outcomes`]: the results of the statements of a batch.

use std::collections::HashMap;

use uuid::Uuid;

use super::row::{revision_column, version};
use crate::postgres::error::Result;
use crate::postgres::time::Time;
use crate::repository::{Applied, Outcome, Precondition};

/// The outcomes of the changes that were made, by flow.
pub(super) type Outcomes = HashMap<Uuid, Applied>;

/// What preconditions require of the rows that exist, as arrays for a statement. `None` accepts every value.
#[derive(Default)]
pub(super) struct Expected {
    pub(super) revisions: Vec<Option<i64>>,
    /// The SHA-256 of `data` as text, which is the text that a read returns.
    pub(super) documents: Vec<Option<Vec<u8>>>,
    /// Whether no engine may have reported. Only the statements of the group commit know it.
    pub(super) unreported: Vec<bool>,
}

impl Expected {
    pub(super) fn push(&mut self, precondition: Precondition) {
        self.revisions.push(precondition.revision().map(revision_column));
        self.documents.push(match precondition {
            Precondition::Exactly(_, document) => Some(document.to_vec()),
            _ => None,
        });
        self.unreported.push(matches!(precondition, Precondition::Unreported(_)));
    }
}

/// A row that a statement has written.
pub(super) struct WrittenRow {
    pub(super) id: Uuid,
    /// The revision before the change. `None` for a new flow.
    pub(super) before: Option<i64>,
    pub(super) revision: i64,
    pub(super) created_at: Time,
    pub(super) updated_at: Time,
    pub(super) author: String,
}

/// Records the outcome of each written row.
pub(super) fn record_outcomes(
    outcomes: &mut Outcomes,
    rows: Vec<WrittenRow>,
    outcome: impl Fn(&WrittenRow) -> Outcome,
) -> Result<()> {
    for row in rows {
        let outcome = outcome(&row);
        let version = version(row.revision, row.created_at, row.updated_at, &row.author);
        outcomes.insert(row.id, Applied { id: row.id.into(), outcome, version: Some(version) });
    }
    Ok(())
}
