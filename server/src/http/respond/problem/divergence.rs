//! The difference between a rejected edit and the current flow.

use serde::Serialize;
use strom_store::flow::{Difference, Flow};
use strom_store::repository::Revision;
use utoipa::ToSchema;

use crate::http::respond::description::schemas;

/// The difference between two edits of a flow.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Divergence {
    /// The revision on which both edits are based.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    base: Option<u64>,
    /// The changes of other clients since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Difference>, nullable = false)]
    theirs: Option<Difference>,
    /// The changes of this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Difference>, nullable = false)]
    yours: Option<Difference>,
    /// The changes from the sent (or patched) document to the current one, if the common base is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Difference>, nullable = false)]
    between: Option<Difference>,
}

impl Divergence {
    /// Compares the current flow and the edit with the revision that the client edited. Omits the difference of a document
    /// that SQL wrote and that the server would reject.
    pub(crate) fn since(revision: Revision, base: &Flow, edited: Option<&Flow>, current: &Flow) -> Self {
        let yours = edited.and_then(|edited| base.difference(edited).ok());
        Self { base: Some(revision.number()), theirs: base.difference(current).ok(), yours, between: None }
    }

    /// Compares the edit with the current flow, because the revision that the client edited is unknown.
    pub(crate) fn between(edited: &Flow, current: &Flow) -> Self {
        Self { between: edited.difference(current).ok(), ..Self::default() }
    }
}
