//! Positions in an ordered list.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::sort::Sort;
use super::stored::Version;
use crate::flow::{FlowId, Head};

/// A position in an ordered list: the sort keys and the id of the last flow of a page.
///
/// It stays valid while flows are created and deleted, also if that flow is deleted. Clients treat it as opaque: it
/// prints as URL-safe text and parses from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    sort: String,
    pub(crate) name: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) id: Uuid,
}

impl Cursor {
    /// Returns the position after this flow in this order.
    pub fn behind(sort: &Sort, head: &Head, version: &Version) -> Self {
        Self {
            sort: fingerprint(sort),
            name: head.name.clone(),
            created_at: version.created_at,
            updated_at: version.updated_at,
            id: head.id.as_uuid(),
        }
    }

    /// Returns the name of the last flow.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns when the last flow was created.
    pub fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    /// Returns when the revision of the last flow was made.
    pub fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }

    /// Returns the id of the last flow.
    pub fn id(&self) -> FlowId {
        self.id.into()
    }

    /// Returns whether the cursor is a position in this order. In another order it would skip or repeat flows.
    pub fn belongs_to(&self, sort: &Sort) -> bool {
        self.sort == fingerprint(sort)
    }
}

fn fingerprint(sort: &Sort) -> String {
    sort.keys().iter().map(|key| key.as_str()).collect::<Vec<_>>().join(",")
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

/// Parses the text that `Display` prints.
impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let cursor: Self = serde_json::from_slice(&json).map_err(|_| InvalidCursor)?;
        // `Display` prints nothing else, and PostgreSQL could not read it.
        let in_range = |time: DateTime<Utc>| (0..=9999).contains(&time.year());
        let ours = !cursor.name.contains('\0') && in_range(cursor.created_at) && in_range(cursor.updated_at);
        if ours { Ok(cursor) } else { Err(InvalidCursor) }
    }
}

/// A text that is not a cursor of a list, or a cursor of another order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list; restart without a cursor")]
pub struct InvalidCursor;
