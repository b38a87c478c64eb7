//! The parameters of `GET /api/flows/{id}/diff`.

use strom_store::repository::Revision;

use super::parameters::{parameters, revision, unknown};
use crate::http::respond::Problem;

/// The two revisions to compare. Both are optional.
#[derive(Default)]
pub(crate) struct DiffQuery {
    pub(crate) from: Option<Revision>,
    pub(crate) to: Option<Revision>,
}

impl DiffQuery {
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut diff = Self::default();
        for (name, value) in &parameters(query)? {
            match name.as_ref() {
                "from" => diff.from = Some(revision(name, value)?),
                "to" => diff.to = Some(revision(name, value)?),
                _ => return Err(unknown(name)),
            }
        }
        Ok(diff)
    }
}
