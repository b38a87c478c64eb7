//! Merges edited runtime members with reported ones, from hashes of those that the editor may have read.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::{IN_BLOCK, IN_FLOW, IN_PROPERTIES, Place, blocks};
use crate::flow::{Flow, Node, Refusal};

impl Flow {
    /// Returns a hash for each part of the document that has runtime members: the flow, and each block. Files contain these
    /// hashes, so they must not change.
    pub(crate) fn runtime_marks(&self) -> Result<HashSet<u64>, Refusal> {
        Ok(marks(&self.node()?).into_values().collect())
    }

    /// Returns this document with the runtime members of the current one, or with the edited ones where an editor has
    /// changed them and no report did. `read` contains the marks that the editor may have read.
    pub(crate) fn with_runtime(&self, current: &Self, edited: &Self, read: &HashSet<u64>) -> Result<Self, Refusal> {
        let (mut node, current, edited) = (self.node()?, current.node()?, edited.node()?);
        let (now, then) = (marks(&current), marks(&edited));
        let is_edit = |place: &Place, mark: &u64| {
            !read.contains(mark) && now.get(place).is_some_and(|now| now != mark && read.contains(now))
        };
        let edits = then.iter().filter(|(place, mark)| is_edit(place, mark)).map(|(place, _)| place.clone()).collect();
        node.strip_runtime();
        node.take_runtime_except(&current, &edited, &edits);
        Self::from_node(node)
    }
}

fn marks(node: &Node<'_>) -> HashMap<Place, u64> {
    let properties = node.get("properties");
    let in_flow = IN_FLOW.iter().map(|name| node.get(name));
    let in_properties = IN_PROPERTIES.iter().map(|name| properties.and_then(|properties| properties.get(name)));
    let flow = (Place::Flow, in_flow.chain(in_properties).collect::<Vec<_>>());
    let blocks = blocks(node).into_iter().map(|(nth, block)| {
        let values = IN_BLOCK.iter().map(|name| block.get(name)).collect();
        (Place::Block(nth), values)
    });
    std::iter::once(flow).chain(blocks).map(|(place, values)| (place.clone(), mark(&place, &values))).collect()
}

fn mark(place: &Place, values: &[Option<&Node<'_>>]) -> u64 {
    let mut hasher = Sha256::new();
    if let Place::Block((id, count)) = place {
        hasher.update(format!("{id:?} {count}\n"));
    }
    for value in values {
        hasher.update(value.map(Node::to_canonical).unwrap_or_default());
        hasher.update("\n");
    }
    let digest: [u8; 32] = hasher.finalize().into();
    digest.iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::flow::{Flow, Runtime};

    fn flow(members: &str) -> Flow {
        Flow::parse(&format!(r#"{{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"a",{members}}}"#)).unwrap()
    }

    fn read(flows: &[&Flow]) -> HashSet<u64> {
        flows.iter().flat_map(|flow| flow.runtime_marks().unwrap()).collect()
    }

    fn same(a: &Flow, b: &Flow) -> bool {
        a.canonical(Runtime::Include).unwrap() == b.canonical(Runtime::Include).unwrap()
    }

    #[test]
    fn report_remains_unless_only_the_editor_changed_the_member() {
        let base = flow(r#""running":false,"blocks":[{"id":"b","runtime_data":1}]"#);
        let report = flow(r#""running":true,"blocks":[{"id":"b","runtime_data":1}]"#);
        let edited =
            flow(r#""x":1,"running":false,"blocks":[{"id":"b","runtime_data":2},{"id":"c","runtime_data":3}]"#);
        let merged = edited.with_runtime(&report, &edited, &read(&[&base])).unwrap();
        let expected = r#""x":1,"running":true,"blocks":[{"id":"b","runtime_data":2},{"id":"c","runtime_data":3}]"#;
        assert!(same(&merged, &flow(expected)), "{}", merged.document());
        // Both changed the block: the report remains.
        let report = flow(r#""running":false,"blocks":[{"id":"b","runtime_data":9}]"#);
        let merged = base.with_runtime(&report, &edited, &read(&[&base])).unwrap();
        assert!(same(&merged, &report), "{}", merged.document());
        // The editor had read an older report.
        let merged = base.with_runtime(&report, &base, &read(&[&base, &report])).unwrap();
        assert!(same(&merged, &report), "{}", merged.document());
        // The editor removed the report.
        let merged = base.with_runtime(&report, &flow(r#""blocks":[]"#), &read(&[&base, &report])).unwrap();
        assert!(same(&merged, &flow(r#""blocks":[{"id":"b","runtime_data":9}]"#)), "{}", merged.document());
    }
}
