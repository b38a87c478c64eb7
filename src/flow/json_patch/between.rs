//! The patch that makes of one document another.
//!
//! Objects are compared by the names of their members; elements, blocks and links by what they are called, as everywhere,
//! so that one that only stands elsewhere is moved; other arrays by position, from both ends towards the middle.

use std::collections::{HashMap, HashSet};

use super::{MAX_OPERATIONS, apply, escaped};
use crate::flow::difference::{by_name, members};
use crate::flow::keys::{Key, Keyed, LISTS, keyed};
use crate::flow::{Flow, Node, Refusal};

impl Flow {
    /// The JSON Patch (RFC 6902) that makes the newer document of this one, indented by two blanks; `[]` where both say the
    /// same. What a running engine reports counts, and secrets are in it: it is for [`Flow::json_patched`], after which the
    /// canonical texts are equal.
    ///
    /// Where so much differs that [`Flow::json_patched`] would refuse the operations, one replaces the whole document.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    ///
    /// ```
    /// # use strom::Flow;
    /// # use strom::flow::Runtime;
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
    /// assert_eq!(older.json_patched(&patch)?.canonical(Runtime::Kept)?, newer.canonical(Runtime::Kept)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn json_patch(&self, newer: &Self) -> Result<String, Refusal> {
        let (old, new) = (self.node()?, newer.node()?);
        let mut patch = Patch::default();
        patch.value(&old, &new);
        let mut operations = Node::Array(patch.operations);
        // How much operations may handle together is for those to say who make them.
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

/// The operations so far, at most one more than a patch may have.
#[derive(Default)]
struct Patch<'a> {
    operations: Vec<Node<'a>>,
    /// The pointer (RFC 6901) of what is looked at.
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

    /// What both begin and end with stays; what is between is paired, and the rest of it comes or goes.
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

    /// First the list gets its items in their order, then each of those that were there its members.
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
                    // What is taken away in front of a place moves it.
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

/// The keys of a longest part of the list whose places ascend. They can stay where they are while others move.
fn longest_ascending(list: Vec<(Key<'_>, usize)>) -> HashSet<Key<'_>> {
    // Of the ascending parts of each length the one that ends with the lowest place, and what comes before each item.
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
