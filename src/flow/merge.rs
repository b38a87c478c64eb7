//! A three-way merge of two edits of one document. A value that one side changed is taken from that side. A value that
//! both sides changed differently is a conflict.
//!
//! Changes are found as by [`Flow::difference`]: nodes and links match by key, the rest by member. A position is one
//! value. The merge does not guess: a node that one side removed and the other edited is a conflict, and so is a link
//! to a removed node. Runtime members come from the current document.

mod ends;
mod order;

use std::collections::HashMap;

use order::{Side, order};
use serde::Serialize;

use super::difference::{MAX_LISTED, by_name, members, same};
use super::keys::{Key, Keyed, LISTS, keyed};
use super::location::Location;
use super::quote::quote;
use super::refusal::{Path, Refusal};
use super::{Flow, Node};

/// A value that both sides changed differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Conflict {
    /// The path in the current document. For values that it lacks, the path in yours.
    pub path: Path,
    /// The conflict as a sentence. Values here and below are truncated and redacted, as in
    /// [`MemberChange`](super::MemberChange).
    pub words: String,
    /// The value of the base as JSON. `None` if absent.
    pub base: Option<String>,
    /// Your value.
    pub yours: Option<String>,
    /// The value of the current document.
    pub theirs: Option<String>,
}

/// Why two edits cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// Both sides changed the same values. Contains at most [`MAX_LISTED`] conflicts and the number of further ones.
    #[error("{}", in_short(.0, .1))]
    Conflicts(Vec<Conflict>, usize),
    /// The merged document cannot be stored.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

fn in_short(conflicts: &[Conflict], more: &usize) -> String {
    let first = conflicts.first().map_or("", |conflict| &conflict.words);
    match conflicts.len() + more {
        0 | 1 => first.to_owned(),
        count => format!("{first} (and {} more)", count - 1),
    }
}

impl Flow {
    /// Merges this edit of `base` with the current document, which is another edit of it.
    ///
    /// Lists keep the order of the current document, followed by new items of this one. If only this one reordered a
    /// list, its order applies.
    ///
    /// # Errors
    /// [`MergeError::Conflicts`] if both sides changed a value differently, otherwise as [`Flow::parse`].
    ///
    /// ```
    /// # use strom_store::Flow;
    /// # let id = "6f1d3c5e-0000-4000-8000-000000000001";
    /// # let flow = |members: &str| Flow::parse(&format!(r#"{{"id":"{id}",{members}}}"#));
    /// let base = flow(r#""name":"a","elements":[{"id":"mix","gain":1,"position":[1,2]}]"#)?;
    /// let yours = flow(r#""name":"a","elements":[{"id":"mix","gain":1,"position":[3,4]}]"#)?;
    /// let theirs = flow(r#""name":"b","elements":[{"id":"in"},{"id":"mix","gain":2,"position":[1,2]}]"#)?;
    /// let merged = flow(r#""name":"b","elements":[{"id":"in"},{"id":"mix","gain":2,"position":[3,4]}]"#)?;
    /// assert_eq!(yours.merged(&base, &theirs)?.document().get(), merged.document().get());
    ///
    /// let theirs = flow(r#""name":"a","elements":[{"id":"mix","gain":1,"position":[5,6]}]"#)?;
    /// let error = yours.merged(&base, &theirs).unwrap_err().to_string();
    /// assert_eq!(error, "element `mix`: `position` was [1,2], is [3,4] in yours and [5,6] in theirs");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn merged(&self, base: &Self, theirs: &Self) -> Result<Self, MergeError> {
        let (base, yours, theirs) = (base.node()?, self.node()?, theirs.node()?);
        let [base_content, your_content, their_content] = [&base, &yours, &theirs].map(content);
        let three = Three { base: Some(&base_content), yours: &your_content, theirs: &their_content };
        let mut merge = Merge::default();
        let mut merged = merge.members(&Location::Root, three);
        // Only a valid document has conflicts to report.
        if merge.conflicts.is_empty() {
            merge.check_links(&merged, &your_content, &their_content);
            merge.check_ids(&merged, &your_content, &their_content);
        }
        if !merge.conflicts.is_empty() {
            return Err(MergeError::Conflicts(merge.conflicts, merge.more));
        }
        if merged.get("properties").is_none() && keeps_properties(&base, &yours, &theirs) {
            merged.set("properties", Node::Object(Vec::new()));
        }
        merged.take_runtime(&theirs, &yours);
        Ok(Self::from_node(merged)?)
    }
}

fn content<'a>(node: &Node<'a>) -> Node<'a> {
    let mut content = node.clone();
    content.strip_runtime();
    content
}

/// Whether to keep `properties` without members. It makes no difference to what people write.
fn keeps_properties(base: &Node<'_>, yours: &Node<'_>, theirs: &Node<'_>) -> bool {
    let [base, yours, theirs] =
        [base, yours, theirs].map(|node| matches!(node.get("properties"), Some(Node::Object(_))));
    if yours == base { theirs } else { yours }
}

/// A value in the base and on both sides.
#[derive(Clone, Copy)]
struct Three<'n, 'a> {
    base: Option<&'n Node<'a>>,
    yours: &'n Node<'a>,
    theirs: &'n Node<'a>,
}

type Maybe<'n, 'a> = Option<&'n Node<'a>>;

#[derive(Default)]
struct Merge {
    conflicts: Vec<Conflict>,
    more: usize,
}

impl Merge {
    fn members<'a>(&mut self, location: &Location<'_>, three: Three<'_, 'a>) -> Node<'a> {
        let base = three.base.map(by_name).unwrap_or_default();
        let (yours, theirs) = (by_name(three.yours), by_name(three.theirs));
        let added = members(three.yours).iter().filter(|(name, _)| !theirs.contains_key(name.as_ref()));
        let mut merged = Vec::new();
        for (name, _) in members(three.theirs).iter().chain(added) {
            let of = |members: &HashMap<&str, _>| members.get(name.as_ref()).copied();
            let value = self.member(&location.member(name), of(&base), of(&yours), of(&theirs));
            merged.extend(value.map(|value| (name.clone(), value)));
        }
        Node::Object(merged)
    }

    fn member<'a>(
        &mut self,
        location: &Location<'_>,
        base: Maybe<'_, 'a>,
        yours: Maybe<'_, 'a>,
        theirs: Maybe<'_, 'a>,
    ) -> Option<Node<'a>> {
        let is_position =
            matches!(location, Location::Member(Location::Item(list, ..), "position") if list.name() != "links");
        if let (Some(your), Some(their), false) = (yours, theirs, is_position) {
            if let Location::Member(Location::Root, list) = location
                && LISTS.contains(list)
            {
                let before = base.map_or_else(|| Some(Vec::new()), |base| keyed(list, base));
                if let (Some(base), Some(yours), Some(theirs)) = (before, keyed(list, your), keyed(list, their)) {
                    return Some(Node::Array(self.items(location, &base, &yours, &theirs)));
                }
            }
            let is_object = |node| matches!(node, &Node::Object(_));
            if is_object(your) && is_object(their) && base.is_none_or(is_object) {
                return Some(self.members(location, Three { base, yours: your, theirs: their }));
            }
        }
        self.value(location, base, yours, theirs)
    }

    /// A value that comes from one side or the other.
    fn value<'a>(
        &mut self,
        location: &Location<'_>,
        base: Maybe<'_, 'a>,
        yours: Maybe<'_, 'a>,
        theirs: Maybe<'_, 'a>,
    ) -> Option<Node<'a>> {
        if same(yours, theirs) || same(base, yours) {
            return theirs.cloned();
        }
        if !same(base, theirs) {
            self.conflict(location, base, yours, theirs);
        }
        yours.cloned()
    }

    fn items<'a>(
        &mut self,
        list: &Location<'_>,
        base: &[Keyed<'_, 'a>],
        yours: &[Keyed<'_, 'a>],
        theirs: &[Keyed<'_, 'a>],
    ) -> Vec<Node<'a>> {
        let [before, your, their] = [base, yours, theirs].map(Side::of);
        let order = order(&before, &your, &their).unwrap_or_else(|| {
            let words = format!("{list} were reordered differently by both");
            self.note(list, words, None, None, None);
            their.keys.clone()
        });
        // A key that both sides lack was removed. A key in no order was removed by the side that has it.
        let mut merged: HashMap<Key<'_>, Node<'a>> = HashMap::new();
        for key in their.keys.iter().chain(your.keys.iter().filter(|key| !their.items.contains_key(*key))) {
            let Some((index, item)) = their.items.get(key).or_else(|| your.items.get(key)) else { continue };
            let location = list.item(*index, item);
            let item = match (before.item(key), your.item(key), their.item(key)) {
                (Some(base), Some(yours), Some(theirs)) => {
                    Some(self.members(&location, Three { base: Some(base), yours, theirs }))
                }
                (base, yours, theirs) => self.value(&location, base, yours, theirs),
            };
            merged.extend(item.map(|item| (*key, item)));
        }
        order.iter().filter_map(|key| merged.remove(key)).collect()
    }

    fn conflict(&mut self, location: &Location<'_>, base: Maybe<'_, '_>, yours: Maybe<'_, '_>, theirs: Maybe<'_, '_>) {
        let quote = |value| quote(location.name(), value);
        let words = match (base, yours, theirs) {
            (base, Some(yours), Some(theirs)) => match (base.map(quote), quote(yours), quote(theirs)) {
                (_, yours, theirs) if yours == theirs => {
                    format!("{location} was changed by both, in a part that is not shown here")
                }
                (Some(base), yours, theirs) => {
                    format!("{location} was {base}, is {yours} in yours and {theirs} in theirs")
                }
                (None, yours, theirs) => {
                    format!("{location} was added by both, as {yours} in yours and {theirs} in theirs")
                }
            },
            (_, None, _) => format!("{location} was removed in yours and changed in theirs"),
            (_, _, None) => format!("{location} was changed in yours and removed in theirs"),
        };
        self.note(location, words, base, yours, theirs);
    }

    fn note(
        &mut self,
        location: &Location<'_>,
        words: String,
        base: Maybe<'_, '_>,
        yours: Maybe<'_, '_>,
        theirs: Maybe<'_, '_>,
    ) {
        if self.conflicts.len() == MAX_LISTED {
            self.more += 1;
            return;
        }
        let [base, yours, theirs] = [base, yours, theirs].map(|value| value.map(|value| quote(location.name(), value)));
        self.conflicts.push(Conflict { path: location.path(), words, base, yours, theirs });
    }
}

#[cfg(test)]
mod tests;
