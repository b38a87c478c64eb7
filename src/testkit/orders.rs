//! The sort orders of the tests, and a second, simple implementation of them.

use std::cmp::Ordering;

use crate::flow::Flow;
use crate::repository::{Sort, Stored};

/// Orders by one, two and three keys, each key in both directions.
pub const SORTS: [&str; 14] = [
    "name",
    "-name",
    "created_at",
    "-created_at",
    "updated_at",
    "-updated_at",
    "name,created_at",
    "-name,updated_at",
    "created_at,-name",
    "-created_at,updated_at",
    "-updated_at,-name",
    "name,-created_at,updated_at",
    "-created_at,name,-updated_at",
    "updated_at,-created_at,-name",
];

/// Parses an order.
pub fn sort(text: &str) -> Sort {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Compares two flows in an order.
pub fn compare(sort: &str, a: &Stored<Flow>, b: &Stored<Flow>) -> Ordering {
    let last = sort.rsplit(',').next().unwrap_or_default();
    let by_id = directed(last, a.item.id().cmp(&b.item.id()));
    sort.split(',').map(|key| directed(key, compare_by(key, a, b))).fold(Ordering::Equal, Ordering::then).then(by_id)
}

fn compare_by(key: &str, a: &Stored<Flow>, b: &Stored<Flow>) -> Ordering {
    match key.trim_start_matches('-') {
        "name" => a.item.head().name.as_bytes().cmp(b.item.head().name.as_bytes()),
        "created_at" => a.version.created_at.cmp(&b.version.created_at),
        _ => a.version.updated_at.cmp(&b.version.updated_at),
    }
}

fn directed(key: &str, ordering: Ordering) -> Ordering {
    if key.starts_with('-') { ordering.reverse() } else { ordering }
}
