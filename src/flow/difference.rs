//! Differences between two documents, member by member and as sentences.
//!
//! Elements and blocks match by their `id`, links by their `id` or their ends, so that an inserted node does not
//! change the others. Everything else is compared member by member, other arrays as a whole, and numbers by their
//! exact value. Runtime members do not count. A node that only moved on the canvas is distinguished from one that was
//! edited.

use std::collections::HashMap;

use serde::Serialize;

use super::keys::{Key, Keyed, LISTS, keyed};
use super::location::Location;
use super::quote::quote;
use super::refusal::{Path, Refusal};
use super::{Flow, Node};

/// The maximum number of changes or conflicts in a list.
pub const MAX_LISTED: usize = 100;

/// The differences between two documents. Empty if they are equal without their runtime members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The changes, at most [`MAX_LISTED`].
    pub changes: Vec<MemberChange>,
    /// The number of further changes.
    pub more: usize,
}

/// A difference in a member, node or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemberChange {
    /// The path in the newer document. For removed values, the path in the older one.
    pub path: Path,
    /// The kind of the change.
    pub kind: ChangeKind,
    /// The change as a sentence. Values are truncated to 80 characters, and secrets are redacted as in
    /// [`Flow::redacted`].
    pub words: String,
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ChangeKind {
    /// The value is new.
    Added,
    /// The value was removed.
    Removed,
    /// The value, or the order of a list, has changed.
    Changed,
    /// The `position` of an element or block has changed. Only editors use it.
    Moved,
}

impl ChangeKind {
    /// Returns the name in the API.
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
    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns the number of changes in words: `no changes`, `1 change`, `7 changes`.
    pub fn count_in_words(&self) -> String {
        match self.changes.len() + self.more {
            0 => "no changes".to_owned(),
            1 => "1 change".to_owned(),
            count => format!("{count} changes"),
        }
    }

    fn note(&mut self, location: &Location<'_>, kind: ChangeKind, words: impl FnOnce() -> String) {
        match self.changes.len() < MAX_LISTED {
            true => self.changes.push(MemberChange { path: location.path(), kind, words: words() }),
            false => self.more += 1,
        }
    }
}

impl Flow {
    /// Returns the changes from this document to a newer one.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    ///
    /// ```
    /// # use strom_store::Flow;
    /// # use strom_store::flow::ChangeKind;
    /// # let id = "6f1d3c5e-0000-4000-8000-000000000001";
    /// # let flow = |mix: &str| Flow::parse(&format!(r#"{{"id":"{id}","name":"a","elements":[{mix}]}}"#));
    /// let older = flow(r#"{"id":"mix","element_type":"audiomixer","properties":{"gain":1},"position":[1,2]}"#)?;
    /// let newer = flow(r#"{"id":"mix","element_type":"audiomixer","properties":{"gain":1.5},"position":[3,4]}"#)?;
    /// let changes = older.difference(&newer)?.changes;
    /// assert_eq!(changes[0].words, "element `mix` (audiomixer): `properties.gain` was changed from 1 to 1.5");
    /// assert_eq!(changes[0].path.to_string(), "$.elements[0].properties.gain");
    /// assert_eq!(changes[1].words, "element `mix` (audiomixer) was moved from [1,2] to [3,4]");
    /// assert_eq!(changes[1].kind, ChangeKind::Moved);
    /// # Ok::<(), strom_store::Refusal>(())
    /// ```
    pub fn difference(&self, newer: &Self) -> Result<Difference, Refusal> {
        let (mut old, mut new) = (self.node()?, newer.node()?);
        old.strip_runtime();
        new.strip_runtime();
        let mut found = Difference::default();
        found.members(&Location::Root, &old, &new);
        Ok(found)
    }
}

impl Difference {
    fn members<'a>(&mut self, location: &Location<'_>, old: &Node<'a>, new: &Node<'a>) {
        let (before, after) = (by_name(old), by_name(new));
        for (name, value) in members(old) {
            self.member(&location.member(name), Some(value), after.get(name.as_ref()).copied());
        }
        for (name, value) in members(new).iter().filter(|(name, _)| !before.contains_key(name.as_ref())) {
            self.member(&location.member(name), None, Some(value));
        }
    }

    fn member<'a>(&mut self, location: &Location<'_>, old: Option<&Node<'a>>, new: Option<&Node<'a>>) {
        match location {
            Location::Member(Location::Root, list) if LISTS.contains(list) => {
                if let Some((old, new)) = both_keyed(list, old, new) {
                    return self.items(location, &old, &new);
                }
            }
            Location::Member(node @ Location::Item(list, ..), "position") if list.name() != "links" => {
                return self.position(location, node, old, new);
            }
            _ => {}
        }
        self.value(location, old, new);
    }

    fn value<'a>(&mut self, location: &Location<'_>, old: Option<&Node<'a>>, new: Option<&Node<'a>>) {
        let quote = |value| quote(location.name(), value);
        match (old, new) {
            (Some(Node::Object(_)), Some(Node::Object(_))) => {
                if let (Some(old), Some(new)) = (old, new) {
                    self.members(location, old, new);
                }
            }
            (Some(old), Some(new)) if old.same_value(new) => {}
            (Some(old), Some(new)) => self.note(location, ChangeKind::Changed, || match (quote(old), quote(new)) {
                (old, new) if old == new => format!("{location} was changed in a part that is not shown here"),
                (old, new) => format!("{location} was changed from {old} to {new}"),
            }),
            (None, Some(new)) => {
                self.note(location, ChangeKind::Added, || format!("{location} was added: {}", quote(new)))
            }
            (Some(old), None) => {
                self.note(location, ChangeKind::Removed, || format!("{location} was removed; it was {}", quote(old)));
            }
            (None, None) => {}
        }
    }

    /// The position counts as one value.
    fn position<'a>(
        &mut self,
        location: &Location<'_>,
        node: &Location<'_>,
        old: Option<&Node<'a>>,
        new: Option<&Node<'a>>,
    ) {
        let quote = |value| quote("position", value);
        let words = || match (old, new) {
            (Some(old), Some(new)) => format!("{node} was moved from {} to {}", quote(old), quote(new)),
            (None, Some(new)) => format!("{node} was placed at {}", quote(new)),
            (Some(old), None) => format!("the position of {node} was removed; it was {}", quote(old)),
            (None, None) => String::new(),
        };
        if !same(old, new) {
            self.note(location, ChangeKind::Moved, words);
        }
    }

    fn items<'n, 'a>(&mut self, list: &Location<'_>, old: &[Keyed<'n, 'a>], new: &[Keyed<'n, 'a>]) {
        let (before, after) = (by_key(old), by_key(new));
        for (_, index, item) in old.iter().filter(|(key, ..)| !after.contains_key(key)) {
            let location = list.item(*index, item);
            self.note(&location, ChangeKind::Removed, || format!("{location} was removed"));
        }
        for (key, index, item) in new {
            let location = list.item(*index, item);
            match before.get(key) {
                Some(old) => self.members(&location, old, item),
                None => self.note(&location, ChangeKind::Added, || format!("{location} was added")),
            }
        }
        let stayed = old.iter().map(|(key, ..)| key).filter(|key| after.contains_key(key));
        if !stayed.eq(new.iter().map(|(key, ..)| key).filter(|key| before.contains_key(key))) {
            self.note(list, ChangeKind::Changed, || format!("{list} were reordered"));
        }
    }
}

/// Returns both lists with their keys, an absent list as an empty one. Returns `None` if an item has no unique key, or
/// if the only difference is between an absent and an empty list.
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

/// Whether both are absent or have the same value.
pub(super) fn same(a: Option<&Node<'_>>, b: Option<&Node<'_>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.same_value(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// Returns the members of an object, or none for any other value.
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
