//! The order of a list that two sides changed.

use std::collections::HashMap;

use crate::flow::Node;
use crate::flow::keys::{Key, Keyed};

/// The items of a list in their order, and by their keys.
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

    /// Its keys that the other two have as well, in its order.
    fn common(&self, others: [&Self; 2]) -> Vec<Key<'n>> {
        let is_common = |key: &&Key<'n>| others.iter().all(|other| other.items.contains_key(*key));
        self.keys.iter().filter(is_common).copied().collect()
    }

    /// Its keys, and behind them those that only the other has.
    fn and(&self, other: &Self) -> Vec<Key<'n>> {
        let further = other.keys.iter().filter(|key| !self.items.contains_key(*key));
        self.keys.iter().chain(further).copied().collect()
    }
}

/// The order of what is merged. `None` when both put into another order what they have in common, and not into the same.
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
