//! By what the nodes and links of two documents are matched: what they are called, not where they stand.

use std::collections::HashSet;

use super::Node;

/// The lists of a document whose items have a key.
pub(super) const LISTS: [&str; 3] = ["elements", "blocks", "links"];

/// What tells an item of a list apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key<'n> {
    /// The `id` of an element or block, or of a link that has one.
    Id(&'n str),
    /// `from` and `to` of a link.
    Ends(&'n str, &'n str),
}

/// An item with its key and its place, counted from 0.
pub(super) type Keyed<'n, 'a> = (Key<'n>, usize, &'n Node<'a>);

/// The items of a list of this name. `None` when an item has no key, or two have the same: such a list can only be taken
/// as a whole.
pub(super) fn keyed<'n, 'a>(list: &str, value: &'n Node<'a>) -> Option<Vec<Keyed<'n, 'a>>> {
    let Node::Array(items) = value else { return None };
    let mut seen = HashSet::with_capacity(items.len());
    let keyed = items.iter().enumerate().map(|(index, item)| {
        let key = key(list, item).filter(|key| seen.insert(*key))?;
        Some((key, index, item))
    });
    keyed.collect()
}

fn key<'n>(list: &str, item: &'n Node<'_>) -> Option<Key<'n>> {
    let text = |member| item.get(member).and_then(Node::as_str);
    match text("id") {
        Some(id) => Some(Key::Id(id)),
        None if list == "links" && item.get("id").is_none() => Some(Key::Ends(text("from")?, text("to")?)),
        None => None,
    }
}
