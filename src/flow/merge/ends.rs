//! Problems that neither side has and only the merge creates: a link to a removed node, and an id that two nodes have.

use std::collections::HashSet;

use super::Merge;
use crate::flow::Node;
use crate::flow::location::Location;
use crate::flow::quote::quote;
use crate::flow::warnings::node_ids;

impl Merge {
    /// Reports links to a node that only the other side removed. A link without an end on one side was intended.
    pub(super) fn check_links(&mut self, merged: &Node<'_>, yours: &Node<'_>, theirs: &Node<'_>) {
        let known: HashSet<_> = [yours, theirs].into_iter().flat_map(loose_ends).map(|(loose, ..)| loose).collect();
        let your_links: HashSet<_> = items(yours, "links").iter().map(ends).collect();
        let list = Location::Root.member("links");
        for (loose, index, link) in loose_ends(merged).into_iter().filter(|(loose, ..)| !known.contains(loose)) {
            let location = list.item(index, link);
            let end = quote("", &Node::String(loose.end.into()));
            let (has, removed, yours, theirs) = match your_links.contains(&loose.link) {
                true => ("yours", "theirs", Some(link), None),
                false => ("theirs", "yours", None, Some(link)),
            };
            let words = format!("{location} is in {has}, but its end {end} was removed in {removed}");
            self.note(&location, words, None, yours, theirs);
        }
    }

    /// Reports an id that one side gave to an element and the other to a block.
    pub(super) fn check_ids(&mut self, merged: &Node<'_>, yours: &Node<'_>, theirs: &Node<'_>) {
        let known: HashSet<_> = [yours, theirs].into_iter().flat_map(shared_ids).map(|(id, ..)| id).collect();
        let list = Location::Root.member("blocks");
        for (_, index, block) in shared_ids(merged).into_iter().filter(|(id, ..)| !known.contains(id)) {
            let location = list.item(index, block);
            let words = format!("{location} has the same id as an element of the other side");
            self.note(&location, words, None, None, Some(block));
        }
    }
}

fn items<'n, 'a>(node: &'n Node<'a>, list: &str) -> &'n [Node<'a>] {
    node.get(list).map_or(&[], Node::items)
}

/// `from` and `to` of a link, if they are strings.
type Ends<'n> = [Option<&'n str>; 2];

fn ends<'n>(link: &'n Node<'_>) -> Ends<'n> {
    ["from", "to"].map(|end| link.get(end).and_then(Node::as_str))
}

/// An end of a link without an element or block.
#[derive(PartialEq, Eq, Hash)]
struct Loose<'n> {
    link: Ends<'n>,
    end: &'n str,
}

/// Returns all such ends with the index of their link.
fn loose_ends<'n, 'a>(node: &'n Node<'a>) -> Vec<(Loose<'n>, usize, &'n Node<'a>)> {
    let nodes = [items(node, "elements"), items(node, "blocks")].into_iter().flatten();
    let ids: HashSet<_> = nodes.filter_map(|node| node.get("id").and_then(Node::as_str)).collect();
    let mut found = Vec::new();
    for (index, link) in items(node, "links").iter().enumerate() {
        let loose = ends(link).into_iter().flatten().filter(|end| !node_ids(end).iter().any(|id| ids.contains(id)));
        found.extend(loose.map(|end| (Loose { link: ends(link), end }, index, link)));
    }
    found
}

/// Returns the blocks whose id an element also has, with their index.
fn shared_ids<'n, 'a>(node: &'n Node<'a>) -> Vec<(&'n str, usize, &'n Node<'a>)> {
    let id = |node: &'n Node<'a>| node.get("id").and_then(Node::as_str);
    let elements: HashSet<_> = items(node, "elements").iter().filter_map(id).collect();
    let blocks = items(node, "blocks").iter().enumerate();
    let shared =
        blocks.filter_map(|(index, block)| Some((id(block).filter(|id| elements.contains(id))?, index, block)));
    shared.collect()
}
