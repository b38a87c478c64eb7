//! Changes to a part of a document. The rest stays as written.

use super::refusal::{Path, Reason, Refusal};
use super::{Flow, FlowId, Node};

/// Properties that survive a replacement of all properties: the time of creation and the time of the last start.
const KEPT: [&str; 2] = ["created_at", "started_at"];

impl Flow {
    /// Returns the flow with the properties of the text `{"properties": {…}}`. Other members of the text are ignored.
    ///
    /// `created_at` and `started_at` keep their values if the flow has them.
    ///
    /// # Errors
    /// A [`Refusal`] if the text contains no properties or values that cannot be stored. Its path refers to the text.
    ///
    /// ```
    /// # use strom_store::Flow;
    /// let id = "6f1d3c5e-0000-4000-8000-000000000001";
    /// let flow = Flow::parse(&format!(r#"{{"id":"{id}","name":"a","properties":{{"created_at":"then","x":1}}}}"#))?;
    /// let flow = flow.with_properties(r#"{"properties": {"gain": 1.10}}"#)?;
    /// let text = format!(r#"{{"id":"{id}","name":"a","properties":{{"gain":1.10,"created_at":"then"}}}}"#);
    /// assert_eq!(flow.document().get(), text);
    /// # Ok::<(), strom_store::Refusal>(())
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

    /// Returns the flow with another id.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    pub fn with_id(&self, id: FlowId) -> Result<Self, Refusal> {
        let mut node = self.node()?;
        node.set("id", Node::String(id.to_string().into()));
        Self::from_node(node)
    }
}
