//! What a running engine reports, told apart from what a person wrote.
//!
//! The function `strom_content` in `migrations/` does the same in SQL; a test compares the two.

use std::collections::HashMap;

use super::Node;

const IN_FLOW: [&str; 4] = ["running", "gst_state", "state", "block_health"];
const IN_PROPERTIES: [&str; 5] = ["clock_sync_status", "ptp_info", "ntp_info", "thread_priority_status", "started_at"];
const IN_BLOCK: [&str; 2] = ["runtime_data", "computed_external_pads"];

impl<'a> Node<'a> {
    /// Leaves only what people wrote. Properties that held nothing else go as a whole: a report alone must not look
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

    /// Puts back what [`strip_runtime`](Self::strip_runtime) left out: what the current document reports, and of the
    /// blocks that it does not have, what the other one says of them.
    pub(super) fn take_runtime(&mut self, current: &Self, other: &Self) {
        take_all(self, current, &IN_FLOW);
        let (reported, others) = (blocks(current), blocks(other));
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
                        if let Some(from) = reported.get(&key).or_else(|| others.get(&key)) {
                            take_all(block, from, &IN_BLOCK);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// The id of a block, and how many before it have the same.
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
        let content = Flow::parse(&reported).unwrap().canonical(Runtime::Left).unwrap();
        assert_eq!(content, format!(r#"{{"blocks":[{{"id":"b","x":1}}],{ID},"name":"a","nested":{{"running":1}}}}"#));
    }
}
