//! Warnings of a flow in responses.

use serde::Serialize;
use strom_store::flow::{Flow, Warning};
use utoipa::ToSchema;

use crate::claims::SharedClaim;

/// Something suspicious; the document is stored all the same.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Warning)]
pub(crate) struct WarningBody {
    /// The JSON path of the suspicious value.
    path: String,
    /// The reason for the warning.
    message: String,
}

impl From<&Warning> for WarningBody {
    fn from(warning: &Warning) -> Self {
        Self { path: warning.path.to_string(), message: warning.suspicion.to_string() }
    }
}

impl From<SharedClaim> for WarningBody {
    fn from(SharedClaim { path, message }: SharedClaim) -> Self {
        Self { path, message }
    }
}

/// Maximum number of warnings in a response. A document of 16 MiB can have a million.
const MAX_WARNINGS: usize = 100;

/// The warnings of a document: the first ones, and the number of all.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    pub(crate) list: Vec<WarningBody>,
    pub(crate) total: usize,
}

impl Warnings {
    /// Returns the warnings of the document. A document that SQL wrote may be invalid; it has no warnings.
    pub(crate) fn of(flow: &Flow) -> Self {
        let all = flow.warnings().unwrap_or_default();
        Self { list: all.iter().take(MAX_WARNINGS).map(WarningBody::from).collect(), total: all.len() }
    }

    /// Adds warnings about other flows.
    pub(crate) fn extend(&mut self, more: Vec<SharedClaim>) {
        self.total += more.len();
        let room = MAX_WARNINGS - self.list.len();
        self.list.extend(more.into_iter().take(room).map(WarningBody::from));
    }

    /// Returns the number of all warnings if the list does not contain all of them.
    pub(crate) fn omitted_total(&self) -> Option<usize> {
        (self.total > self.list.len()).then_some(self.total)
    }
}
