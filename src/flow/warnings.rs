//! Suspicious values that can be stored.

use std::collections::HashSet;
use std::fmt;

use super::head::GstState;
use super::node::Node;
use super::refusal::Path;

/// A suspicious value and its path. The document is stored unchanged, including its links.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The JSON path of the suspicious value.
    pub path: Path,
    /// The suspicion.
    pub suspicion: Suspicion,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path, self.suspicion)
    }
}

/// What is suspicious about a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Suspicion {
    /// A known member has another type than engines expect.
    #[error("engines expect {expected}, this is {found}")]
    Unexpected {
        /// The type or values that engines expect.
        expected: &'static str,
        /// The actual type.
        found: &'static str,
    },
    /// Another element or block has the same id.
    #[error("another element or block has the id `{0}`")]
    DuplicateId(String),
    /// No element or block has the id of this end of a link.
    #[error("no element or block has the id of this end, `{0}`")]
    DanglingLink(String),
    /// A position or one of its coordinates is null. Older versions write this for an infinite one.
    #[error("the position is null")]
    NullPosition,
}

/// Returns all warnings of a document, in the order of elements, blocks, links and the rest.
pub(super) fn find(node: &Node<'_>) -> Vec<Warning> {
    let mut found = Warnings(Vec::new());
    let mut ids = HashSet::new();
    for list in ["elements", "blocks"] {
        found.check_type(node, Path::default(), list, "an array", |value| matches!(value, Node::Array(_)));
        for (index, item) in array(node, list).iter().enumerate() {
            let path = Path::member(list).then_index(index);
            match item.get("id") {
                Some(Node::String(id)) if !ids.insert(id.as_ref()) => {
                    found.add(path.clone().then_member("id"), Suspicion::DuplicateId(id.to_string()));
                }
                Some(Node::String(_)) => {}
                other => found.unexpected(path.clone().then_member("id"), "a string", other),
            }
            found.check_values(item, &path);
            found.check_position(item, path.then_member("position"));
        }
    }
    found.check_type(node, Path::default(), "links", "an array", |value| matches!(value, Node::Array(_)));
    for (index, link) in array(node, "links").iter().enumerate() {
        for end in ["from", "to"] {
            let path = Path::member("links").then_index(index).then_member(end);
            match link.get(end) {
                Some(Node::String(text)) if node_ids(text).iter().any(|id| ids.contains(id)) => {}
                Some(Node::String(text)) => found.add(path, Suspicion::DanglingLink(text.to_string())),
                other => found.unexpected(path, "a string", other),
            }
        }
    }
    for state in ["gst_state", "state"] {
        found.check_type(node, Path::default(), state, "`Null`, `Ready`, `Paused`, `Playing` or null", |value| {
            *value == Node::Null || value.as_str().is_some_and(|text| text.parse::<GstState>().is_ok())
        });
    }
    found.check_type(node, Path::default(), "running", "a boolean", is_bool);
    found.check_type(node, Path::default(), "properties", "an object", |value| matches!(value, Node::Object(_)));
    if let Some(properties) = node.get("properties") {
        for (member, expected, is_expected) in PROPERTIES {
            found.check_type(properties, Path::member("properties"), member, expected, is_expected);
        }
    }
    found.0
}

type Expectation = (&'static str, &'static str, fn(&Node<'_>) -> bool);

/// The properties of a flow that engines decode, with the values that they accept. `null` means absent for the optional ones.
const PROPERTIES: [Expectation; 9] = [
    ("auto_restart", "a boolean", is_bool),
    ("ephemeral", "a boolean", is_bool),
    ("description", "a string or null", |value| is_text(value) || *value == Node::Null),
    ("clock_type", "`monotonic`, `realtime`, `ptp`, `ntp` or `tai`", |value| {
        // The last one is from November 2025 and means monotonic.
        is_one_of(value, &["monotonic", "realtime", "ptp", "ntp", "tai", "pipeline_default"])
    }),
    ("thread_priority", "`normal`, `high` or `realtime`", |value| is_one_of(value, &["normal", "high", "realtime"])),
    ("cpu_affinity", "`off` or `single_core`", |value| is_one_of(value, &["off", "single_core"])),
    ("ptp_domain", "an integer from 0 to 255 or null", |value| is_integer(value, 255) || *value == Node::Null),
    ("ntp_port", "an integer from 0 to 65535 or null", |value| is_integer(value, 65_535) || *value == Node::Null),
    ("ntp_server", "a string or null", |value| is_text(value) || *value == Node::Null),
];

fn is_bool(value: &Node<'_>) -> bool {
    matches!(value, Node::Bool(_))
}

fn is_text(value: &Node<'_>) -> bool {
    matches!(value, Node::String(_))
}

fn is_one_of(value: &Node<'_>, known: &[&str]) -> bool {
    value.as_str().is_some_and(|text| known.contains(&text))
}

fn is_integer(value: &Node<'_>, maximum: u64) -> bool {
    matches!(value, Node::Number(text) if text.parse::<u64>().is_ok_and(|number| number <= maximum))
}

struct Warnings(Vec<Warning>);

impl Warnings {
    fn add(&mut self, path: Path, suspicion: Suspicion) {
        self.0.push(Warning { path, suspicion });
    }

    fn unexpected(&mut self, path: Path, expected: &'static str, found: Option<&Node<'_>>) {
        self.add(path, Suspicion::Unexpected { expected, found: found.map_or("missing", Node::kind) });
    }

    fn check_type(
        &mut self,
        object: &Node<'_>,
        path: Path,
        member: &str,
        expected: &'static str,
        is_expected: impl Fn(&Node<'_>) -> bool,
    ) {
        if let Some(value) = object.get(member).filter(|value| !is_expected(value)) {
            self.unexpected(path.then_member(member), expected, Some(value));
        }
    }

    /// Checks the values of `properties` and `pad_properties`: strings, numbers and booleans.
    fn check_values(&mut self, item: &Node<'_>, path: &Path) {
        self.check_properties(item.get("properties"), &path.clone().then_member("properties"));
        let path = path.clone().then_member("pad_properties");
        match item.get("pad_properties") {
            Some(Node::Object(pads)) => {
                for (pad, properties) in pads {
                    self.check_properties(Some(properties), &path.clone().then_member(pad));
                }
            }
            None => {}
            other => self.unexpected(path, "an object", other),
        }
    }

    fn check_properties(&mut self, properties: Option<&Node<'_>>, path: &Path) {
        match properties {
            Some(Node::Object(members)) => {
                for (name, value) in members {
                    if !matches!(value, Node::String(_) | Node::Number(_) | Node::Bool(_)) {
                        let path = path.clone().then_member(name);
                        self.unexpected(path, "a string, a number or a boolean", Some(value));
                    }
                }
            }
            None => {}
            other => self.unexpected(path.clone(), "an object", other),
        }
    }

    /// Checks `[x, y]` in elements and `{x, y}` in blocks. Documents before 2025-11-18 have no position, which is
    /// valid.
    fn check_position(&mut self, item: &Node<'_>, path: Path) {
        let is_null = |value: &Node<'_>| *value == Node::Null;
        let null = match item.get("position") {
            Some(Node::Array(coordinates)) => coordinates.iter().any(is_null),
            Some(Node::Object(coordinates)) => coordinates.iter().any(|(_, value)| is_null(value)),
            Some(position) => is_null(position),
            None => false,
        };
        if null {
            self.add(path, Suspicion::NullPosition);
        }
    }
}

fn array<'n, 'a>(node: &'n Node<'a>, member: &str) -> &'n [Node<'a>] {
    node.get(member).map_or(&[], Node::items)
}

/// Returns the ids that an end of a link may refer to: `id`, `id::`, or `id:pad` with the pad after the last colon. An
/// id may contain colons, so several readings are possible.
pub(super) fn node_ids(end: &str) -> [&str; 3] {
    let without_pad = end.rsplit_once(':').map_or(end, |(id, _)| id);
    [end, end.strip_suffix("::").unwrap_or(end), without_pad]
}

#[cfg(test)]
mod tests {
    use crate::flow::Flow;

    fn warnings(members: &str) -> Vec<String> {
        let text = format!(r#"{{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"a",{members}}}"#);
        Flow::parse(&text).unwrap().warnings().unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_may_name_a_node_in_four_ways() {
        let members = r#""elements":[{"id":"a"},{"id":"b:c"}],
            "links":[{"from":"a:src","to":"b:c:sink"},{"from":"a","to":"b:c"},{"from":"a::","to":"b:c::"}]"#;
        assert_eq!(warnings(members), [""; 0]);
    }

    #[test]
    fn suspicious_values_are_named() {
        let members = r#""elements":[{"id":"a","position":[null,0.0]},{"id":"a","position":null},{}],
            "blocks":7,"links":[{"from":"x:src","to":"a"},{"to":1}],"gst_state":"Weird",
            "running":"true","properties":{"auto_restart":"yes","clock_type":"sundial","ptp_domain":256,"x":null}"#;
        let expected = [
            "`$.elements[0].position`: the position is null",
            "`$.elements[1].id`: another element or block has the id `a`",
            "`$.elements[1].position`: the position is null",
            "`$.elements[2].id`: engines expect a string, this is missing",
            "`$.blocks`: engines expect an array, this is a number",
            "`$.links[0].from`: no element or block has the id of this end, `x:src`",
            "`$.links[1].from`: engines expect a string, this is missing",
            "`$.links[1].to`: engines expect a string, this is a number",
            "`$.gst_state`: engines expect `Null`, `Ready`, `Paused`, `Playing` or null, this is a string",
            "`$.running`: engines expect a boolean, this is a string",
            "`$.properties.auto_restart`: engines expect a boolean, this is a string",
            "`$.properties.clock_type`: engines expect `monotonic`, `realtime`, `ptp`, `ntp` or `tai`, this is a string",
            "`$.properties.ptp_domain`: engines expect an integer from 0 to 255 or null, this is a number",
        ];
        assert_eq!(warnings(members), expected);
    }

    #[test]
    fn values_of_properties_are_strings_numbers_and_booleans() {
        let members = r#""elements":[{"id":"a","properties":{"x":null,"y":1.5,"z":"","w":true},"pad_properties":{"p":{"v":[1]}}}],
            "blocks":[{"id":"b","properties":{"o":{}}},{"id":"c","properties":7}]"#;
        let expected = [
            "`$.elements[0].properties.x`: engines expect a string, a number or a boolean, this is null",
            "`$.elements[0].pad_properties.p.v`: engines expect a string, a number or a boolean, this is an array",
            "`$.blocks[0].properties.o`: engines expect a string, a number or a boolean, this is an object",
            "`$.blocks[1].properties`: engines expect an object, this is a number",
        ];
        assert_eq!(warnings(members), expected);
    }
}
