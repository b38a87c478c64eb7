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

/// Returns the warnings of the document. A document that SQL wrote may be invalid; it has no warnings.
pub(crate) fn warnings(flow: &Flow) -> Vec<WarningBody> {
    flow.warnings().unwrap_or_default().iter().map(WarningBody::from).collect()
}
