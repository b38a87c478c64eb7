//! Search for JSON in documents.

use serde_json::value::RawValue;

use crate::flow::{Node, Path, Reason, Refusal};

/// A JSON value that a document must contain, by the rules of PostgreSQL's `@>`:
/// <https://www.postgresql.org/docs/current/datatype-json.html#JSON-CONTAINMENT>.
/// [`Matcher`](crate::listing::Matcher) applies the same rules in memory.
///
/// A search compares each element of an array with each element of the same array in each flow. So a value contains at most
/// [`MAX_VALUES`](Self::MAX_VALUES) values, without repeated elements of arrays.
#[derive(Debug, Clone)]
pub struct Containment(Box<RawValue>);

impl Containment {
    /// The maximum number of scalars, objects and arrays in the value, including the value itself.
    pub const MAX_VALUES: usize = 100;

    /// Parses the value. Removes repeated elements of arrays, which do not change what contains the value.
    ///
    /// # Errors
    /// A [`Refusal`] if the text is not JSON, contains what no document can contain, or has too many values.
    ///
    /// ```
    /// # use strom_store::repository::Containment;
    /// assert_eq!(Containment::parse(r#"{"a": [1, 2, 1]}"#)?.as_str(), r#"{"a":[1,2]}"#);
    /// # Ok::<(), strom_store::Refusal>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let node = Node::parse(text)?.without_repetitions();
        let (found, max) = (node.count(), Self::MAX_VALUES);
        if found > max {
            return Err(Reason::TooManyValues { found, max }.at(Path::default()));
        }
        Ok(Self(RawValue::from_string(node.to_compact()).expect("the printer writes JSON")))
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

#[cfg(test)]
mod tests {
    use super::Containment;

    #[test]
    fn values_are_counted_without_repetitions() {
        let array = |count: usize, each: fn(usize) -> String| {
            let elements: Vec<_> = (0..count).map(each).collect();
            format!("{{\"a\":[{}]}}", elements.join(","))
        };
        // The object, the array, and its elements.
        assert!(Containment::parse(&array(98, |index| index.to_string())).is_ok());
        let refusal = Containment::parse(&array(99, |index| index.to_string())).unwrap_err();
        assert_eq!(refusal.to_string(), "`$`: has 101 values, at most 100 are allowed");
        assert!(Containment::parse(&array(33, |index| format!("{{\"id\":[{index}]}}"))).is_err());
        let repeated = Containment::parse(&array(10_000, |index| format!("{{\"b\":[1.0,{}]}}", index % 2))).unwrap();
        assert_eq!(repeated.as_str(), r#"{"a":[{"b":[1.0,0]},{"b":[1.0]}]}"#);
    }
}
