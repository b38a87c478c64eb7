//! What differs between two documents, member by member and in words.
//!
//! Elements and blocks are matched by their `id`, links by theirs or by their ends; so what was inserted before a node does
//! not make it another one. Everything else is compared member by member, other arrays as a whole, numbers by their exact
//! value. What a running engine reports does not count. A node that only stands elsewhere is told apart from one that was
//! edited.

use std::collections::HashMap;

use serde::Serialize;

use super::keys::{Key, Keyed, LISTS, keyed};
use super::place::Place;
use super::quote::quote;
use super::refusal::{Path, Refusal};
use super::{Flow, Node};

/// The most changes, and the most conflicts, that are listed one by one.
pub const MAX_LISTED: usize = 100;

/// What differs between two documents. Empty exactly when people wrote the same in both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The changes, at most [`MAX_LISTED`].
    pub changes: Vec<MemberChange>,
    /// How many more there are.
    pub more: usize,
}

/// A member, node or link that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberChange {
    /// Where, seen from the newer document; for what was removed, from the older.
    pub path: Path,
    /// What happened to it.
    pub kind: ChangeKind,
    /// The change as a sentence. Values are cut after 80 characters, and secrets are left out as by [`Flow::redacted`].
    pub words: String,
}

/// What happened to a member, node or link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has another value; a list, another order.
    Changed,
    /// The `position` of an element or block, which means something to editors alone.
    Moved,
}

impl ChangeKind {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Moved => "moved",
        }
    }
}

impl Difference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many changes there are: `no changes`, `1 change`, `7 changes`.
    pub fn count_in_words(&self) -> String {
        match self.changes.len() + self.more {
            0 => "no changes".to_owned(),
            1 => "1 change".to_owned(),
            count => format!("{count} changes"),
        }
    }

    fn note(&mut self, place: &Place<'_>, kind: ChangeKind, words: impl FnOnce() -> String) {
        match self.changes.len() < MAX_LISTED {
            true => self.changes.push(MemberChange { path: place.path(), kind, words: words() }),
            false => self.more += 1,
        }
    }
}

impl Flow {
    /// What has changed from this document to a newer one.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    ///
    /// ```
    /// # use strom::Flow;
    /// # use strom::flow::ChangeKind;
    /// # let id = "6f1d3c5e-0000-4000-8000-000000000001";
    /// # let flow = |mix: &str| Flow::parse(&format!(r#"{{"id":"{id}","name":"a","elements":[{mix}]}}"#));
    /// let older = flow(r#"{"id":"mix","element_type":"audiomixer","properties":{"gain":1},"position":[1,2]}"#)?;
    /// let newer = flow(r#"{"id":"mix","element_type":"audiomixer","properties":{"gain":1.5},"position":[3,4]}"#)?;
    /// let changes = older.difference(&newer)?.changes;
    /// assert_eq!(changes[0].words, "element `mix` (audiomixer): `properties.gain` was changed from 1 to 1.5");
    /// assert_eq!(changes[0].path.to_string(), "$.elements[0].properties.gain");
    /// assert_eq!(changes[1].words, "element `mix` (audiomixer) was moved from [1,2] to [3,4]");
    /// assert_eq!(changes[1].kind, ChangeKind::Moved);
    /// # Ok::<(), strom::Refusal>(())
    /// ```
    pub fn difference(&self, newer: &Self) -> Result<Difference, Refusal> {
        let (mut old, mut new) = (self.node()?, newer.node()?);
        old.strip_runtime();
        new.strip_runtime();
        let mut found = Difference::default();
        found.members(&Place::Root, &old, &new);
        Ok(found)
    }
}

impl Difference {
    fn members<'a>(&mut self, place: &Place<'_>, old: &Node<'a>, new: &Node<'a>) {
        let (before, after) = (by_name(old), by_name(new));
        for (name, value) in members(old) {
            self.member(&place.member(name), Some(value), after.get(name.as_ref()).copied());
        }
        for (name, value) in members(new).iter().filter(|(name, _)| !before.contains_key(name.as_ref())) {
            self.member(&place.member(name), None, Some(value));
        }
    }

    fn member<'a>(&mut self, place: &Place<'_>, old: Option<&Node<'a>>, new: Option<&Node<'a>>) {
        match place {
            Place::Member(Place::Root, list) if LISTS.contains(list) => {
                if let Some((old, new)) = both_keyed(list, old, new) {
                    return self.items(place, &old, &new);
                }
            }
            Place::Member(node @ Place::Item(list, ..), "position") if list.name() != "links" => {
                return self.position(place, node, old, new);
            }
            _ => {}
        }
        self.value(place, old, new);
    }

    fn value<'a>(&mut self, place: &Place<'_>, old: Option<&Node<'a>>, new: Option<&Node<'a>>) {
        let quote = |value| quote(place.name(), value);
        match (old, new) {
            (Some(Node::Object(_)), Some(Node::Object(_))) => {
                if let (Some(old), Some(new)) = (old, new) {
                    self.members(place, old, new);
                }
            }
            (Some(old), Some(new)) if old.same_value(new) => {}
            (Some(old), Some(new)) => self.note(place, ChangeKind::Changed, || match (quote(old), quote(new)) {
                (old, new) if old == new => format!("{place} was changed in a part that is not shown here"),
                (old, new) => format!("{place} was changed from {old} to {new}"),
            }),
            (None, Some(new)) => self.note(place, ChangeKind::Added, || format!("{place} was added: {}", quote(new))),
            (Some(old), None) => {
                self.note(place, ChangeKind::Removed, || format!("{place} was removed; it was {}", quote(old)));
            }
            (None, None) => {}
        }
    }

    /// The position is one value, whatever it is made of.
    fn position<'a>(&mut self, place: &Place<'_>, node: &Place<'_>, old: Option<&Node<'a>>, new: Option<&Node<'a>>) {
        let quote = |value| quote("position", value);
        let words = || match (old, new) {
            (Some(old), Some(new)) => format!("{node} was moved from {} to {}", quote(old), quote(new)),
            (None, Some(new)) => format!("{node} was placed at {}", quote(new)),
            (Some(old), None) => format!("{node} was taken from its position {}", quote(old)),
            (None, None) => String::new(),
        };
        if !same(old, new) {
            self.note(place, ChangeKind::Moved, words);
        }
    }

    fn items<'n, 'a>(&mut self, list: &Place<'_>, old: &[Keyed<'n, 'a>], new: &[Keyed<'n, 'a>]) {
        let (before, after) = (by_key(old), by_key(new));
        for (_, index, item) in old.iter().filter(|(key, ..)| !after.contains_key(key)) {
            let place = list.item(*index, item);
            self.note(&place, ChangeKind::Removed, || format!("{place} was removed"));
        }
        for (key, index, item) in new {
            let place = list.item(*index, item);
            match before.get(key) {
                Some(old) => self.members(&place, old, item),
                None => self.note(&place, ChangeKind::Added, || format!("{place} was added")),
            }
        }
        let stayed = old.iter().map(|(key, ..)| key).filter(|key| after.contains_key(key));
        if !stayed.eq(new.iter().map(|(key, ..)| key).filter(|key| before.contains_key(key))) {
            self.note(list, ChangeKind::Changed, || format!("{list} were put into another order"));
        }
    }
}

/// Both lists by their keys, an absent one as an empty one. `None` when one has no keys, or nothing would be found but
/// that an empty list is not an absent one.
fn both_keyed<'n, 'a>(
    list: &str,
    old: Option<&'n Node<'a>>,
    new: Option<&'n Node<'a>>,
) -> Option<(Vec<Keyed<'n, 'a>>, Vec<Keyed<'n, 'a>>)> {
    let items = |value: Option<&'n Node<'a>>| value.map_or_else(|| Some(Vec::new()), |value| keyed(list, value));
    let (before, after) = (items(old)?, items(new)?);
    let is_told = (old.is_some() || !after.is_empty()) && (new.is_some() || !before.is_empty());
    is_told.then_some((before, after))
}

/// Whether both are absent, or the same value.
pub(super) fn same(a: Option<&Node<'_>>, b: Option<&Node<'_>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.same_value(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// The members of an object; none of any other value.
pub(super) fn members<'n, 'a>(node: &'n Node<'a>) -> &'n [(std::borrow::Cow<'a, str>, Node<'a>)] {
    match node {
        Node::Object(members) => members,
        _ => &[],
    }
}

pub(super) fn by_name<'n, 'a>(node: &'n Node<'a>) -> HashMap<&'n str, &'n Node<'a>> {
    members(node).iter().map(|(name, value)| (name.as_ref(), value)).collect()
}

fn by_key<'n, 'a>(items: &[Keyed<'n, 'a>]) -> HashMap<Key<'n>, &'n Node<'a>> {
    items.iter().map(|(key, _, item)| (*key, *item)).collect()
}

#[cfg(test)]
pub(super) mod tests;
