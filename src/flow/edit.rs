//! Changes to a part of a document; the rest stays as it is written.

use super::refusal::{Path, Reason, Refusal};
use super::{Flow, FlowId, Node};

/// Members of the properties that outlive their replacement: when the flow was made and when it went on air.
const KEPT: [&str; 2] = ["created_at", "started_at"];

impl Flow {
    /// The flow with other properties, from a text `{"properties": {…}}` whose other members do not count.
    ///
    /// `created_at` and `started_at` stay as they are where the flow has them.
    ///
    /// # Errors
    /// A [`Refusal`], its path seen from the text, for a text that holds no properties or what cannot be stored.
    ///
    /// ```
    /// # use strom::Flow;
    /// let id = "6f1d3c5e-0000-4000-8000-000000000001";
    /// let flow = Flow::parse(&format!(r#"{{"id":"{id}","name":"a","properties":{{"created_at":"then","x":1}}}}"#))?;
    /// let flow = flow.with_properties(r#"{"properties": {"gain": 1.10}}"#)?;
    /// let text = format!(r#"{{"id":"{id}","name":"a","properties":{{"gain":1.10,"created_at":"then"}}}}"#);
    /// assert_eq!(flow.document().get(), text);
    /// # Ok::<(), strom::Refusal>(())
    /// ```
    pub fn with_properties(&self, text: &str) -> Result<Self, Refusal> {
        let mut sent = Node::parse(text)?;
        if !matches!(sent, Node::Object(_)) {
            return Err(Reason::WrongType { expected: "an object", found: sent.kind() }.at(Path::default()));
        }
        let path = || Path::member("properties");
        let mut properties = sent.remove("properties").ok_or_else(|| Reason::Missing.at(path()))?;
        if !matches!(properties, Node::Object(_)) {
            return Err(Reason::WrongType { expected: "an object", found: properties.kind() }.at(path()));
        }
        let mut node = self.node()?;
        for name in KEPT {
            if let Some(kept) = node.get("properties").and_then(|old| old.get(name)) {
                properties.set(name, kept.clone());
            }
        }
        node.set("properties", properties);
        Self::from_node(node)
    }

    /// The same flow under another id.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    pub fn with_id(&self, id: FlowId) -> Result<Self, Refusal> {
        let mut node = self.node()?;
        node.set("id", Node::String(id.to_string().into()));
        Self::from_node(node)
    }
}
