//! The description of a merge in the response to a save with `?merge=auto`.

use serde::Serialize;
use strom_store::flow::Difference;
use utoipa::ToSchema;

use super::description::schemas;

/// The description of a merge.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Merge {
    /// The merge as a sentence.
    pub(crate) words: String,
    /// The revision on which both edits are based.
    pub(crate) base: u64,
    /// The revision with the changes of other clients.
    pub(crate) current: u64,
    /// The changes of other clients.
    #[schema(value_type = schemas::Difference)]
    pub(crate) theirs: Difference,
    /// The changes of this client.
    #[schema(value_type = schemas::Difference)]
    pub(crate) yours: Difference,
}
