//! The order of a list that both sides changed.

use std::collections::HashMap;

use crate::flow::Node;
use crate::flow::keys::{Key, Keyed};

/// The items of a list in their order and by key.
pub(super) struct Side<'n, 'a> {
    pub(super) keys: Vec<Key<'n>>,
    pub(super) items: HashMap<Key<'n>, (usize, &'n Node<'a>)>,
}

impl<'n, 'a> Side<'n, 'a> {
    pub(super) fn of(list: &[Keyed<'n, 'a>]) -> Self {
        Self {
            keys: list.iter().map(|(key, ..)| *key).collect(),
            items: list.iter().map(|(key, index, item)| (*key, (*index, *item))).collect(),
        }
    }

    pub(super) fn item(&self, key: &Key<'_>) -> Option<&'n Node<'a>> {
        self.items.get(key).map(|(_, item)| *item)
    }

    /// Returns the keys that the other two lists also have, in this order.
    fn common(&self, others: [&Self; 2]) -> Vec<Key<'n>> {
        let is_common = |key: &&Key<'n>| others.iter().all(|other| other.items.contains_key(*key));
        self.keys.iter().filter(is_common).copied().collect()
    }

    /// Returns the keys, followed by those that only the other list has.
    fn and(&self, other: &Self) -> Vec<Key<'n>> {
        let further = other.keys.iter().filter(|key| !self.items.contains_key(*key));
        self.keys.iter().chain(further).copied().collect()
    }
}

/// Returns the merged order. Returns `None` if both sides reordered their common items differently.
pub(super) fn order<'n>(base: &Side<'n, '_>, yours: &Side<'n, '_>, theirs: &Side<'n, '_>) -> Option<Vec<Key<'n>>> {
    if base.keys == theirs.keys {
        return Some(yours.keys.clone());
    }
    let your_order = yours.common([base, theirs]);
    if your_order == base.common([yours, theirs]) {
        return Some(theirs.and(yours));
    }
    let their_order = theirs.common([base, yours]);
    (their_order == base.common([yours, theirs]) || their_order == your_order).then(|| yours.and(theirs))
}
