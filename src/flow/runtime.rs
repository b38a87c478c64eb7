//! What a running engine reports, told apart from what a person wrote.
//!
//! The function `strom_content` in `migrations/` does the same in SQL; a test compares the two.

use super::Node;

const IN_FLOW: [&str; 4] = ["running", "gst_state", "state", "block_health"];
const IN_PROPERTIES: [&str; 5] = ["clock_sync_status", "ptp_info", "ntp_info", "thread_priority_status", "started_at"];
const IN_BLOCK: [&str; 2] = ["runtime_data", "computed_external_pads"];

impl Node<'_> {
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
