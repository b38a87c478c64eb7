//! Queries for lists of flows.

use super::containment::Containment;
use super::cursor::Cursor;
use super::name_part::NamePart;
use super::sort::Sort;
use crate::flow::GstState;

/// A query for one page of flows. The default selects all flows, by name, on one page.
///
/// ```
/// use strom_store::repository::{Filter, ListQuery, NamePart};
///
/// let filter = Filter { name: Some(NamePart::parse("studio")?), ..Filter::default() };
/// let query = ListQuery { filter, sort: "-updated_at".parse()?, limit: Some(20), ..ListQuery::default() };
/// # let _ = query;
/// # Ok::<(), strom_store::repository::InvalidQuery>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// The conditions that a flow must meet.
    pub filter: Filter,
    /// The order of the flows.
    pub sort: Sort,
    /// The maximum number of flows; `None` returns all.
    pub limit: Option<u32>,
    /// The position after which the page starts: [`Page::next`] of the previous page of the same order.
    pub after: Option<Cursor>,
    /// Whether to count all flows that pass the filter.
    pub count: bool,
}

/// Conditions on a flow. A flow passes if it meets all of them.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The state of the flow.
    pub state: Option<GstState>,
    /// Whether the flow starts automatically.
    pub auto_restart: Option<bool>,
    /// A text that the name contains.
    pub name: Option<NamePart>,
    /// JSON that the document contains.
    pub contains: Option<Containment>,
}

/// One page of a list.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Page<T> {
    /// The flows, or their heads.
    pub items: Vec<T>,
    /// The position after which the next page starts; `None` on the last page.
    pub next: Option<Cursor>,
    /// The number of all flows that pass the filter, if [`ListQuery::count`] is set.
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// Returns a page.
    pub const fn new(items: Vec<T>, next: Option<Cursor>, total: Option<u64>) -> Self {
        Self { items, next, total }
    }

    /// Returns the same page with converted items.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        let Self { items, next, total } = self;
        Page { items: items.into_iter().map(convert).collect(), next, total }
    }
}
