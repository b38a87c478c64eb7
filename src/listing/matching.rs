//! Whether a flow passes a filter.
//!
//! Containment is PostgreSQL's `@>`, rule for rule:
//! <https://www.postgresql.org/docs/current/datatype-json.html#JSON-CONTAINMENT>. Its exception, that an array contains
//! a bare scalar, is for the outermost level only, where a document is always an object.

use std::collections::HashMap;

use crate::flow::{Decimal, Flow, Node, Refusal};
use crate::repository::Filter;

/// A filter with its containment read once for all flows.
pub(crate) struct Matcher<'q> {
    filter: &'q Filter,
    template: Option<Node<'q>>,
}

impl<'q> Matcher<'q> {
    pub(crate) fn new(filter: &'q Filter) -> Result<Self, Refusal> {
        let template = filter.contains.as_ref().map(|contains| Node::parse(contains.as_str())).transpose()?;
        Ok(Self { filter, template })
    }

    /// The head's conditions first: containment has to read the document.
    pub(crate) fn matches(&self, flow: &Flow) -> Result<bool, Refusal> {
        let head = flow.head();
        let by_head = self.filter.state.is_none_or(|state| head.state == state)
            && self.filter.auto_restart.is_none_or(|auto_restart| head.auto_restart == auto_restart)
            && self.filter.name.as_ref().is_none_or(|part| part.matches(&head.name));
        match &self.template {
            Some(template) if by_head => Ok(contains(&flow.node()?, template)),
            _ => Ok(by_head),
        }
    }
}

/// Whether the value contains the template: an object has each of its members, and theirs contain what it says; an array
/// has each of its elements somewhere, in whatever order and number; scalars are equal, numbers by value.
fn contains(value: &Node<'_>, template: &Node<'_>) -> bool {
    match (value, template) {
        (Node::Object(members), Node::Object(wanted)) if wanted.len() > 16 => {
            // Many names in many members: one walk over each, not one over the members for each name.
            let members: HashMap<_, _> = members.iter().map(|(name, member)| (name, member)).collect();
            wanted.iter().all(|(name, wanted)| members.get(name).is_some_and(|member| contains(member, wanted)))
        }
        (Node::Object(_), Node::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| value.get(name).is_some_and(|member| contains(member, wanted)))
        }
        (Node::Array(items), Node::Array(wanted)) => {
            wanted.iter().all(|wanted| items.iter().any(|item| contains(item, wanted)))
        }
        (Node::Number(a), Node::Number(b)) => a == b || Decimal::new(a).same_value(&Decimal::new(b)),
        (value, template) => value == template,
    }
}

#[cfg(test)]
mod tests {
    use super::contains;
    use crate::flow::Node;

    #[test]
    fn large_objects_contain_by_the_same_rule() {
        let object = |range: std::ops::Range<u32>| {
            let members: Vec<_> = range.map(|i| format!("\"m{i}\":[{i}]")).collect();
            format!("{{{}}}", members.join(","))
        };
        let (all, part, other) = (object(0..100), object(20..60), object(60..101));
        let [all, part, other] = [&all, &part, &other].map(|text| Node::parse(text).unwrap());
        assert!(contains(&all, &part));
        assert!(!contains(&part, &all));
        assert!(!contains(&all, &other));
    }

    /// Each answer is PostgreSQL 15's to `SELECT value @> template`.
    #[test]
    fn containment_is_postgresql_s() {
        let cases = [
            (r#"{"a":1,"b":2}"#, r#"{"a":1}"#, true),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, false),
            (r#"{"a":1}"#, "{}", true),
            (r#"{"a":1}"#, "[]", false),
            (r#"{"a":1}"#, "1", false),
            (r#"{"a":1}"#, "null", false),
            (r#"{"a":1.10}"#, r#"{"a":1.1}"#, true),
            (r#"{"a":100}"#, r#"{"a":1e2}"#, true),
            (r#"{"a":0}"#, r#"{"a":-0.0}"#, true),
            (r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#, false),
            (r#"{"a":"1"}"#, r#"{"a":1}"#, false),
            (r#"{"a":null}"#, r#"{"a":null}"#, true),
            (r#"{}"#, r#"{"a":null}"#, false),
            (r#"{"a":true}"#, r#"{"a":false}"#, false),
            (r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"c":2}}"#, true),
            (r#"{"a":{"b":{"c":2}}}"#, r#"{"a":{"c":2}}"#, false),
            (r#"{"a":{"b":1}}"#, r#"{"a":{}}"#, true),
            (r#"{"a":[1]}"#, r#"{"a":{}}"#, false),
            (r#"{"a":{}}"#, r#"{"a":[]}"#, false),
            (r#"{"a":[1,2,3]}"#, r#"{"a":[3,1]}"#, true),
            (r#"{"a":[1,2]}"#, r#"{"a":[1,1,2,2]}"#, true),
            (r#"{"a":[1,2]}"#, r#"{"a":[4]}"#, false),
            (r#"{"a":[1,2]}"#, r#"{"a":[]}"#, true),
            (r#"{"a":[1,2]}"#, r#"{"a":1}"#, false),
            (r#"{"a":1}"#, r#"{"a":[1]}"#, false),
            (r#"{"a":[[1,2],3]}"#, r#"{"a":[[1]]}"#, true),
            (r#"{"a":[[1,2],3]}"#, r#"{"a":[1]}"#, false),
            (r#"{"a":[[1],[2]]}"#, r#"{"a":[[1,2]]}"#, false),
            (r#"{"a":[[]]}"#, r#"{"a":[{}]}"#, false),
            (r#"{"a":[{"b":1,"c":2}]}"#, r#"{"a":[{"b":1},{"c":2}]}"#, true),
            (r#"{"a":[{"b":1},{"c":2}]}"#, r#"{"a":[{"b":1,"c":2}]}"#, false),
            (r#"{"a":["x"]}"#, r#"{"a":["\u0078"]}"#, true),
            (r#"[1,[2]]"#, "[2]", false),
            (r#"[1,2]"#, "[2]", true),
        ];
        for (value, template, expected) in cases {
            let contained = contains(&Node::parse(value).unwrap(), &Node::parse(template).unwrap());
            assert_eq!(contained, expected, "{value} @> {template}");
        }
    }
}
