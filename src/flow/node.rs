//! The tree of a JSON text. It borrows from the text and preserves numbers and the order of members.

use std::borrow::Cow;
use std::collections::HashSet;

use super::number::Decimal;
use super::refusal::Refusal;

/// A JSON value that borrows from its text. It lives for one operation; the store keeps the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    /// The number as written. [`Decimal`] returns its value.
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    /// Members in the order of the text, each name once.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, Refusal> {
        super::parser::parse(text)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node<'a>> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Node<'a>> {
        match self {
            Self::Object(members) => {
                let position = members.iter().position(|(key, _)| key == name)?;
                Some(members.remove(position).1)
            }
            _ => None,
        }
    }

    /// Replaces a member in its place, or appends it. Does nothing if the node is not an object.
    pub(crate) fn set(&mut self, name: &'a str, value: Node<'a>) {
        if let Self::Object(members) = self {
            match members.iter_mut().find(|(key, _)| key == name) {
                Some((_, old)) => *old = value,
                None => members.push((Cow::Borrowed(name), value)),
            }
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(string) => Some(string),
            _ => None,
        }
    }

    /// Returns the elements of an array, or none for any other value.
    pub(crate) fn items(&self) -> &[Node<'a>] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    /// Whether both values are equal regardless of the order of members and the spelling of numbers. Equivalent to
    /// comparing the canonical texts, without printing them.
    pub(crate) fn same_value(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a == b || Decimal::new(a).same_value(&Decimal::new(b)),
            (Self::Array(a), Self::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_value(b)),
            (Self::Object(a), Self::Object(b)) => {
                let (a, b) = (sorted(a), sorted(b));
                let same = |((name, a), (other, b)): (&&Member<'_>, &&Member<'_>)| name == other && a.same_value(b);
                a.len() == b.len() && a.iter().zip(&b).all(same)
            }
            _ => self == other,
        }
    }

    /// Returns the number of scalars, objects and arrays, including this value.
    pub(crate) fn count(&self) -> usize {
        1 + match self {
            Self::Array(items) => items.iter().map(Self::count).sum(),
            Self::Object(members) => members.iter().map(|(_, value)| value.count()).sum::<usize>(),
            _ => 0,
        }
    }

    /// Returns the value with the first of equal elements of each array.
    pub(crate) fn without_repetitions(self) -> Self {
        match self {
            Self::Array(items) => {
                let mut seen = HashSet::new();
                let items = items.into_iter().map(Self::without_repetitions);
                Self::Array(items.filter(|item| seen.insert(item.to_canonical())).collect())
            }
            Self::Object(members) => {
                Self::Object(members.into_iter().map(|(name, value)| (name, value.without_repetitions())).collect())
            }
            scalar => scalar,
        }
    }

    /// Returns the type of the value in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// Returns the length of the text that PostgreSQL prints for this value as `jsonb`: a space after each `:` and
    /// `,`, numbers written out. It does not depend on the spelling, so both backends agree on it.
    pub(crate) fn jsonb_len(&self) -> usize {
        let separators = |count: usize| 2 * count.saturating_sub(1);
        match self {
            Self::Null => 4,
            Self::Bool(value) => 5 - usize::from(*value),
            // Most numbers are plain already. Only `-0` loses its sign.
            Self::Number(text) if !has_exponent(text) && !text.starts_with("-0") => text.len(),
            Self::Number(text) => Decimal::new(text).plain_len(),
            Self::String(string) => string_len(string),
            Self::Array(items) => 2 + separators(items.len()) + items.iter().map(Self::jsonb_len).sum::<usize>(),
            Self::Object(members) => {
                let member = |(name, value): &(Cow<'_, str>, Node<'_>)| string_len(name) + 2 + value.jsonb_len();
                2 + separators(members.len()) + members.iter().map(member).sum::<usize>()
            }
        }
    }
}

/// Whether a JSON number has an exponent.
fn has_exponent(number: &str) -> bool {
    number.bytes().any(|byte| matches!(byte, b'e' | b'E'))
}

/// Whether JSON requires an escape for one of the characters.
pub(super) fn needs_escapes(string: &str) -> bool {
    string.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\'))
}

type Member<'a> = (Cow<'a, str>, Node<'a>);

fn sorted<'n, 'a>(members: &'n [Member<'a>]) -> Vec<&'n Member<'a>> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    sorted
}

fn string_len(string: &str) -> usize {
    if !needs_escapes(string) {
        return 2 + string.len();
    }
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | 0x08 | 0x09 | 0x0a | 0x0c | 0x0d => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    2 + string.bytes().map(escaped).sum::<usize>()
}
