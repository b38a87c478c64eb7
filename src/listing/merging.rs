//! One page of two.

use super::{Keys, compare};
use crate::flow::Head;
use crate::repository::{Cursor, ListQuery, Page, Stored};

/// The page of two lists together that have no flow in common, from the page of each that answers the same query.
pub(crate) fn merge<T>(
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
    // One that has more has given a whole page.
    let more = items.len() > limit || one.next.is_some() || other.next.is_some();
    items.truncate(limit);
    let last = items.last().filter(|_| more);
    let next = last.map(|last| Cursor::behind(&query.sort, head(&last.item), &last.version));
    let total = one.total.zip(other.total).map(|(one, other)| one + other);
    Page { items, next, total }
}
