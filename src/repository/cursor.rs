//! A place in an ordered list that stays true while flows come and go: the sort keys of the last flow seen, and its id.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Sort, Version};
use crate::flow::Head;

/// The last flow of a page. Opaque to clients: printed and read as URL-safe text.
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
    /// The place behind this flow in this order.
    pub(crate) fn behind(sort: &Sort, head: &Head, version: &Version) -> Self {
        Self {
            sort: fingerprint(sort),
            name: head.name.clone(),
            created_at: version.created_at,
            updated_at: version.updated_at,
            id: head.id.as_uuid(),
        }
    }

    /// Whether it marks a place in this order; in another one it would skip or repeat flows.
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

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let cursor: Self = serde_json::from_slice(&json).map_err(|_| InvalidCursor)?;
        // Only what we print; PostgreSQL could not even read the rest.
        let in_range = |time: DateTime<Utc>| (0..=9999).contains(&time.year());
        let ours = !cursor.name.contains('\0') && in_range(cursor.created_at) && in_range(cursor.updated_at);
        if ours { Ok(cursor) } else { Err(InvalidCursor) }
    }
}

/// A text that is no cursor of ours, or one of another order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list; begin again without one")]
pub struct InvalidCursor;
