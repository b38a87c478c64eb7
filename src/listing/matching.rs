//! Filters in memory.
//!
//! Containment follows the rules of PostgreSQL's `@>`:
//! <https://www.postgresql.org/docs/current/datatype-json.html#JSON-CONTAINMENT>. One rule is missing: that an array
//! contains a bare scalar applies to the outermost level only, where a document is always an object.

use std::collections::HashMap;

use crate::flow::{Decimal, Flow, Node, Refusal};
use crate::repository::Filter;

/// A filter whose [`Containment`](crate::repository::Containment) is parsed once for all flows.
#[derive(Debug)]
pub struct Matcher<'q> {
    filter: &'q Filter,
    template: Option<Node<'q>>,
}

impl<'q> Matcher<'q> {
    /// Prepares the filter.
    ///
    /// # Errors
    /// A [`Refusal`] if the containment cannot be parsed.
    pub fn new(filter: &'q Filter) -> Result<Self, Refusal> {
        let template = filter.contains.as_ref().map(|contains| Node::parse(contains.as_str())).transpose()?;
        Ok(Self { filter, template })
    }

    /// Returns whether the flow passes the filter. Parses the document only if the head passes and the filter has a
    /// containment.
    ///
    /// # Errors
    /// A [`Refusal`] if the document was written by SQL and [`Flow::parse`] would reject it.
    pub fn matches(&self, flow: &Flow) -> Result<bool, Refusal> {
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

/// Returns whether the value contains the template.
///
/// - An object contains an object if it contains each of its members.
/// - An array contains an array if it contains each of its elements, in any order and number.
/// - Scalars must be equal, numbers by value.
fn contains(value: &Node<'_>, template: &Node<'_>) -> bool {
    match (value, template) {
        (Node::Object(members), Node::Object(wanted)) if wanted.len() > 16 => {
            // A map, because searching a large object for each of many names is quadratic.
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

    /// The expected results are those of `SELECT value @> template` in PostgreSQL 15.
    #[test]
    fn containment_follows_postgresql() {
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
