//! Runtime members: what a running engine reports, as opposed to what people write.
//!
//! The SQL function `strom_content` in `migrations/` does the same. A test compares the two.

#[cfg_attr(not(feature = "json"), expect(dead_code, reason = "only the JSON backend uses it"))]
mod marks;

use std::collections::{HashMap, HashSet};

use super::{Flow, Node, Refusal};

/// Whether the runtime members count: `running`, `gst_state`, `block_health` and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// The whole document.
    Include,
    /// Only what people write.
    Exclude,
}

const IN_FLOW: [&str; 4] = ["running", "gst_state", "state", "block_health"];
const IN_PROPERTIES: [&str; 5] = ["clock_sync_status", "ptp_info", "ntp_info", "thread_priority_status", "started_at"];
const IN_BLOCK: [&str; 2] = ["runtime_data", "computed_external_pads"];

impl<'a> Node<'a> {
    /// Removes the runtime members. Also removes `properties` if they contained nothing else: a report must not look
    /// like an edit.
    pub(super) fn strip_runtime(&mut self) {
        remove_all(self, &IN_FLOW);
        let Self::Object(members) = self else { return };
        for (name, value) in members.iter_mut() {
            match (name.as_ref(), value) {
                ("properties", properties) => remove_all(properties, &IN_PROPERTIES),
                ("blocks", Self::Array(blocks)) => blocks.iter_mut().for_each(|block| remove_all(block, &IN_BLOCK)),
                _ => {}
            }
        }
        members.retain(|(name, value)| !(name == "properties" && *value == Self::Object(Vec::new())));
    }

    /// Restores what [`strip_runtime`](Self::strip_runtime) removed: the runtime members of the current document, and
    /// for blocks that it does not contain, those of the other document.
    pub(super) fn take_runtime(&mut self, current: &Self, other: &Self) {
        self.take_runtime_except(current, other, &HashSet::new());
    }

    /// As [`take_runtime`](Self::take_runtime), but prefers the other document at these places.
    fn take_runtime_except(&mut self, current: &Self, other: &Self, places: &HashSet<Place>) {
        let (reported, others) = (blocks(current), blocks(other));
        let current = if places.contains(&Place::Flow) { other } else { current };
        take_all(self, current, &IN_FLOW);
        if self.get("properties").is_none() && current.get("properties").is_some_and(has_reports) {
            self.set("properties", Self::Object(Vec::new()));
        }
        let Self::Object(members) = self else { return };
        for (name, value) in members.iter_mut() {
            match (name.as_ref(), value) {
                ("properties", properties) => {
                    if let Some(current) = current.get("properties") {
                        take_all(properties, current, &IN_PROPERTIES);
                    }
                }
                ("blocks", Self::Array(blocks)) => {
                    let mut seen = HashMap::new();
                    for block in blocks {
                        let key = nth(block, &mut seen);
                        let (reported, other) = (reported.get(&key), others.get(&key));
                        let from =
                            if places.contains(&Place::Block(key)) { other.or(reported) } else { reported.or(other) };
                        if let Some(from) = from {
                            take_all(block, from, &IN_BLOCK);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

impl Flow {
    /// Returns what people wrote in this document, with the runtime members of `current`. Blocks that `current` does
    /// not contain keep those of this document. For a save that must not undo a report.
    ///
    /// # Errors
    /// A [`Refusal`] for a document that was written by SQL and that [`Flow::parse`] rejects, or if the document
    /// becomes too large.
    ///
    /// ```
    /// # use strom_store::Flow;
    /// # let id = "6f1d3c5e-0000-4000-8000-000000000001";
    /// # let flow = |members: &str| Flow::parse(&format!(r#"{{"id":"{id}",{members}}}"#));
    /// let edited = flow(r#""name":"b","gst_state":"Null""#)?;
    /// let current = flow(r#""name":"a","gst_state":"Playing","running":true"#)?;
    /// let saved = flow(r#""name":"b","running":true,"gst_state":"Playing""#)?;
    /// assert_eq!(edited.with_runtime_of(&current)?.document().get(), saved.document().get());
    /// # Ok::<(), strom_store::Refusal>(())
    /// ```
    pub fn with_runtime_of(&self, current: &Self) -> Result<Self, Refusal> {
        let (yours, current) = (self.node()?, current.node()?);
        if has_runtime_of(&yours, &current) {
            return Ok(self.clone());
        }
        let mut merged = yours.clone();
        merged.strip_runtime();
        if merged.get("properties").is_none() && matches!(yours.get("properties"), Some(Node::Object(_))) {
            merged.set("properties", Node::Object(Vec::new()));
        }
        merged.take_runtime(&current, &yours);
        Self::from_node(merged)
    }

    /// Returns whether both documents have the same meaning, runtime members included.
    ///
    /// # Errors
    /// A [`Refusal`] for a document that was written by SQL and that [`Flow::parse`] rejects.
    pub fn same_as(&self, other: &Self) -> Result<bool, Refusal> {
        Ok(self.document().get() == other.document().get() || self.node()?.same_value(&other.node()?))
    }
}

/// A part of a document that has runtime members.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    /// The flow and its properties.
    Flow,
    Block(Nth),
}

/// The id of a block and its number among the blocks with the same id.
type Nth = (Option<String>, usize);

fn nth(block: &Node<'_>, seen: &mut HashMap<Option<String>, usize>) -> Nth {
    let id = block.get("id").and_then(Node::as_str).map(str::to_owned);
    let count = seen.entry(id.clone()).or_default();
    *count += 1;
    (id, *count)
}

fn blocks<'n, 'a>(node: &'n Node<'a>) -> HashMap<Nth, &'n Node<'a>> {
    let mut seen = HashMap::new();
    let blocks = node.get("blocks").map_or(&[][..], Node::items);
    blocks.iter().map(|block| (nth(block, &mut seen), block)).collect()
}

/// Returns whether the runtime members of the current document would replace none in this one. True for most saves.
fn has_runtime_of(node: &Node<'_>, current: &Node<'_>) -> bool {
    let same = |ours: Option<&Node<'_>>, theirs: Option<&Node<'_>>| match (ours, theirs) {
        (Some(ours), Some(theirs)) => ours.same_value(theirs),
        (None, None) => true,
        _ => false,
    };
    let same_members = |ours: Option<&Node<'_>>, theirs: Option<&Node<'_>>, names: &[&str]| {
        names.iter().all(|name| same(ours.and_then(|node| node.get(name)), theirs.and_then(|node| node.get(name))))
    };
    let reported = blocks(current);
    same_members(Some(node), Some(current), &IN_FLOW)
        && same_members(node.get("properties"), current.get("properties"), &IN_PROPERTIES)
        && blocks(node).into_iter().all(|(nth, block)| {
            reported.get(&nth).is_none_or(|reported| same_members(Some(block), Some(reported), &IN_BLOCK))
        })
}

fn has_reports(properties: &Node<'_>) -> bool {
    IN_PROPERTIES.iter().any(|name| properties.get(name).is_some())
}

fn take_all<'a>(object: &mut Node<'a>, from: &Node<'a>, names: &[&'static str]) {
    for name in names {
        if let Some(value) = from.get(name) {
            object.set(name, value.clone());
        }
    }
}

fn remove_all(object: &mut Node<'_>, names: &[&str]) {
    if let Node::Object(members) = object {
        members.retain(|(name, _)| !names.contains(&name.as_ref()));
    }
}

#[cfg(test)]
mod tests {
    use crate::flow::{Flow, Runtime};

    const ID: &str = r#""id":"6f1d3c5e-0000-4000-8000-000000000001""#;

    #[test]
    fn only_what_people_wrote_stays() {
        let reported = format!(
            r#"{{{ID},"name":"a","running":true,"gst_state":"Playing","block_health":[1],
                 "blocks":[{{"id":"b","runtime_data":{{}},"computed_external_pads":null,"x":1}}],
                 "properties":{{"started_at":"now","ptp_info":{{}}}},"nested":{{"running":1}}}}"#
        );
        let content = Flow::parse(&reported).unwrap().canonical(Runtime::Exclude).unwrap();
        assert_eq!(content, format!(r#"{{"blocks":[{{"id":"b","x":1}}],{ID},"name":"a","nested":{{"running":1}}}}"#));
    }
}
