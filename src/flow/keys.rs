//! Keys by which the nodes and links of two documents match, independently of their position.

use std::collections::HashSet;

use super::Node;

/// The lists whose items have a key.
pub(super) const LISTS: [&str; 3] = ["elements", "blocks", "links"];

/// The key of an item in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key<'n> {
    /// The `id` of an element, a block, or a link that has one.
    Id(&'n str),
    /// `from` and `to` of a link.
    Ends(&'n str, &'n str),
}

/// An item with its key and its index.
pub(super) type Keyed<'n, 'a> = (Key<'n>, usize, &'n Node<'a>);

/// Returns the items of the list with their keys. Returns `None` if an item has no key or two items have the same key.
/// Such a list is compared as a whole.
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
