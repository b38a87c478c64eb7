//! A location in a document during a traversal. It lives on the stack and becomes a path only on demand.

use std::fmt;

use super::Node;
use super::refusal::{Path, shortened};

/// A location in a document, with the locations that contain it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Location<'p> {
    Root,
    /// The member with this name.
    Member(&'p Location<'p>, &'p str),
    /// The item at this index of a list whose items have a key.
    Item(&'p Location<'p>, usize, &'p Node<'p>),
}

impl<'p> Location<'p> {
    pub(super) fn member(&'p self, name: &'p str) -> Self {
        Self::Member(self, name)
    }

    pub(super) fn item(&'p self, index: usize, item: &'p Node<'p>) -> Self {
        Self::Item(self, index, item)
    }

    pub(super) fn path(&self) -> Path {
        match self {
            Self::Root => Path::default(),
            Self::Member(outer, name) => outer.path().then_member(name),
            Self::Item(outer, index, _) => outer.path().then_index(*index),
        }
    }

    /// Returns the name of the member that it is, or that contains the item.
    pub(super) fn name(&self) -> &'p str {
        match self {
            Self::Root => "",
            Self::Member(_, name) => name,
            Self::Item(outer, ..) => outer.name(),
        }
    }

    /// Returns the description of the node or link that contains it, and the path from there.
    fn parts(&self) -> (Option<String>, Path) {
        match self {
            Self::Root => (None, Path::default()),
            Self::Item(list, _, item) => (Some(called(list.name(), item)), Path::default()),
            Self::Member(outer, name) => {
                let (node, inside) = outer.parts();
                (node, inside.then_member(name))
            }
        }
    }
}

/// Prints `` `name` ``, ``element `mix` (audiomixer)``, ``element `mix` (audiomixer): `properties.gain` ``.
impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, inside) = self.parts();
        let inside = inside.to_string();
        let inside = inside.trim_start_matches('$').trim_start_matches('.');
        match (node, inside) {
            (Some(node), "") => f.write_str(&node),
            (Some(node), inside) => write!(f, "{node}: `{inside}`"),
            (None, "") => f.write_str("the document"),
            (None, inside) => write!(f, "`{inside}`"),
        }
    }
}

/// Describes an item of a list.
fn called(list: &str, item: &Node<'_>) -> String {
    let text = |member| item.get(member).and_then(Node::as_str).map(shortened);
    let id = text("id");
    let (noun, kind) = match list {
        "elements" => ("element", text("element_type")),
        "blocks" => ("block", text("block_definition_id")),
        _ => {
            let ends = format!("`{}` to `{}`", text("from").unwrap_or_default(), text("to").unwrap_or_default());
            return format!("link {ends}");
        }
    };
    let kind = kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
    format!("{noun} `{}`{kind}", id.unwrap_or_default())
}
