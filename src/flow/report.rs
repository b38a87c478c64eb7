//! Writes the report of an engine into a document.

use super::{Flow, GstState, Node, Refusal};

impl Flow {
    /// Returns the flow in this state. Sets `gst_state`, and `running` unless the state is `Null`. In a document
    /// before 2026-03-19, which only has `state`, sets `state` instead.
    ///
    /// # Errors
    /// A [`Refusal`] for a document that was written by SQL and that [`Flow::parse`] rejects, or if the document
    /// becomes too large.
    ///
    /// ```
    /// # use strom_store::{Flow, GstState};
    /// let flow = Flow::parse(r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"a"}"#)?;
    /// assert_eq!(flow.with_state(GstState::Playing)?.head().state, GstState::Playing);
    /// # Ok::<(), strom_store::Refusal>(())
    /// ```
    pub fn with_state(&self, state: GstState) -> Result<Self, Refusal> {
        let mut node = self.node()?;
        let is_old = node.get("state").is_some() && node.get("gst_state").is_none();
        node.set(if is_old { "state" } else { "gst_state" }, Node::String(state.as_str().into()));
        node.set("running", Node::Bool(state != GstState::Null));
        Self::from_node(node)
    }
}

#[cfg(test)]
mod tests {
    use crate::flow::{Flow, GstState, Runtime};

    const ID: &str = r#""id":"6f1d3c5e-0000-4000-8000-000000000001""#;

    fn reported(members: &str, state: GstState) -> String {
        let flow = Flow::parse(&format!(r#"{{{ID},"name":"a"{members}}}"#)).unwrap();
        let reported = flow.with_state(state).unwrap();
        assert_eq!(
            reported.hash(Runtime::Exclude).unwrap(),
            flow.hash(Runtime::Exclude).unwrap(),
            "no person wrote it"
        );
        reported.document().get().to_owned()
    }

    #[test]
    fn the_member_of_the_document_s_age_is_written() {
        let new = format!(r#"{{{ID},"name":"a","gst_state":"Playing","running":true}}"#);
        assert_eq!(reported("", GstState::Playing), new);
        let old = format!(r#"{{{ID},"name":"a","state":"Null","x":1.10,"running":false}}"#);
        assert_eq!(reported(r#","state":"Playing","x":1.10"#, GstState::Null), old);
        let both = format!(r#"{{{ID},"name":"a","state":"Null","gst_state":"Ready","running":true}}"#);
        assert_eq!(reported(r#","state":"Null","gst_state":null"#, GstState::Ready), both);
    }
}
