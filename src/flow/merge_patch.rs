//! JSON Merge Patch (RFC 7396): members of the patch replace those of the document, and `null` removes them.

use std::collections::HashMap;
use std::mem;

use super::refusal::{Path, Reason, Refusal};
use super::{Flow, Node};

impl Flow {
    /// Returns the flow with the patch applied. Numbers that the patch does not contain stay as written. The patch may
    /// change the id, so the caller checks it.
    ///
    /// # Errors
    /// A [`Refusal`] for a patch that is not a JSON object, with a path in the patch, or for a result that cannot be
    /// stored, with a path in the flow.
    ///
    /// ```
    /// # use strom_store::Flow;
    /// let id = "6f1d3c5e-0000-4000-8000-000000000001";
    /// let flow = Flow::parse(&format!(r#"{{"id":"{id}","name":"a","x":{{"y":1.10,"z":2}}}}"#))?;
    /// let flow = flow.merge_patched(r#"{"name": "b", "x": {"z": null}}"#)?;
    /// assert_eq!(flow.document().get(), format!(r#"{{"id":"{id}","name":"b","x":{{"y":1.10}}}}"#));
    /// # Ok::<(), strom_store::Refusal>(())
    /// ```
    pub fn merge_patched(&self, patch: &str) -> Result<Self, Refusal> {
        let patch = Node::parse(patch)?;
        if !matches!(patch, Node::Object(_)) {
            return Err(Reason::WrongType { expected: "an object", found: patch.kind() }.at(Path::default()));
        }
        Self::from_node(merged(Some(self.node()?), patch))
    }
}

/// The algorithm of section 2.
fn merged<'a>(target: Option<Node<'a>>, patch: Node<'a>) -> Node<'a> {
    let Node::Object(changes) = patch else { return patch };
    let mut members = match target {
        Some(Node::Object(members)) => members,
        _ => Vec::new(),
    };
    // Searching and shifting the members for each change would be quadratic.
    let indexes: HashMap<_, _> = members.iter().enumerate().map(|(index, (name, _))| (name.clone(), index)).collect();
    let mut is_removed = vec![false; members.len()];
    for (name, change) in changes {
        match (indexes.get(&name), change) {
            (Some(index), Node::Null) => is_removed[*index] = true,
            (None, Node::Null) => {}
            (Some(index), change) => {
                let old = mem::replace(&mut members[*index].1, Node::Null);
                members[*index].1 = merged(Some(old), change);
            }
            (None, change) => members.push((name, merged(None, change))),
        }
    }
    let mut is_removed = is_removed.into_iter();
    members.retain(|_| !is_removed.next().unwrap_or(false));
    Node::Object(members)
}

#[cfg(test)]
mod tests {
    use super::merged;
    use crate::flow::{Flow, Node};

    /// The examples of appendix A of the RFC.
    #[test]
    fn the_examples_of_the_rfc_hold() {
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            // Several changes of one object.
            (
                r#"{"a":1,"b":2,"c":3,"d":4}"#,
                r#"{"e":5,"c":null,"a":null,"d":{"x":1}}"#,
                r#"{"b":2,"d":{"x":1},"e":5}"#,
            ),
        ] {
            let merged = merged(Some(Node::parse(target).unwrap()), Node::parse(patch).unwrap());
            assert_eq!(merged.to_compact(), result, "{target} {patch}");
        }
    }

    #[test]
    fn what_is_not_named_stays_and_what_cannot_be_stored_is_refused() {
        let id = r#""id":"6f1d3c5e-0000-4000-8000-000000000001""#;
        let flow = Flow::parse(&format!(r#"{{{id},"name":"a","n":18446744073709551617}}"#)).unwrap();
        let patched = flow.merge_patched(r#"{"m":1.10}"#).unwrap();
        assert_eq!(patched.document().get(), format!(r#"{{{id},"name":"a","n":18446744073709551617,"m":1.10}}"#));
        for (patch, refused) in
            [("[]", "`$`"), (r#"{"name":null}"#, "`$.name`"), (r#"{"x":{"y":"\u0000"}}"#, "`$.x.y`")]
        {
            let refusal = flow.merge_patched(patch).unwrap_err().to_string();
            assert!(refusal.starts_with(refused), "{refusal}");
        }
    }
}
