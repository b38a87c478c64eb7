//! The parameters of `GET /api/trash`.

use strom_store::flow::{FlowId, Head};
use strom_store::repository::Record;

use super::parameters::{number, parameters, unknown};
use crate::http::respond::Problem;

/// Maximum number of deleted flows on a page.
pub(crate) const MAX_LIMIT: u32 = 10_000;

/// A page of deleted flows.
#[derive(Debug, Default)]
pub(crate) struct TrashQuery {
    pub(crate) limit: Option<u32>,
    pub(crate) after: Option<TrashCursor>,
}

impl TrashQuery {
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut trash = Self::default();
        for (name, value) in &parameters(query)? {
            match name.as_ref() {
                "limit" => trash.limit = Some(number(name, value, 1..=u64::from(MAX_LIMIT))? as u32),
                "cursor" => {
                    let cursor = TrashCursor::parse(value);
                    trash.after = Some(cursor.ok_or_else(|| Problem::parameter(name, "not a cursor of this list"))?);
                }
                _ => return Err(unknown(name)),
            }
        }
        Ok(trash)
    }
}

/// A position in the list of deleted flows: time in microseconds and id of the last flow of a page. Latest deletion first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrashCursor {
    at: i64,
    id: FlowId,
}

impl TrashCursor {
    pub(crate) fn behind(record: &Record<Head>) -> Self {
        Self { at: record.at.timestamp_micros(), id: record.item.id }
    }

    /// Reports whether a deletion follows this position.
    pub(crate) fn precedes(&self, record: &Record<Head>) -> bool {
        let at = record.at.timestamp_micros();
        at < self.at || (at == self.at && record.item.id.as_uuid() > self.id.as_uuid())
    }

    fn parse(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('.')?;
        Some(Self { at: at.parse().ok()?, id: id.parse().ok()? })
    }
}

impl std::fmt::Display for TrashCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, self.id)
    }
}
