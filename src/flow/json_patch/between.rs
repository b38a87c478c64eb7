//! Computes the JSON Patch between two documents.
//!
//! Objects are compared by member. Elements, blocks and links match by key, so that a reordered item is moved. Other
//! arrays are compared by position, from both ends to the middle.

use std::collections::{HashMap, HashSet};

use super::{MAX_OPERATIONS, apply, escaped};
use crate::flow::difference::{by_name, members};
use crate::flow::keys::{Key, Keyed, LISTS, keyed};
use crate::flow::{Flow, Node, Refusal};

impl Flow {
    /// Returns the JSON Patch (RFC 6902) from this document to a newer one, indented by two spaces. Returns `[]` if
    /// they are equal. Runtime members count, and secrets are included. After [`Flow::json_patched`] the canonical
    /// texts are equal.
    ///
    /// If [`Flow::json_patched`] would reject the operations as too many, one operation replaces the document.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    ///
    /// ```
    /// # use strom_store::Flow;
    /// # use strom_store::flow::Runtime;
    /// # let id = "6f1d3c5e-0000-4000-8000-000000000001";
    /// # let flow = |members: &str| Flow::parse(&format!(r#"{{"id":"{id}","name":"a",{members}}}"#));
    /// let older = flow(r#""elements":[{"id":"in"},{"id":"mix","gain":1}]"#)?;
    /// let newer = flow(r#""elements":[{"id":"mix","gain":1.5},{"id":"in"},{"id":"out"}]"#)?;
    /// let patch = older.json_patch(&newer)?;
    /// let operations = [
    ///     r#"{"op":"move","from":"/elements/1","path":"/elements/0"}"#,
    ///     r#"{"op":"add","path":"/elements/2","value":{"id":"out"}}"#,
    ///     r#"{"op":"replace","path":"/elements/0/gain","value":1.5}"#,
    /// ];
    /// assert_eq!(patch.replace(char::is_whitespace, ""), format!("[{}]", operations.join(",")));
    /// assert_eq!(older.json_patched(&patch)?.canonical(Runtime::Include)?, newer.canonical(Runtime::Include)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn json_patch(&self, newer: &Self) -> Result<String, Refusal> {
        let (old, new) = (self.node()?, newer.node()?);
        let mut patch = Patch::default();
        patch.value(&old, &new);
        let mut operations = Node::Array(patch.operations);
        // The function that applies patches defines the limit.
        if apply(&mut old.clone(), &operations).is_err() {
            let mut patch = Patch::default();
            patch.replace(&new);
            operations = Node::Array(patch.operations);
        }
        let mut text = String::new();
        operations.write_pretty(&mut text, 0);
        Ok(text)
    }
}

/// The operations so far, at most one more than the limit.
#[derive(Default)]
struct Patch<'a> {
    operations: Vec<Node<'a>>,
    /// The pointer (RFC 6901) to the current value.
    path: String,
}

impl<'a> Patch<'a> {
    fn value(&mut self, old: &Node<'a>, new: &Node<'a>) {
        match (old, new) {
            (Node::Object(_), Node::Object(_)) => self.members(old, new),
            (Node::Array(old), Node::Array(new)) => self.items(old, new),
            _ if old.same_value(new) => {}
            _ => self.replace(new),
        }
    }

    fn members(&mut self, old: &Node<'a>, new: &Node<'a>) {
        let (before, after) = (by_name(old), by_name(new));
        for (name, _) in members(old).iter().filter(|(name, _)| !after.contains_key(name.as_ref())) {
            self.within(name, Self::remove);
        }
        let is_document = self.path.is_empty();
        for (name, value) in members(new) {
            let Some(old) = before.get(name.as_ref()) else {
                self.within(name, |patch| patch.add(value));
                continue;
            };
            let lists = (is_document && LISTS.contains(&name.as_ref())).then(|| (keyed(name, old), keyed(name, value)));
            self.within(name, |patch| match lists {
                Some((Some(old), Some(new))) => patch.keyed(&old, &new),
                _ => patch.value(old, value),
            });
        }
    }

    /// Common items at both ends stay. The items between them are paired, and the rest is removed or added.
    fn items(&mut self, old: &[Node<'a>], new: &[Node<'a>]) {
        let same = |(old, new): &(&Node<'a>, &Node<'a>)| old.same_value(new);
        let start = old.iter().zip(new).take_while(same).count();
        let (old, new) = (&old[start..], &new[start..]);
        let end = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
        let (old, new) = (&old[..old.len() - end], &new[..new.len() - end]);
        let both = old.len().min(new.len());
        for (index, (old, new)) in old.iter().zip(new).enumerate() {
            self.at(start + index, |patch| patch.value(old, new));
        }
        for index in (both..old.len()).rev() {
            self.at(start + index, Self::remove);
        }
        for (index, item) in new.iter().enumerate().skip(both) {
            self.at(start + index, |patch| patch.add(item));
        }
    }

    /// First brings the items into order, then changes the members of common items.
    fn keyed(&mut self, old: &[Keyed<'_, 'a>], new: &[Keyed<'_, 'a>]) {
        let before: HashMap<_, _> = old.iter().map(|(key, index, item)| (*key, (*index, *item))).collect();
        let after: HashSet<_> = new.iter().map(|(key, ..)| *key).collect();
        for (_, index, _) in old.iter().rev().filter(|(key, ..)| !after.contains(key)) {
            self.at(*index, Self::remove);
        }
        let mut list: Vec<Key<'_>> = old.iter().map(|(key, ..)| *key).filter(|key| after.contains(key)).collect();
        let staying = longest_ascending(new.iter().filter_map(|(key, ..)| Some((*key, before.get(key)?.0))).collect());
        let mut place = 0;
        for (key, _, item) in new {
            if self.is_too_long() {
                return;
            }
            let is_staying = staying.contains(key);
            let start = if is_staying { place } else { 0 };
            let found = before.get(key).and_then(|_| list[start..].iter().position(|other| other == key));
            match found.map(|found| start + found) {
                Some(found) if is_staying => place = found,
                Some(from) => {
                    list.remove(from);
                    // Removing an item before the index shifts it.
                    place -= usize::from(from < place);
                    list.insert(place, *key);
                    let from = format!("{}/{from}", self.path);
                    self.at(place, |patch| patch.push("move", Some(from), None));
                }
                None => {
                    list.insert(place, *key);
                    self.at(place, |patch| patch.add(item));
                }
            }
            place += 1;
        }
        for (key, index, item) in new {
            if let Some((_, old)) = before.get(key) {
                self.at(*index, |patch| patch.value(old, item));
            }
        }
    }

    fn add(&mut self, value: &Node<'a>) {
        self.push("add", None, Some(value));
    }

    fn replace(&mut self, value: &Node<'a>) {
        self.push("replace", None, Some(value));
    }

    fn remove(&mut self) {
        self.push("remove", None, None);
    }

    fn push(&mut self, op: &'static str, from: Option<String>, value: Option<&Node<'a>>) {
        if self.is_too_long() {
            return;
        }
        let text = |text: String| Node::String(text.into());
        let members = [
            Some(("op", text(op.to_owned()))),
            from.map(|from| ("from", text(from))),
            Some(("path", text(self.path.clone()))),
            value.map(|value| ("value", value.clone())),
        ];
        self.operations
            .push(Node::Object(members.into_iter().flatten().map(|(name, value)| (name.into(), value)).collect()));
    }

    fn is_too_long(&self) -> bool {
        self.operations.len() > MAX_OPERATIONS
    }

    fn at(&mut self, index: usize, make: impl FnOnce(&mut Self)) {
        self.within(&index.to_string(), make);
    }

    fn within(&mut self, name: &str, make: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(&escaped(name));
        make(self);
        self.path.truncate(length);
    }
}

/// Returns the keys of a longest increasing subsequence of positions. These items stay while others move.
fn longest_ascending(list: Vec<(Key<'_>, usize)>) -> HashSet<Key<'_>> {
    // Per length, the subsequence with the lowest end; and the predecessor of each item.
    let (mut ends, mut before) = (Vec::<usize>::new(), Vec::with_capacity(list.len()));
    for (index, (_, place)) in list.iter().enumerate() {
        let length = ends.partition_point(|end| list[*end].1 < *place);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    std::iter::successors(ends.last().copied(), |index| before[*index]).map(|index| list[index].0).collect()
}
