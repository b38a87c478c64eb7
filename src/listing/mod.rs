//! Lists of flows that are in memory: filter, order, page, as PostgreSQL does with an index.

mod matching;
mod merging;

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub(crate) use self::matching::Matcher;
pub(crate) use self::merging::merge;
use crate::flow::{Flow, Head, Refusal};
use crate::repository::{Cursor, ListQuery, Page, RepositoryError, Result, Sort, SortField, Stored, Version};

/// One page of the flows that pass the filter.
///
/// # Errors
/// [`RepositoryError::Corrupt`] for a document that somebody wrote by SQL and that no other way would have taken.
pub(crate) fn list<'a>(
    flows: impl Iterator<Item = &'a Stored<Flow>>,
    query: &ListQuery,
) -> Result<Page<&'a Stored<Flow>>> {
    let corrupt = |refusal: Refusal| RepositoryError::Corrupt(refusal.to_string());
    let matcher = Matcher::new(&query.filter).map_err(corrupt)?;
    let mut found = Vec::new();
    for stored in flows {
        if matcher.matches(&stored.item).map_err(corrupt)? {
            found.push(stored);
        }
    }
    let total = query.count.then_some(found.len() as u64);
    let sort = &query.sort;
    if let Some(after) = &query.after {
        found.retain(|stored| compare(sort, &Keys::of(stored), &Keys::at(after)) == Ordering::Greater);
    }
    let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
    let more = found.len() > limit;
    let order = |a: &&Stored<Flow>, b: &&Stored<Flow>| compare(sort, &Keys::of(a), &Keys::of(b));
    if more {
        // What is on later pages need not be sorted.
        found.select_nth_unstable_by(limit, order);
        found.truncate(limit);
    }
    found.sort_unstable_by(order);
    let last = found.last().filter(|_| more);
    let next = last.map(|last| Cursor::behind(sort, last.item.head(), &last.version));
    Ok(Page { items: found, next, total })
}

/// What flows are sorted by.
struct Keys<'a> {
    name: &'a str,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    id: Uuid,
}

impl<'a> Keys<'a> {
    fn of(stored: &'a Stored<Flow>) -> Self {
        Self::new(stored.item.head(), &stored.version)
    }

    fn new(head: &'a Head, version: &Version) -> Self {
        Self { name: &head.name, created_at: version.created_at, updated_at: version.updated_at, id: head.id.as_uuid() }
    }

    fn at(cursor: &'a Cursor) -> Self {
        Self { name: &cursor.name, created_at: cursor.created_at, updated_at: cursor.updated_at, id: cursor.id }
    }
}

/// Names by bytes; flows that are equal in every key by id, in the direction of the last one.
fn compare(sort: &Sort, a: &Keys<'_>, b: &Keys<'_>) -> Ordering {
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
