//! The parameters of `GET /api/flows/{id}/history`.

use strom_store::repository::Revision;

use super::parameters::{number, parameters, revision, unknown};
use crate::http::respond::Problem;

/// Maximum number of revisions in a response.
pub(crate) const MAX_LIMIT: u32 = 1_000;
const DEFAULT_LIMIT: u32 = 50;

/// A part of a history.
pub(crate) struct HistoryQuery {
    pub(crate) before: Option<Revision>,
    pub(crate) limit: u32,
}

impl HistoryQuery {
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut history = Self { before: None, limit: DEFAULT_LIMIT };
        for (name, value) in &parameters(query)? {
            match name.as_ref() {
                "before" => history.before = Some(revision(name, value)?),
                "limit" => history.limit = number(name, value, 1..=u64::from(MAX_LIMIT))? as u32,
                _ => return Err(unknown(name)),
            }
        }
        Ok(history)
    }
}
