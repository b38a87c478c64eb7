//! The part of a document that the store itself reads.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::refusal::{Path, Reason, Refusal};
use super::{MAX_NAME, MAX_SIZE, Node};

/// The id of a flow: a UUID (RFC 9562), printed hyphenated and in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct FlowId(Uuid);

impl FlowId {
    /// The UUID itself.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for FlowId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Takes hyphenated, simple and URN forms in either case.
impl FromStr for FlowId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// The state of a GStreamer pipeline, as the document reports it.
/// Source: <https://gstreamer.freedesktop.org/documentation/additional/design/states.html>.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
pub enum GstState {
    /// Not started; also what a document without a state means.
    #[default]
    Null,
    /// Resources are there.
    Ready,
    /// Prerolled.
    Paused,
    /// On air.
    Playing,
}

impl GstState {
    /// Its name in documents and in the `state` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "Null",
            Self::Ready => "Ready",
            Self::Paused => "Paused",
            Self::Playing => "Playing",
        }
    }
}

/// Takes the four names as documents spell them.
impl FromStr for GstState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Null, Self::Ready, Self::Paused, Self::Playing]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownState)
    }
}

/// A text that is none of the four states.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a state is one of `Null`, `Ready`, `Paused`, `Playing`")]
pub struct UnknownState;

/// What the store reads of a document; enough for lists, filters and look-ups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The id.
    pub id: FlowId,
    /// The name, exactly as written.
    pub name: String,
    /// `gst_state`, or `state` in documents before 2026-03-19; `Null` when there is none or it is unknown.
    pub state: GstState,
    /// `properties.auto_restart`; false when there is none.
    pub auto_restart: bool,
    /// Bytes of the text that PostgreSQL prints for the document, the same in every backend.
    pub size: u64,
    /// Number of elements.
    pub elements: u32,
    /// Number of blocks.
    pub blocks: u32,
    /// Number of links.
    pub links: u32,
}

impl Head {
    /// Reads and checks the head. A member we do not need may have any type; it is then worth a warning.
    pub(super) fn of(node: &Node<'_>) -> Result<Self, Refusal> {
        if !matches!(node, Node::Object(_)) {
            return Err(Reason::WrongType { expected: "an object", found: node.kind() }.at(Path::default()));
        }
        let id = string(node, "id")?.parse().map_err(|_| Reason::NotAUuid.at(Path::member("id")))?;
        let name = string(node, "name")?.to_owned();
        check_name(&name).map_err(|reason| reason.at(Path::member("name")))?;
        let size = node.jsonb_len();
        if size > MAX_SIZE {
            return Err(Reason::TooLarge.at(Path::default()));
        }
        let auto_restart = node.get("properties").and_then(|properties| properties.get("auto_restart"));
        let count = |member| node.get(member).map_or(0, |array| array.items().len() as u32);
        Ok(Self {
            id,
            name,
            state: state(node),
            auto_restart: auto_restart == Some(&Node::Bool(true)),
            size: size as u64,
            elements: count("elements"),
            blocks: count("blocks"),
            links: count("links"),
        })
    }
}

/// Whether a document says that its flow goes with the process.
pub(super) fn is_ephemeral(node: &Node<'_>) -> bool {
    node.get("properties").and_then(|properties| properties.get("ephemeral")) == Some(&Node::Bool(true))
}

/// When a document says that it was modified (RFC 3339).
pub(super) fn modified(node: &Node<'_>) -> Option<DateTime<Utc>> {
    node.get("properties")?.get("last_modified")?.as_str()?.parse().ok()
}

/// A document's state: `gst_state` where it is a member, else the older `state`.
fn state(node: &Node<'_>) -> GstState {
    let reported = node.get("gst_state").or_else(|| node.get("state"));
    reported.and_then(Node::as_str).and_then(|state| state.parse().ok()).unwrap_or_default()
}

fn string<'n>(node: &'n Node<'_>, member: &str) -> Result<&'n str, Refusal> {
    let value = node.get(member).ok_or_else(|| Reason::Missing.at(Path::member(member)))?;
    value
        .as_str()
        .ok_or_else(|| Reason::WrongType { expected: "a string", found: value.kind() }.at(Path::member(member)))
}

/// The blanks around a name do not count, but the index over names has to hold them: 2,704 bytes are its limit.
fn check_name(name: &str) -> Result<(), Reason> {
    const MAX_UNTRIMMED: usize = 2_000;
    match name.trim().len() {
        0 => Err(Reason::EmptyName),
        length if length > MAX_NAME => Err(Reason::NameTooLong(length)),
        _ if name.len() > MAX_UNTRIMMED => Err(Reason::NameTooLong(name.len())),
        _ => Ok(()),
    }
}
