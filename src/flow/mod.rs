//! The flow document: what it must hold, what it may hold, and its exact text. No I/O.
//!
//! A [`Flow`] is a parsed [`Head`] beside the lossless text. The text never passes through `serde_json::Value`, which
//! rounds numbers; who needs the members asks for a typed view with [`Flow::decode`]. One validator stands before both
//! backends and refuses what either of them cannot hold, because a move between them that fails half-way is worse than
//! a refused save. Everything else is kept, known to us or not; what looks wrong but can be kept is a [`Warning`].

mod claims;
mod difference;
mod draft;
mod edit;
mod head;
mod json_patch;
mod keys;
mod merge;
mod merge_patch;
mod node;
mod number;
mod parser;
mod place;
mod print;
mod quote;
mod redaction;
mod refusal;
mod report;
mod runtime;
mod warnings;

pub use claims::Claim;
pub use difference::{ChangeKind, Difference, MAX_LISTED, MemberChange};
pub use draft::Draft;
pub use head::{FlowId, GstState, Head};
pub use json_patch::{MAX_OPERATIONS, PatchError};
pub use merge::{Conflict, MergeError};
pub(crate) use node::Node;
pub(crate) use number::Decimal;
pub use redaction::REDACTED;
pub use refusal::{Path, Reason, Refusal};
pub use warnings::{Suspicion, Warning};

use std::fmt;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The longest name, in bytes after trimming.
pub const MAX_NAME: usize = 255;
/// The largest document, in bytes of the text PostgreSQL prints for it (see [`Head::size`]): 16 MiB.
pub const MAX_SIZE: usize = 16 * 1024 * 1024;
/// The deepest nesting of objects and arrays; the document itself is the first level.
pub const MAX_DEPTH: usize = 128;

/// A flow document that both backends can hold. It never changes, and a clone shares it.
#[derive(Clone)]
pub struct Flow(Arc<Parts>);

struct Parts {
    head: Head,
    document: Box<RawValue>,
    /// Known as soon as the document has been read.
    ephemeral: OnceLock<bool>,
    /// The hash of what people wrote, known as soon as the document has been read.
    content: OnceLock<[u8; 32]>,
}

/// A document, and what an import wants to know of it.
pub(crate) struct Examined {
    pub(crate) flow: Flow,
    pub(crate) warnings: Vec<Warning>,
    /// `properties.last_modified`, where that is a time.
    pub(crate) modified: Option<DateTime<Utc>>,
}

/// Whether the members that a running engine reports count: `running`, `gst_state`, `block_health` and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// The whole document.
    Kept,
    /// Only what people wrote.
    Left,
}

impl Flow {
    /// Reads and checks a document.
    ///
    /// White space goes, and the id is spelled hyphenated and in lower case; all else stays as it is written: order
    /// and number texts, unknown members, documents of any age.
    ///
    /// # Errors
    /// A [`Refusal`] with the place and the reason: not JSON (RFC 8259) or no object; `id` or `name` missing or of
    /// another type; a name that is empty or over [`MAX_NAME`]; U+0000, lone surrogates, a member twice in one object;
    /// numbers beyond `numeric`; deeper than [`MAX_DEPTH`]; larger than [`MAX_SIZE`].
    ///
    /// ```
    /// # use strom::Flow;
    /// let flow = Flow::parse(r#"{"id": "6F1D3C5E000040008000000000000001", "name": "Studio 1", "gain": 1.10}"#)?;
    /// let text = r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"Studio 1","gain":1.10}"#;
    /// assert_eq!(flow.document().get(), text);
    /// # Ok::<(), strom::Refusal>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        Self::from_node(Node::parse(text)?)
    }

    /// Checks a tree and writes its text.
    pub(crate) fn from_node(mut node: Node<'_>) -> Result<Self, Refusal> {
        Self::of(&mut node)
    }

    /// As [`Flow::parse`], with what else an import wants to know of a document: one reading serves all.
    pub(crate) fn examine(text: &str) -> Result<Examined, Refusal> {
        let mut node = Node::parse(text)?;
        let warnings = warnings::find(&node);
        let modified = head::modified(&node);
        Ok(Examined { flow: Self::of(&mut node)?, warnings, modified })
    }

    /// The flow as [`Flow::parse`] would give it, which it may be already, with the hash of what people wrote.
    pub(crate) fn checked(&self) -> Result<(Self, [u8; 32]), Refusal> {
        match self.0.content.get() {
            Some(hash) => Ok((self.clone(), *hash)),
            None => Self::parse(self.document().get())?.checked(),
        }
    }

    fn of(node: &mut Node<'_>) -> Result<Self, Refusal> {
        let head = Head::of(node)?;
        let id = head.id.to_string();
        if node.get("id").and_then(Node::as_str) != Some(&id) {
            node.set("id", Node::String(id.into()));
        }
        let about = usize::try_from(head.size).unwrap_or(MAX_SIZE);
        let text = node.to_compact_of(about);
        let document = RawValue::from_string(text).expect("the printer writes JSON");
        let ephemeral = head::is_ephemeral(node).into();
        let content = hash_content(node, about).into();
        Ok(Self(Arc::new(Parts { head, document, ephemeral, content })))
    }

    /// A flow whose head the database has computed from the document.
    pub(crate) fn from_parts(head: Head, document: Box<RawValue>) -> Self {
        Self(Arc::new(Parts { head, document, ephemeral: OnceLock::new(), content: OnceLock::new() }))
    }

    /// What lists and look-ups need.
    pub fn head(&self) -> &Head {
        &self.0.head
    }

    /// Shorthand for the head's id.
    pub fn id(&self) -> FlowId {
        self.0.head.id
    }

    /// Whether `properties.ephemeral` is true: a flow of an engine's or an operator's own that nobody wants to find
    /// again. What that means is for [`Ephemeral`](crate::ephemeral::Ephemeral) to say.
    ///
    /// ```
    /// # use strom::Flow;
    /// let text = r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"try","properties":{"ephemeral":true}}"#;
    /// assert!(Flow::parse(text)?.is_ephemeral());
    /// assert!(!Flow::parse(&text.replace("true", "\"true\""))?.is_ephemeral());
    /// # Ok::<(), strom::Refusal>(())
    /// ```
    pub fn is_ephemeral(&self) -> bool {
        *self.0.ephemeral.get_or_init(|| self.node().is_ok_and(|node| head::is_ephemeral(&node)))
    }

    /// The exact text.
    pub fn document(&self) -> &RawValue {
        &self.0.document
    }

    /// A typed view of the document, of the caller's type.
    ///
    /// # Errors
    /// serde_json's, when the document does not have that shape.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Named { name: String }
    ///
    /// let flow = strom::Flow::parse(r#"{"id": "6f1d3c5e-0000-4000-8000-000000000001", "name": "Studio 1"}"#)?;
    /// assert_eq!(flow.decode::<Named>()?.name, "Studio 1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decode<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.document().get())
    }

    /// The tree of the document.
    ///
    /// # Errors
    /// A row that somebody wrote by SQL may hold a document that [`Flow::parse`] would have refused.
    pub(crate) fn node(&self) -> Result<Node<'_>, Refusal> {
        Node::parse(self.document().get())
    }

    /// The one text of all documents that mean the same: members sorted by name, numbers as exact decimals without
    /// insignificant zeros, no white space.
    ///
    /// # Errors
    /// A [`Refusal`] for a document that somebody wrote by SQL and that [`Flow::parse`] would have refused.
    pub fn canonical(&self, runtime: Runtime) -> Result<String, Refusal> {
        Ok(self.content(runtime)?.to_canonical())
    }

    fn content(&self, runtime: Runtime) -> Result<Node<'_>, Refusal> {
        let mut node = self.node()?;
        if runtime == Runtime::Left {
            node.strip_runtime();
        }
        Ok(node)
    }

    /// The document for people, indented by two blanks; everything else as it is written.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    pub fn pretty(&self) -> Result<String, Refusal> {
        let mut out = String::new();
        self.node()?.write_pretty(&mut out, 0);
        Ok(out)
    }

    /// The canonical text indented by two blanks, so that a comparison line by line shows what has changed and no more.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    ///
    /// ```
    /// # use strom::Flow;
    /// # use strom::flow::Runtime;
    /// let text = r#"{"name": "a", "running": true, "id": "6f1d3c5e-0000-4000-8000-000000000001"}"#;
    /// let pretty = "{\n  \"id\": \"6f1d3c5e-0000-4000-8000-000000000001\",\n  \"name\": \"a\"\n}";
    /// assert_eq!(Flow::parse(text)?.canonical_pretty(Runtime::Left)?, pretty);
    /// # Ok::<(), strom::Refusal>(())
    /// ```
    pub fn canonical_pretty(&self, runtime: Runtime) -> Result<String, Refusal> {
        Ok(self.content(runtime)?.to_canonical_pretty())
    }

    /// SHA-256 of the canonical text.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    pub fn hash(&self, runtime: Runtime) -> Result<[u8; 32], Refusal> {
        if let (Runtime::Left, Some(hash)) = (runtime, self.0.content.get()) {
            return Ok(*hash);
        }
        Ok(Sha256::digest(self.canonical(runtime)?).into())
    }

    /// The hash of what people wrote, and when it says that it was modified: for a flow of which nothing else is wanted.
    pub(crate) fn hash_and_modified(&self) -> Result<([u8; 32], Option<DateTime<Utc>>), Refusal> {
        let mut node = self.node()?;
        let modified = head::modified(&node);
        Ok((hash_content(&mut node, self.document().get().len()), modified))
    }

    /// What is suspicious about the document. Never a reason to refuse it.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    pub fn warnings(&self) -> Result<Vec<Warning>, Refusal> {
        Ok(warnings::find(&self.node()?))
    }
}

/// SHA-256 of the canonical text of what people wrote, of about this length; the rest leaves the tree.
fn hash_content(node: &mut Node<'_>, length: usize) -> [u8; 32] {
    node.strip_runtime();
    Sha256::digest(node.to_canonical_of(length)).into()
}

/// The head only: documents hold passphrases and do not belong in logs.
impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flow").field(self.head()).finish()
    }
}
