//! Why a document is rejected, and where.

use std::fmt;

use serde::{Serialize, Serializer};

/// A document that cannot be stored: the JSON path (RFC 9535) and the reason.
///
/// Both backends reject the same documents before they write anything.
///
/// ```
/// let refusal = strom_store::Flow::parse(r#"{"id": 7, "name": "a"}"#).unwrap_err();
/// assert_eq!(refusal.to_string(), "`$.id`: expected a string, found a number");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {reason}")]
#[non_exhaustive]
pub struct Refusal {
    /// The JSON path of the offending value, such as `$.elements[3].position`.
    pub path: Path,
    /// The reason.
    pub reason: Reason,
}

/// The reason why a document is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The text is not JSON (RFC 8259).
    #[error("not JSON at line {line}, column {column}: {problem}")]
    NotJson {
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
        /// What was found or is missing.
        problem: &'static str,
    },
    /// A required member is missing.
    #[error("missing")]
    Missing,
    /// A value has the wrong type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// The expected type, such as `a string`.
        expected: &'static str,
        /// The actual type.
        found: &'static str,
    },
    /// The id is not a UUID (RFC 9562).
    #[error("not a UUID")]
    NotAUuid,
    /// The name is empty or only white space.
    #[error("the name is empty")]
    EmptyName,
    /// The name is too long.
    #[error("the name has {0} bytes, at most {max} are allowed", max = super::limits::MAX_NAME)]
    NameTooLong(usize),
    /// A string or member name contains U+0000, which JSONB cannot store.
    #[error("contains the character U+0000, which cannot be stored")]
    NulCharacter,
    /// A string or member name contains half of a surrogate pair, which is not a character.
    #[error("contains a lone surrogate, which is not a character")]
    LoneSurrogate,
    /// The object contains the member twice.
    #[error("the member is duplicated in one object")]
    DuplicateMember,
    /// The number is outside PostgreSQL's `numeric`.
    #[error("the number has over 131072 digits before or 16383 digits after the decimal point")]
    NumberOutOfRange,
    /// Objects and arrays are nested too deep.
    #[error("nested deeper than {} levels", super::limits::MAX_DEPTH)]
    TooDeep,
    /// A search contains too many values.
    #[error("has {found} values, at most {max} are allowed")]
    TooManyValues {
        /// The number of scalars, objects and arrays.
        found: usize,
        /// The maximum number.
        max: usize,
    },
    /// The document is too large.
    #[error("the document has over {} bytes, with numbers written in full", super::limits::MAX_SIZE)]
    TooLarge,
}

impl Reason {
    pub(crate) fn at(self, path: Path) -> Refusal {
        Refusal { path, reason: self }
    }
}

/// A JSON path such as `$.blocks[2].properties['my key']`. Uses the shorthand of RFC 9535 if the name allows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Member(String),
    Index(usize),
}

impl Path {
    /// Returns the path of a top-level member.
    pub fn member(name: &str) -> Self {
        Self::default().then_member(name)
    }

    /// Appends a member.
    #[must_use]
    pub fn then_member(mut self, name: &str) -> Self {
        self.0.push(Segment::Member(name.to_owned()));
        self
    }

    /// Appends an index.
    #[must_use]
    pub fn then_index(mut self, index: usize) -> Self {
        self.0.push(Segment::Index(index));
        self
    }

    /// Prepends a member. Errors build their path from the inside out, so that success costs nothing.
    #[must_use]
    pub fn inside_member(mut self, name: &str) -> Self {
        self.0.insert(0, Segment::Member(name.to_owned()));
        self
    }

    /// Prepends an index.
    #[must_use]
    pub fn inside_index(mut self, index: usize) -> Self {
        self.0.insert(0, Segment::Index(index));
        self
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for segment in &self.0 {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Member(name) if is_shorthand(name) => write!(f, ".{name}")?,
                Segment::Member(name) => {
                    write!(f, "['{}']", shortened(name).replace('\\', "\\\\").replace('\'', "\\'"))?;
                }
            }
        }
        Ok(())
    }
}

/// Serializes the path as it is printed.
impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn is_shorthand(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Shortens a member name for a message, and replaces control characters that would affect a terminal.
pub(super) fn shortened(name: &str) -> String {
    let mut short: String = name.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if short.len() < name.len() && name.chars().nth(64).is_some() {
        short.push('…');
    }
    short
}
