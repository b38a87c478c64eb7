//! The order of flows in memory.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::flow::{Flow, Head};
use crate::repository::{Cursor, Sort, SortField, Stored, Version};

/// The values by which flows are sorted.
pub(super) struct Keys<'a> {
    name: &'a str,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    id: Uuid,
}

impl<'a> Keys<'a> {
    pub(super) fn of(stored: &'a Stored<Flow>) -> Self {
        Self::new(stored.item.head(), &stored.version)
    }

    pub(super) fn new(head: &'a Head, version: &Version) -> Self {
        Self { name: &head.name, created_at: version.created_at, updated_at: version.updated_at, id: head.id.as_uuid() }
    }

    pub(super) fn at(cursor: &'a Cursor) -> Self {
        Self { name: &cursor.name, created_at: cursor.created_at, updated_at: cursor.updated_at, id: cursor.id }
    }
}

/// Compares names by their bytes, and flows that are equal in every key by id, in the direction of the last key.
pub(super) fn compare(sort: &Sort, a: &Keys<'_>, b: &Keys<'_>) -> Ordering {
    let by_keys = sort.keys().iter().map(|key| {
        let ordering = match key.field {
            SortField::Name => a.name.cmp(b.name),
            SortField::CreatedAt => a.created_at.cmp(&b.created_at),
            SortField::UpdatedAt => a.updated_at.cmp(&b.updated_at),
        };
        if key.descending { ordering.reverse() } else { ordering }
    });
    let by_id = if sort.ends_descending() { b.id.cmp(&a.id) } else { a.id.cmp(&b.id) };
    by_keys.fold(Ordering::Equal, Ordering::then).then(by_id)
}
