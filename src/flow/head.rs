//! The part of a document that the store reads.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::limits::{MAX_NAME, MAX_SIZE};
use super::node::Node;
use super::refusal::{Path, Reason, Refusal};

/// The id of a flow: a UUID (RFC 9562), printed hyphenated and in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct FlowId(Uuid);

impl FlowId {
    /// Returns the UUID.
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

/// Accepts hyphenated, simple and URN forms in either case.
impl FromStr for FlowId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// The state of a GStreamer pipeline in a document. GStreamer has exactly these four states
/// (<https://gstreamer.freedesktop.org/documentation/additional/design/states.html>).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
pub enum GstState {
    /// Not started. Also the state of a document without one.
    #[default]
    Null,
    /// Resources are allocated.
    Ready,
    /// Prerolled.
    Paused,
    /// On air.
    Playing,
}

impl GstState {
    /// Returns the name in documents and in the column `state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "Null",
            Self::Ready => "Ready",
            Self::Paused => "Paused",
            Self::Playing => "Playing",
        }
    }
}

/// Parses the four names as documents spell them.
impl FromStr for GstState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Null, Self::Ready, Self::Paused, Self::Playing]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownState)
    }
}

/// The error for a text that is not one of the four states.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a state is one of `Null`, `Ready`, `Paused`, `Playing`")]
#[non_exhaustive]
pub struct UnknownState;

/// The values that lists, filters and look-ups need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The id.
    pub id: FlowId,
    /// The name, exactly as written.
    pub name: String,
    /// `gst_state`, or `state` in documents before 2026-03-19. `Null` if absent or unknown.
    pub state: GstState,
    /// `properties.auto_restart`, or false if absent.
    pub auto_restart: bool,
    /// The size in bytes of the text that PostgreSQL prints for the document. It is the same in every backend.
    pub size: u64,
    /// Number of elements.
    pub elements: u32,
    /// Number of blocks.
    pub blocks: u32,
    /// Number of links.
    pub links: u32,
}

impl Head {
    /// Reads and checks the head. Other members may have any type, which leads to a warning.
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

/// Whether the flow exists in memory only.
pub(super) fn is_ephemeral(node: &Node<'_>) -> bool {
    node.get("properties").and_then(|properties| properties.get("ephemeral")) == Some(&Node::Bool(true))
}

/// Returns `properties.last_modified` (RFC 3339).
pub(super) fn modified(node: &Node<'_>) -> Option<DateTime<Utc>> {
    node.get("properties")?.get("last_modified")?.as_str()?.parse().ok()
}

/// Returns the state from `gst_state`, or from the older `state` if that is absent.
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

/// White space around a name does not count for the limit, but the index over names is limited to 2,704 bytes.
fn check_name(name: &str) -> Result<(), Reason> {
    const MAX_UNTRIMMED: usize = 2_000;
    match name.trim().len() {
        0 => Err(Reason::EmptyName),
        length if length > MAX_NAME => Err(Reason::NameTooLong(length)),
        _ if name.len() > MAX_UNTRIMMED => Err(Reason::NameTooLong(name.len())),
        _ => Ok(()),
    }
}
