//! Search for JSON in documents.

use serde_json::value::RawValue;

use crate::flow::{Node, Refusal};

/// A JSON value that a document must contain, by the rules of PostgreSQL's `@>`:
/// <https://www.postgresql.org/docs/current/datatype-json.html#JSON-CONTAINMENT>.
/// [`Matcher`](crate::listing::Matcher) applies the same rules in memory.
#[derive(Debug, Clone)]
pub struct Containment(Box<RawValue>);

impl Containment {
    /// Parses the value.
    ///
    /// # Errors
    /// A [`Refusal`] if the text is not JSON, or contains what no document can contain.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let compact = Node::parse(text)?.to_compact();
        Ok(Self(RawValue::from_string(compact).expect("the printer writes JSON")))
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn as_raw(&self) -> &RawValue {
        &self.0
    }

    /// Returns the JSON text without insignificant white space.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}
