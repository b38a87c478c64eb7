//! Lists of flows in memory: filters, orders and pages with the same results as the SQL of the PostgreSQL backend.
//!
//! [`list`] is the implementation of [`FlowRepository::list`](crate::repository::FlowRepository::list) for a backend
//! that has its flows in memory. [`merge`] combines the pages of two repositories, as the decorator
//! [`Ephemeral`](crate::Ephemeral) does.

mod keys;
mod matching;
mod merging;

use std::cmp::Ordering;

use self::keys::{Keys, compare};
pub use self::matching::Matcher;
pub use self::merging::merge;
use crate::flow::{Flow, Refusal};
use crate::repository::{Cursor, ListQuery, Page, RepositoryError, Result, Stored};

/// Returns one page of these flows: filtered, sorted and cut as the query requires.
///
/// ```
/// use strom_store::Flow;
/// use strom_store::listing;
/// use strom_store::repository::{Author, ListQuery, Revision, Stored, Version};
///
/// let now = chrono::Utc::now();
/// let version = Version::new(Revision::FIRST, now, now, Author::new("docs"));
/// let flow = |name| Flow::parse(&format!(r#"{{"id": "{}", "name": "{name}"}}"#, uuid::Uuid::new_v4()));
/// let flows = [flow("b")?, flow("a")?].map(|item| Stored { item, version: version.clone() });
///
/// let query = ListQuery { limit: Some(1), count: true, ..ListQuery::default() };
/// let page = listing::list(flows.iter(), &query)?;
/// assert_eq!(page.items[0].item.head().name, "a");
/// assert_eq!(page.total, Some(2));
///
/// let query = ListQuery { after: page.next, ..query };
/// assert_eq!(listing::list(flows.iter(), &query)?.items[0].item.head().name, "b");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`RepositoryError::Corrupt`] if the containment of the filter cannot be parsed. A flow whose document was written by SQL,
/// and that [`Flow::parse`] rejects, contains nothing: it is logged, and does not fail the list of all others.
pub fn list<'a>(flows: impl Iterator<Item = &'a Stored<Flow>>, query: &ListQuery) -> Result<Page<&'a Stored<Flow>>> {
    let corrupt = |refusal: Refusal| RepositoryError::Corrupt(refusal.to_string());
    let matcher = Matcher::new(&query.filter).map_err(corrupt)?;
    let mut found = Vec::new();
    for stored in flows {
        match matcher.matches(&stored.item) {
            Ok(true) => found.push(stored),
            Ok(false) => {}
            Err(refusal) => tracing::warn!(id = %stored.item.id(), %refusal, "a list omits a flow that cannot be read"),
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
        // The flows of later pages need not be sorted.
        found.select_nth_unstable_by(limit, order);
        found.truncate(limit);
    }
    found.sort_unstable_by(order);
    let last = found.last().filter(|_| more);
    let next = last.map(|last| Cursor::behind(sort, last.item.head(), &last.version));
    Ok(Page { items: found, next, total })
}
