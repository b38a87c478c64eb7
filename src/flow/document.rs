//! The flow document: its parsed head and its exact text.

use std::fmt;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::head::{self, FlowId, Head};
use super::limits::MAX_SIZE;
use super::node::Node;
use super::refusal::Refusal;
use super::runtime::Runtime;
use super::warnings::{self, Warning};

/// A flow document that both backends can store. It is immutable, and clones share it.
#[derive(Clone)]
pub struct Flow(Arc<Parts>);

struct Parts {
    head: Head,
    document: Box<RawValue>,
    /// Set once the document has been parsed.
    ephemeral: OnceLock<bool>,
    /// The hash without the runtime members. Set once the document has been parsed.
    content: OnceLock<[u8; 32]>,
}

/// A flow and everything else that an import reads from its document.
#[derive(Debug)]
#[non_exhaustive]
pub struct Examined {
    /// The flow.
    pub flow: Flow,
    /// The warnings, as from [`Flow::warnings`].
    pub warnings: Vec<Warning>,
    /// `properties.last_modified`, if it is a time.
    pub modified: Option<DateTime<Utc>>,
}

impl Flow {
    /// Parses and checks a document.
    ///
    /// Removes white space and writes the id hyphenated and in lower case. Everything else stays as written: the order of
    /// members, the text of numbers, unknown members, documents of any age.
    ///
    /// # Errors
    /// A [`Refusal`] with the path and the reason:
    /// - The text is not JSON (RFC 8259) or not an object.
    /// - `id` or `name` is missing or has another type.
    /// - The name is empty or longer than [`MAX_NAME`](super::MAX_NAME).
    /// - The document contains U+0000, a lone surrogate, or a member twice in one object.
    /// - A number is outside PostgreSQL's `numeric`.
    /// - The document is nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH) or larger than [`MAX_SIZE`].
    ///
    /// ```
    /// # use strom_store::Flow;
    /// let flow = Flow::parse(r#"{"id": "6F1D3C5E000040008000000000000001", "name": "Studio 1", "gain": 1.10}"#)?;
    /// let text = r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"Studio 1","gain":1.10}"#;
    /// assert_eq!(flow.document().get(), text);
    /// # Ok::<(), strom_store::Refusal>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        Self::from_node(Node::parse(text)?)
    }

    /// Checks a tree and prints its text.
    pub(crate) fn from_node(mut node: Node<'_>) -> Result<Self, Refusal> {
        Self::of(&mut node)
    }

    /// Like [`Flow::parse`], and returns everything else that an import reads from a document. Parses the text once.
    ///
    /// # Errors
    /// As [`Flow::parse`].
    pub fn examine(text: &str) -> Result<Examined, Refusal> {
        let mut node = Node::parse(text)?;
        let warnings = warnings::find(&node);
        let modified = head::modified(&node);
        Ok(Examined { flow: Self::of(&mut node)?, warnings, modified })
    }

    /// Returns the flow as [`Flow::parse`] would return it, and its hash without the runtime members. Parses the
    /// document only if that has not happened yet.
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

    /// Builds a flow whose head the database has computed from the document.
    pub(crate) fn from_parts(head: Head, document: Box<RawValue>) -> Self {
        Self(Arc::new(Parts { head, document, ephemeral: OnceLock::new(), content: OnceLock::new() }))
    }

    /// Returns the head of the document.
    pub fn head(&self) -> &Head {
        &self.0.head
    }

    /// Returns the id of the head.
    pub fn id(&self) -> FlowId {
        self.0.head.id
    }

    /// Whether `properties.ephemeral` is true. [`Ephemeral`](crate::ephemeral::Ephemeral) keeps such flows in memory only.
    ///
    /// ```
    /// # use strom_store::Flow;
    /// let text = r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"try","properties":{"ephemeral":true}}"#;
    /// assert!(Flow::parse(text)?.is_ephemeral());
    /// assert!(!Flow::parse(&text.replace("true", "\"true\""))?.is_ephemeral());
    /// # Ok::<(), strom_store::Refusal>(())
    /// ```
    pub fn is_ephemeral(&self) -> bool {
        *self.0.ephemeral.get_or_init(|| self.node().is_ok_and(|node| head::is_ephemeral(&node)))
    }

    /// Returns the exact text.
    pub fn document(&self) -> &RawValue {
        &self.0.document
    }

    /// Returns the SHA-256 of the exact text. Equal texts are equal documents, but not the reverse; [`hash`](Self::hash)
    /// compares meanings.
    pub fn text_hash(&self) -> [u8; 32] {
        Sha256::digest(self.document().get()).into()
    }

    /// Deserializes the document into a type of the caller.
    ///
    /// # Errors
    /// The error of serde_json if the document does not have that shape.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Named { name: String }
    ///
    /// let flow = strom_store::Flow::parse(r#"{"id": "6f1d3c5e-0000-4000-8000-000000000001", "name": "Studio 1"}"#)?;
    /// assert_eq!(flow.decode::<Named>()?.name, "Studio 1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decode<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.document().get())
    }

    /// Parses the document into a tree.
    ///
    /// # Errors
    /// A [`Refusal`] for a document that was written by SQL and that [`Flow::parse`] rejects.
    pub(crate) fn node(&self) -> Result<Node<'_>, Refusal> {
        Node::parse(self.document().get())
    }

    /// Returns the canonical text, which is the same for all documents with the same meaning: members sorted by name,
    /// numbers as exact decimals without insignificant zeros, no white space.
    ///
    /// # Errors
    /// A [`Refusal`] for a document that was written by SQL and that [`Flow::parse`] rejects.
    pub fn canonical(&self, runtime: Runtime) -> Result<String, Refusal> {
        Ok(self.content(runtime)?.to_canonical())
    }

    fn content(&self, runtime: Runtime) -> Result<Node<'_>, Refusal> {
        let mut node = self.node()?;
        if runtime == Runtime::Exclude {
            node.strip_runtime();
        }
        Ok(node)
    }

    /// Returns the document indented by two spaces, otherwise as written.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    pub fn pretty(&self) -> Result<String, Refusal> {
        let mut out = String::new();
        self.node()?.write_pretty(&mut out, 0);
        Ok(out)
    }

    /// Returns the canonical text indented by two spaces, so that a line-by-line comparison shows only what has changed.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    ///
    /// ```
    /// # use strom_store::Flow;
    /// # use strom_store::flow::Runtime;
    /// let text = r#"{"name": "a", "running": true, "id": "6f1d3c5e-0000-4000-8000-000000000001"}"#;
    /// let pretty = "{\n  \"id\": \"6f1d3c5e-0000-4000-8000-000000000001\",\n  \"name\": \"a\"\n}";
    /// assert_eq!(Flow::parse(text)?.canonical_pretty(Runtime::Exclude)?, pretty);
    /// # Ok::<(), strom_store::Refusal>(())
    /// ```
    pub fn canonical_pretty(&self, runtime: Runtime) -> Result<String, Refusal> {
        Ok(self.content(runtime)?.to_canonical_pretty())
    }

    /// Returns the SHA-256 of the canonical text.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    pub fn hash(&self, runtime: Runtime) -> Result<[u8; 32], Refusal> {
        if let (Runtime::Exclude, Some(hash)) = (runtime, self.0.content.get()) {
            return Ok(*hash);
        }
        Ok(Sha256::digest(self.canonical(runtime)?).into())
    }

    /// Returns [`Flow::hash`] without the runtime members, and `properties.last_modified` if it is a time. Parses the
    /// document once.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    pub fn hash_and_modified(&self) -> Result<([u8; 32], Option<DateTime<Utc>>), Refusal> {
        let mut node = self.node()?;
        let modified = head::modified(&node);
        Ok((hash_content(&mut node, self.document().get().len()), modified))
    }

    /// Returns what is suspicious about the document. No warning prevents a save.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    pub fn warnings(&self) -> Result<Vec<Warning>, Refusal> {
        Ok(warnings::find(&self.node()?))
    }
}

/// Returns the SHA-256 of the canonical text without the runtime members, and removes them from the tree. `length` is
/// the approximate length of the text.
fn hash_content(node: &mut Node<'_>, length: usize) -> [u8; 32] {
    node.strip_runtime();
    Sha256::digest(node.to_canonical_of(length)).into()
}

/// Prints the head only: documents contain passphrases and do not belong in logs.
impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flow").field(self.head()).finish()
    }
}
