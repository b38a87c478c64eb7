//! What no side meant and only both together make: a link to a node that went, and an id that two nodes have.

use std::collections::HashSet;

use super::Merge;
use crate::flow::Node;
use crate::flow::place::Place;
use crate::flow::quote::quote;
use crate::flow::warnings::node_ids;

impl Merge {
    /// A link to a node that only the other side removed. One that somebody left without its end was meant so.
    pub(super) fn check_links(&mut self, merged: &Node<'_>, yours: &Node<'_>, theirs: &Node<'_>) {
        let known: HashSet<_> = [yours, theirs].into_iter().flat_map(loose_ends).map(|(loose, ..)| loose).collect();
        let your_links: HashSet<_> = items(yours, "links").iter().map(ends).collect();
        let list = Place::Root.member("links");
        for (loose, index, link) in loose_ends(merged).into_iter().filter(|(loose, ..)| !known.contains(loose)) {
            let place = list.item(index, link);
            let end = quote("", &Node::String(loose.end.into()));
            let (has, removed, yours, theirs) = match your_links.contains(&loose.link) {
                true => ("yours", "theirs", Some(link), None),
                false => ("theirs", "yours", None, Some(link)),
            };
            let words = format!("{place} is in {has}, and what it ends at, {end}, was removed in {removed}");
            self.note(&place, words, None, yours, theirs);
        }
    }

    /// An id that one side gave to an element and the other to a block.
    pub(super) fn check_ids(&mut self, merged: &Node<'_>, yours: &Node<'_>, theirs: &Node<'_>) {
        let known: HashSet<_> = [yours, theirs].into_iter().flat_map(shared_ids).map(|(id, ..)| id).collect();
        let list = Place::Root.member("blocks");
        for (_, index, block) in shared_ids(merged).into_iter().filter(|(id, ..)| !known.contains(id)) {
            let place = list.item(index, block);
            let words = format!("{place} has the id of an element that the other side has");
            self.note(&place, words, None, None, Some(block));
        }
    }
}

fn items<'n, 'a>(node: &'n Node<'a>, list: &str) -> &'n [Node<'a>] {
    node.get(list).map_or(&[], Node::items)
}

/// `from` and `to` of a link, where they are strings.
type Ends<'n> = [Option<&'n str>; 2];

fn ends<'n>(link: &'n Node<'_>) -> Ends<'n> {
    ["from", "to"].map(|end| link.get(end).and_then(Node::as_str))
}

/// An end of a link that no element or block answers to.
#[derive(PartialEq, Eq, Hash)]
struct Loose<'n> {
    link: Ends<'n>,
    end: &'n str,
}

/// All of them, with the place of the link.
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

/// The blocks whose id an element has too, with their place.
fn shared_ids<'n, 'a>(node: &'n Node<'a>) -> Vec<(&'n str, usize, &'n Node<'a>)> {
    let id = |node: &'n Node<'a>| node.get("id").and_then(Node::as_str);
    let elements: HashSet<_> = items(node, "elements").iter().filter_map(id).collect();
    let blocks = items(node, "blocks").iter().enumerate();
    let shared =
        blocks.filter_map(|(index, block)| Some((id(block).filter(|id| elements.contains(id))?, index, block)));
    shared.collect()
}
