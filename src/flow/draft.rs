//! A document that may lack an id.

use super::refusal::Refusal;
use super::{Flow, FlowId, Node};

/// A document whose id may be absent or nil, as clients may send it to create a flow.
#[derive(Debug)]
pub struct Draft<'a>(Node<'a>);

impl<'a> Draft<'a> {
    /// Parses the text. [`Draft::into_flow`] performs the checks of [`Flow::parse`].
    ///
    /// # Errors
    /// A [`Refusal`] if the text is not JSON or contains values that cannot be stored.
    pub fn parse(text: &'a str) -> Result<Self, Refusal> {
        Node::parse(text).map(Self)
    }

    /// Returns the flow. Sets `fresh_id` if the document has no id or the nil UUID (RFC 9562, 5.9).
    ///
    /// Old clients create flows with `{"name", "description"?}` only. Their description becomes a property.
    ///
    /// # Errors
    /// As [`Flow::parse`].
    ///
    /// ```
    /// # use strom_store::{Draft, Flow};
    /// let fresh = "6f1d3c5e-0000-4000-8000-000000000001".parse()?;
    /// let flow = Draft::parse(r#"{"name": "a", "description": "b"}"#)?.into_flow(fresh)?;
    /// let text = r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"a","properties":{"description":"b"}}"#;
    /// assert_eq!(flow.document().get(), text);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_flow(self, fresh_id: FlowId) -> Result<Flow, Refusal> {
        let mut node = self.0;
        let id = fresh_id.to_string();
        match node.get("id").map(|id| id.as_str().and_then(|id| id.parse::<FlowId>().ok())) {
            None => {
                move_description(&mut node);
                if let Node::Object(members) = &mut node {
                    members.insert(0, ("id".into(), Node::String(id.into())));
                }
            }
            Some(Some(given)) if given.as_uuid().is_nil() => node.set("id", Node::String(id.into())),
            Some(_) => {}
        }
        Flow::from_node(node)
    }
}

fn move_description(node: &mut Node<'_>) {
    let Node::Object(members) = &*node else { return };
    if members.iter().all(|(name, _)| name == "name" || name == "description")
        && matches!(node.get("description"), Some(Node::String(_)))
        && let Some(description) = node.remove("description")
    {
        node.set("properties", Node::Object(vec![("description".into(), description)]));
    }
}
