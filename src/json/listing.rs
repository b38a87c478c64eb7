//! Lists: filter, order, page.

use std::cmp::Ordering;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::matching::Matcher;
use super::state::{Entry, State};
use crate::repository::{Cursor, ListQuery, Page, RepositoryError, Result, Sort, SortField};

/// One page of the flows that pass the filter.
pub(super) fn list(state: &State, query: &ListQuery) -> Result<Page<Arc<Entry>>> {
    let corrupt = |refusal: crate::flow::Refusal| RepositoryError::Corrupt(refusal.to_string());
    let matcher = Matcher::new(&query.filter).map_err(corrupt)?;
    let mut found = Vec::new();
    for entry in state.entries() {
        if matcher.matches(&entry.stored.item).map_err(corrupt)? {
            found.push(entry);
        }
    }
    let total = query.count.then_some(found.len() as u64);
    let sort = &query.sort;
    if let Some(after) = &query.after {
        found.retain(|entry| compare(sort, &Keys::of(entry), &Keys::at(after)) == Ordering::Greater);
    }
    let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
    let more = found.len() > limit;
    let order = |a: &&Arc<Entry>, b: &&Arc<Entry>| compare(sort, &Keys::of(a), &Keys::of(b));
    if more {
        // What is on later pages need not be sorted.
        found.select_nth_unstable_by(limit, order);
        found.truncate(limit);
    }
    found.sort_unstable_by(order);
    let last = found.last().filter(|_| more);
    let next = last.map(|last| Cursor::behind(sort, last.stored.item.head(), &last.stored.version));
    Ok(Page { items: found.into_iter().cloned().collect(), next, total })
}

/// What flows are sorted by.
struct Keys<'a> {
    name: &'a str,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    id: Uuid,
}

impl<'a> Keys<'a> {
    fn of(entry: &'a Entry) -> Self {
        let (head, version) = (entry.stored.item.head(), &entry.stored.version);
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
