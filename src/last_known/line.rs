//! The lines of the file, each with a checksum.
//!
//! | member | content |
//! |---|---|
//! | `strom` | the header, which is the first line: format and database |
//! | `flow` | a flow |
//! | `gone` | a deleted flow |
//! | `as_of` | the time at which the database had the state of the lines before it |

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::disk::sealed;
use crate::flow::{Flow, FlowId, Head};
use crate::repository::{Author, Revision, Stored, Version};

/// The current format. Files of other formats are ignored.
pub(super) const FORMAT: u32 = 1;
const KIND: &str = "last known flows";

/// The content of a line.
#[derive(Debug)]
pub(super) enum Line {
    /// The format and the database of the file.
    Header {
        format: u32,
        location: String,
    },
    Flow(Stored<Flow>),
    Deleted(FlowId),
    AsOf {
        at: DateTime<Utc>,
        is_complete: bool,
    },
}

/// The members of all kinds of lines.
#[derive(Default, Serialize, Deserialize)]
struct Members<'a> {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    strom: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    format: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    location: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default, borrow)]
    flow: Option<FlowMembers<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    gone: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    as_of: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    complete: Option<bool>,
}

/// A flow with its head. The head is stored because the parser may reject a document that was written by SQL.
#[derive(Serialize, Deserialize)]
struct FlowMembers<'a> {
    id: Uuid,
    name: Cow<'a, str>,
    state: Cow<'a, str>,
    auto_restart: bool,
    size: u64,
    elements: u32,
    blocks: u32,
    links: u32,
    revision: u64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    author: Cow<'a, str>,
    #[serde(borrow)]
    document: &'a RawValue,
}

pub(super) fn print_header(out: &mut Vec<u8>, location: &str) {
    let (strom, location) = (Some(KIND.into()), Some(location.into()));
    sealed::seal(out, &Members { strom, format: Some(FORMAT), location, ..Members::default() });
}

pub(super) fn print_flow(out: &mut Vec<u8>, Stored { item, version }: &Stored<Flow>) {
    let head = item.head();
    let flow = FlowMembers {
        id: head.id.as_uuid(),
        name: head.name.as_str().into(),
        state: head.state.as_str().into(),
        auto_restart: head.auto_restart,
        size: head.size,
        elements: head.elements,
        blocks: head.blocks,
        links: head.links,
        revision: version.revision.number(),
        created_at: version.created_at,
        updated_at: version.updated_at,
        author: version.author.as_str().into(),
        document: item.document(),
    };
    sealed::seal(out, &Members { flow: Some(flow), ..Members::default() });
}

pub(super) fn print_deleted(out: &mut Vec<u8>, id: FlowId) {
    sealed::seal(out, &Members { gone: Some(id.as_uuid()), ..Members::default() });
}

pub(super) fn print_as_of(out: &mut Vec<u8>, at: DateTime<Utc>, is_complete: bool) {
    sealed::seal(out, &Members { as_of: Some(at), complete: Some(is_complete), ..Members::default() });
}

/// Parses a line without its line end. Returns `None` if it is damaged or not a line of this format.
pub(super) fn parse(line: &[u8]) -> Option<Line> {
    sealed::body(line)?;
    match serde_json::from_slice(line).ok()? {
        Members { flow: Some(flow), .. } => stored(flow).map(Line::Flow),
        Members { gone: Some(id), .. } => Some(Line::Deleted(id.into())),
        Members { as_of: Some(at), complete: Some(is_complete), .. } => Some(Line::AsOf { at, is_complete }),
        Members { strom: Some(strom), format: Some(format), location: Some(location), .. } if strom == KIND => {
            Some(Line::Header { format, location: location.into_owned() })
        }
        _ => None,
    }
}

fn stored(flow: FlowMembers<'_>) -> Option<Stored<Flow>> {
    let head = Head {
        id: flow.id.into(),
        name: flow.name.into_owned(),
        state: flow.state.parse().ok()?,
        auto_restart: flow.auto_restart,
        size: flow.size,
        elements: flow.elements,
        blocks: flow.blocks,
        links: flow.links,
    };
    let version = Version {
        revision: Revision::new(flow.revision),
        created_at: flow.created_at,
        updated_at: flow.updated_at,
        author: Author::new(&flow.author),
    };
    Some(Stored { item: Flow::from_parts(head, flow.document.to_owned()), version })
}

#[cfg(test)]
mod tests {
    use super::{Line, parse, print_as_of, print_deleted, print_flow, print_header};
    use crate::flow::Flow;
    use crate::repository::{Author, Revision, Stored, Version};

    fn stored() -> Stored<Flow> {
        let text = r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"ä \"b\"","n":1.10,"gst_state":"Playing",
            "elements":[{"id":"a"}],"properties":{"auto_restart":true}}"#;
        let at = chrono::DateTime::from_timestamp(1_767_225_600, 1_000).unwrap();
        let (revision, author) = (Revision::new(7), Author::new("é"));
        Stored {
            item: Flow::parse(text).unwrap(),
            version: Version { revision, created_at: at, updated_at: at, author },
        }
    }

    #[test]
    fn what_is_printed_is_read() {
        let stored = stored();
        let mut lines = Vec::new();
        print_header(&mut lines, "postgresql://strom@db:5432/\"flows\"");
        print_flow(&mut lines, &stored);
        print_deleted(&mut lines, stored.item.id());
        print_as_of(&mut lines, stored.version.updated_at, false);
        let lines: Vec<_> = lines.split(|byte| *byte == b'\n').map(parse).collect();
        let [Some(Line::Header { format: 1, location }), Some(Line::Flow(read)), Some(Line::Deleted(id)), as_of, None] =
            lines.as_slice()
        else {
            panic!("{lines:?}")
        };
        assert_eq!(location, "postgresql://strom@db:5432/\"flows\"");
        assert_eq!((read.item.head(), &read.version), (stored.item.head(), &stored.version));
        assert_eq!(read.item.document().get(), stored.item.document().get());
        assert_eq!(*id, stored.item.id());
        let Some(Line::AsOf { at, is_complete: false }) = as_of else { panic!("{as_of:?}") };
        assert_eq!(*at, stored.version.updated_at);
    }

    #[test]
    fn no_damaged_line_is_believed() {
        let mut line = Vec::new();
        print_flow(&mut line, &stored());
        line.pop();
        assert!(parse(&line).is_some());
        for at in 0..line.len() {
            let mut damaged = line.clone();
            damaged[at] ^= 1;
            assert!(parse(&damaged).is_none() && parse(&line[..at]).is_none(), "byte {at}");
        }
    }
}
