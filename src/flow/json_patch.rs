//! JSON Patch (RFC 6902) with JSON pointers (RFC 6901). All operations of a patch succeed or none.
//!
//! The existing crates work on `serde_json::Value`, which rounds numbers. A property test compares this implementation
//! with one of them.

mod between;

use std::borrow::Cow;
use std::cell::Cell;

use super::refusal::{Path, Reason, Refusal};
use super::{Flow, MAX_DEPTH, MAX_SIZE, Node};

/// The maximum number of operations in a patch.
pub const MAX_OPERATIONS: usize = 10_000;

/// The maximum amount of data that all operations of a patch handle: bytes that they add, move or compare, and members
/// that they search.
const MAX_COST: usize = 4 * MAX_SIZE;

/// Why a patch cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The patch is not JSON, or its result cannot be stored.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The patch is not a list of operations as defined by the RFC.
    #[error("{}{problem}", operation(.index))]
    Invalid {
        /// The index of the operation. `None` for the patch as a whole.
        index: Option<usize>,
        /// The problem.
        problem: &'static str,
    },
    /// An operation does not fit the flow: its path does not exist, or it tests for another value.
    #[error("{}{problem}: `{pointer}`", operation(&Some(*.index)))]
    Unfit {
        /// The index of the operation.
        index: usize,
        /// The problem.
        problem: &'static str,
        /// The path as the patch spells it.
        pointer: String,
    },
}

fn operation(index: &Option<usize>) -> String {
    index.map(|index| format!("operation {index}: ")).unwrap_or_default()
}

impl Flow {
    /// Returns the flow after all operations of the patch. The patch may change the id, so the caller checks it.
    ///
    /// # Errors
    /// [`PatchError`]. A patch has at most [`MAX_OPERATIONS`]. Together they handle at most four times [`MAX_SIZE`]
    /// bytes, and no intermediate document is deeper than [`MAX_DEPTH`].
    ///
    /// ```
    /// # use strom_store::Flow;
    /// let id = "6f1d3c5e-0000-4000-8000-000000000001";
    /// let flow = Flow::parse(&format!(r#"{{"id":"{id}","name":"a","links":[1,3]}}"#))?;
    /// let patch = r#"[{"op":"test","path":"/name","value":"a"},{"op":"add","path":"/links/1","value":2}]"#;
    /// assert_eq!(flow.json_patched(patch)?.document().get(), format!(r#"{{"id":"{id}","name":"a","links":[1,2,3]}}"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn json_patched(&self, patch: &str) -> Result<Self, PatchError> {
        let patch = Node::parse(patch)?;
        let mut node = self.node()?;
        apply(&mut node, &patch)?;
        Ok(Self::from_node(node)?)
    }
}

fn apply<'a>(document: &mut Node<'a>, patch: &Node<'a>) -> Result<(), PatchError> {
    let Node::Array(operations) = patch else {
        return Err(PatchError::Invalid { index: None, problem: "a patch is an array of operations" });
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::Invalid { index: None, problem: "a patch has at most 10000 operations" });
    }
    // A copy can double the document, and a test can read all of it. Counting the handled data bounds memory and time
    // by the size of the patch.
    let cost = Cell::new(0);
    for (index, operation) in operations.iter().enumerate() {
        Operation { index, node: operation, cost: &cost }.apply(document)?;
    }
    Ok(())
}

struct Operation<'n, 'a> {
    index: usize,
    node: &'n Node<'a>,
    /// The amount of data handled so far.
    cost: &'n Cell<usize>,
}

impl<'a> Operation<'_, 'a> {
    fn apply(&self, document: &mut Node<'a>) -> Result<(), PatchError> {
        let op = self.text("op", "an operation requires a member `op`, a string")?;
        let path = self.pointer("path")?;
        match op {
            "add" => self.add(document, &path, self.value()?),
            "remove" => self.take(document, &path).map(drop),
            "replace" => {
                let value = self.value()?;
                self.admit(&path, &value)?;
                *self.find(document, &path)? = value;
                Ok(())
            }
            "move" => {
                let from = self.pointer("from")?;
                if path.len() > from.len() && path.starts_with(&from) {
                    return Err(self.invalid("a value cannot be moved into itself"));
                }
                let value = self.take(document, &from)?;
                self.add(document, &path, value)
            }
            "copy" => {
                let value = self.find(document, &self.pointer("from")?)?;
                self.charge(value.jsonb_len())?;
                let value = value.clone();
                self.add(document, &path, value)
            }
            "test" => {
                let (expected, found) = (self.value()?, self.find(document, &path)?);
                self.charge(expected.jsonb_len() + found.jsonb_len())?;
                match found.to_canonical() == expected.to_canonical() {
                    true => Ok(()),
                    false => Err(self.unfit("the current value differs", &path)),
                }
            }
            _ => Err(self.invalid("`op` is one of `add`, `remove`, `replace`, `move`, `copy`, `test`")),
        }
    }

    fn text(&self, member: &str, problem: &'static str) -> Result<&str, PatchError> {
        self.node.get(member).and_then(Node::as_str).ok_or_else(|| self.invalid(problem))
    }

    fn value(&self) -> Result<Node<'a>, PatchError> {
        self.node.get("value").cloned().ok_or_else(|| self.invalid("the operation requires a member `value`"))
    }

    /// Returns the unescaped names of a pointer.
    fn pointer(&self, member: &str) -> Result<Vec<String>, PatchError> {
        let problem = match member {
            "from" => "the operation requires a member `from`, a JSON pointer",
            _ => "the operation requires a member `path`, a JSON pointer",
        };
        let text = self.text(member, problem)?;
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let names = text.strip_prefix('/').ok_or_else(|| self.invalid(problem))?.split('/');
        names.map(|name| unescaped(name).ok_or_else(|| self.invalid(problem))).collect()
    }

    /// Counts handled data.
    fn charge(&self, cost: usize) -> Result<(), PatchError> {
        self.cost.set(self.cost.get() + cost);
        match self.cost.get() <= MAX_COST {
            true => Ok(()),
            false => Err(self.invalid("the operations up to this one process too much data; send several patches")),
        }
    }

    /// Whether the value may be added at this pointer. The check comes first: a patch could move a tree into itself
    /// repeatedly, and every function over trees recurses to its depth.
    fn admit(&self, path: &[String], value: &Node<'a>) -> Result<(), PatchError> {
        self.charge(value.jsonb_len())?;
        match path.len() + depth(value) <= MAX_DEPTH {
            true => Ok(()),
            false => Err(Reason::TooDeep.at(Path::default()).into()),
        }
    }

    /// Returns the value at a pointer.
    fn find<'d>(&self, document: &'d mut Node<'a>, path: &[String]) -> Result<&'d mut Node<'a>, PatchError> {
        let mut found = document;
        for name in path {
            let next = match found {
                Node::Object(members) => {
                    self.charge(members.len())?;
                    members.iter_mut().find(|(member, _)| member == name).map(|(_, value)| value)
                }
                Node::Array(items) => position(name).and_then(|position| items.get_mut(position)),
                _ => None,
            };
            found = next.ok_or_else(|| self.unfit("the path does not exist", path))?;
        }
        Ok(found)
    }

    fn add(&self, document: &mut Node<'a>, path: &[String], value: Node<'a>) -> Result<(), PatchError> {
        self.admit(path, &value)?;
        let Some((name, parent)) = path.split_last() else {
            *document = value;
            return Ok(());
        };
        match self.find(document, parent)? {
            Node::Object(members) => {
                self.charge(members.len())?;
                match members.iter_mut().find(|(member, _)| member == name) {
                    Some((_, old)) => *old = value,
                    None => members.push((Cow::Owned(name.clone()), value)),
                }
            }
            Node::Array(items) => {
                self.charge(items.len())?;
                let place = if name == "-" { Some(items.len()) } else { position(name) };
                let place = place.filter(|place| *place <= items.len());
                items.insert(place.ok_or_else(|| self.unfit("the path does not exist", path))?, value);
            }
            _ => return Err(self.unfit("the parent is neither an object nor an array", path)),
        }
        Ok(())
    }

    fn take(&self, document: &mut Node<'a>, path: &[String]) -> Result<Node<'a>, PatchError> {
        let Some((name, parent)) = path.split_last() else {
            return Err(self.invalid("a patch cannot remove the whole flow; use DELETE"));
        };
        let taken = match self.find(document, parent)? {
            Node::Object(members) => {
                self.charge(members.len())?;
                let place = members.iter().position(|(member, _)| member == name);
                place.map(|place| members.remove(place).1)
            }
            Node::Array(items) => {
                self.charge(items.len())?;
                position(name).filter(|place| *place < items.len()).map(|place| items.remove(place))
            }
            _ => None,
        };
        taken.ok_or_else(|| self.unfit("the path does not exist", path))
    }

    fn invalid(&self, problem: &'static str) -> PatchError {
        PatchError::Invalid { index: Some(self.index), problem }
    }

    fn unfit(&self, problem: &'static str, path: &[String]) -> PatchError {
        let pointer = path.iter().map(|name| format!("/{}", escaped(name)));
        let pointer = pointer.collect::<String>().chars().take(200).collect();
        PatchError::Unfit { index: self.index, problem, pointer }
    }
}

/// Returns the nesting depth of arrays and objects.
fn depth(node: &Node<'_>) -> usize {
    match node {
        Node::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Node::Object(members) => 1 + members.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        _ => 0,
    }
}

/// Escapes a name for a pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Replaces `~1` by `/` and `~0` by `~`. No other character may follow `~`.
fn unescaped(name: &str) -> Option<String> {
    let valid = name.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    valid.then(|| name.replace("~1", "/").replace("~0", "~"))
}

/// Parses an array index, which has no leading zeros.
fn position(name: &str) -> Option<usize> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    name.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests;
