//! Pages of two repositories as one page.

use super::keys::{Keys, compare};
use crate::flow::Head;
use crate::repository::{Cursor, ListQuery, Page, Stored};

/// Returns the page of two repositories together. Both pages answer the same query, and no flow is in both
/// repositories.
pub fn merge<T>(
    query: &ListQuery,
    one: Page<Stored<T>>,
    other: Page<Stored<T>>,
    head: impl Fn(&T) -> &Head,
) -> Page<Stored<T>> {
    let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
    let mut items = one.items;
    items.extend(other.items);
    items.sort_by(|a, b| {
        compare(&query.sort, &Keys::new(head(&a.item), &a.version), &Keys::new(head(&b.item), &b.version))
    });
    // A repository that has more flows has returned a whole page.
    let more = items.len() > limit || one.next.is_some() || other.next.is_some();
    items.truncate(limit);
    let last = items.last().filter(|_| more);
    let next = last.map(|last| Cursor::behind(&query.sort, head(&last.item), &last.version));
    let total = one.total.zip(other.total).map(|(one, other)| one + other);
    Page { items, next, total }
}
