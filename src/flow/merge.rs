//! Two edits of one document brought together: what either of them changed is taken, and what both changed differently is
//! a conflict.
//!
//! What differs is found as by [`Flow::difference`]: nodes and links by what they are called, the rest member by member. A
//! position is one value. Nothing is guessed: a node that one side removed and the other edited is a conflict, and so is a
//! link to a node that went. What a running engine reports is not an edit and comes from the current document.

mod ends;
mod order;

use std::collections::HashMap;

use order::{Side, order};
use serde::Serialize;

use super::difference::{MAX_LISTED, by_name, members, same};
use super::keys::{Key, Keyed, LISTS, keyed};
use super::place::Place;
use super::quote::quote;
use super::refusal::{Path, Refusal};
use super::{Flow, Node};

/// A place that both sides changed, each in its own way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// Where, seen from the current document; of what is not in it, from yours.
    pub path: Path,
    /// What is in the way, as a sentence. Values here and below are cut and without secrets, as in a
    /// [`MemberChange`](super::MemberChange).
    pub words: String,
    /// The value that both began with, as JSON; `None` when there was none.
    pub base: Option<String>,
    /// Yours.
    pub yours: Option<String>,
    /// Theirs, which is the current one.
    pub theirs: Option<String>,
}

/// Why two edits cannot be brought together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// What was edited by both sides; at most [`MAX_LISTED`] conflicts, and how many more there are.
    #[error("{}", in_short(.0, .1))]
    Conflicts(Vec<Conflict>, usize),
    /// What comes out cannot be stored.
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
    /// This edit of `base` and another one, which is current, in one document.
    ///
    /// Lists keep the order of the current document, with what this one added behind, unless this one alone put them into
    /// another order.
    ///
    /// # Errors
    /// [`MergeError::Conflicts`] when both changed the same differently; else as [`Flow::parse`].
    ///
    /// ```
    /// # use strom::Flow;
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
        let mut merged = merge.members(&Place::Root, three);
        // Of what is no document yet there is nothing to say.
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

/// Whether properties without a member are to be there: what people wrote is the same with them and without.
fn keeps_properties(base: &Node<'_>, yours: &Node<'_>, theirs: &Node<'_>) -> bool {
    let [base, yours, theirs] =
        [base, yours, theirs].map(|node| matches!(node.get("properties"), Some(Node::Object(_))));
    if yours == base { theirs } else { yours }
}

/// A value as it was, as one side made it, and as the other did.
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
    fn members<'a>(&mut self, place: &Place<'_>, three: Three<'_, 'a>) -> Node<'a> {
        let base = three.base.map(by_name).unwrap_or_default();
        let (yours, theirs) = (by_name(three.yours), by_name(three.theirs));
        let added = members(three.yours).iter().filter(|(name, _)| !theirs.contains_key(name.as_ref()));
        let mut merged = Vec::new();
        for (name, _) in members(three.theirs).iter().chain(added) {
            let of = |members: &HashMap<&str, _>| members.get(name.as_ref()).copied();
            let value = self.member(&place.member(name), of(&base), of(&yours), of(&theirs));
            merged.extend(value.map(|value| (name.clone(), value)));
        }
        Node::Object(merged)
    }

    fn member<'a>(
        &mut self,
        place: &Place<'_>,
        base: Maybe<'_, 'a>,
        yours: Maybe<'_, 'a>,
        theirs: Maybe<'_, 'a>,
    ) -> Option<Node<'a>> {
        let is_position = matches!(place, Place::Member(Place::Item(list, ..), "position") if list.name() != "links");
        if let (Some(your), Some(their), false) = (yours, theirs, is_position) {
            if let Place::Member(Place::Root, list) = place
                && LISTS.contains(list)
            {
                let before = base.map_or_else(|| Some(Vec::new()), |base| keyed(list, base));
                if let (Some(base), Some(yours), Some(theirs)) = (before, keyed(list, your), keyed(list, their)) {
                    return Some(Node::Array(self.items(place, &base, &yours, &theirs)));
                }
            }
            let is_object = |node| matches!(node, &Node::Object(_));
            if is_object(your) && is_object(their) && base.is_none_or(is_object) {
                return Some(self.members(place, Three { base, yours: your, theirs: their }));
            }
        }
        self.value(place, base, yours, theirs)
    }

    /// A value that is taken from one side or the other.
    fn value<'a>(
        &mut self,
        place: &Place<'_>,
        base: Maybe<'_, 'a>,
        yours: Maybe<'_, 'a>,
        theirs: Maybe<'_, 'a>,
    ) -> Option<Node<'a>> {
        if same(yours, theirs) || same(base, yours) {
            return theirs.cloned();
        }
        if !same(base, theirs) {
            self.conflict(place, base, yours, theirs);
        }
        yours.cloned()
    }

    fn items<'a>(
        &mut self,
        list: &Place<'_>,
        base: &[Keyed<'_, 'a>],
        yours: &[Keyed<'_, 'a>],
        theirs: &[Keyed<'_, 'a>],
    ) -> Vec<Node<'a>> {
        let [before, your, their] = [base, yours, theirs].map(Side::of);
        let order = order(&before, &your, &their).unwrap_or_else(|| {
            let words = format!("{list} were put into different orders by both");
            self.note(list, words, None, None, None);
            their.keys.clone()
        });
        // A key that both sides lack is gone. One that is in no order has been removed by the side that has it.
        let mut merged: HashMap<Key<'_>, Node<'a>> = HashMap::new();
        for key in their.keys.iter().chain(your.keys.iter().filter(|key| !their.items.contains_key(*key))) {
            let Some((index, item)) = their.items.get(key).or_else(|| your.items.get(key)) else { continue };
            let place = list.item(*index, item);
            let item = match (before.item(key), your.item(key), their.item(key)) {
                (Some(base), Some(yours), Some(theirs)) => {
                    Some(self.members(&place, Three { base: Some(base), yours, theirs }))
                }
                (base, yours, theirs) => self.value(&place, base, yours, theirs),
            };
            merged.extend(item.map(|item| (*key, item)));
        }
        order.iter().filter_map(|key| merged.remove(key)).collect()
    }

    fn conflict(&mut self, place: &Place<'_>, base: Maybe<'_, '_>, yours: Maybe<'_, '_>, theirs: Maybe<'_, '_>) {
        let quote = |value| quote(place.name(), value);
        let words = match (base, yours, theirs) {
            (base, Some(yours), Some(theirs)) => match (base.map(quote), quote(yours), quote(theirs)) {
                (_, yours, theirs) if yours == theirs => {
                    format!("{place} was changed by both, in a part that is not shown here")
                }
                (Some(base), yours, theirs) => {
                    format!("{place} was {base}, is {yours} in yours and {theirs} in theirs")
                }
                (None, yours, theirs) => {
                    format!("{place} was added by both, as {yours} in yours and {theirs} in theirs")
                }
            },
            (_, None, _) => format!("{place} was removed in yours and changed in theirs"),
            (_, _, None) => format!("{place} was changed in yours and removed in theirs"),
        };
        self.note(place, words, base, yours, theirs);
    }

    fn note(
        &mut self,
        place: &Place<'_>,
        words: String,
        base: Maybe<'_, '_>,
        yours: Maybe<'_, '_>,
        theirs: Maybe<'_, '_>,
    ) {
        if self.conflicts.len() == MAX_LISTED {
            self.more += 1;
            return;
        }
        let [base, yours, theirs] = [base, yours, theirs].map(|value| value.map(|value| quote(place.name(), value)));
        self.conflicts.push(Conflict { path: place.path(), words, base, yours, theirs });
    }
}

#[cfg(test)]
mod tests;
