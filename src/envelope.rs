//! The envelopes of flows: `{"version": 1, "flows": […]}` of JSON files, exports and imports, and `{"flow": …}` of responses.
//!
//! A reader receives one [`Part`] at a time, so it needs memory for one document only. The functions are building blocks for a
//! [`serde::de::Visitor`]: they do not descend into documents, because a document may be nested as deep as [`MAX_DEPTH`] and is
//! two levels deeper in the envelope.
//!
//! [`MAX_DEPTH`]: crate::flow::MAX_DEPTH

use std::fmt;
use std::io::{self, Read};

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The UTF-8 encoding of the byte order mark, which some editors write.
pub const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A part of an envelope, in the order of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The member `flows`, before its items.
    Flows,
    /// The text of an item of `flows`.
    Flow(&'a str),
    /// Another member: its name and the text of its value.
    Member(&'a str, &'a str),
}

/// Passes every member of an object to `take`, until `take` returns an error.
///
/// # Errors
/// The error of `take`, with line and column, or what is not JSON.
pub fn read_members<'de, A: MapAccess<'de>>(
    mut members: A,
    mut take: impl FnMut(Part<'_>) -> Result<(), String>,
) -> Result<(), A::Error> {
    while let Some(name) = members.next_key::<String>()? {
        if name == "flows" {
            take(Part::Flows).map_err(A::Error::custom)?;
            members.next_value_seed(Items(|text: &str| take(Part::Flow(text))))?;
        } else {
            let value: Box<RawValue> = members.next_value()?;
            take(Part::Member(&name, value.get())).map_err(A::Error::custom)?;
        }
    }
    Ok(())
}

/// Reads an array and passes the text of every item to the function, until it returns an error.
#[derive(Debug)]
pub struct Items<F>(pub F);

impl<'de, F: FnMut(&str) -> Result<(), String>> DeserializeSeed<'de> for Items<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&str) -> Result<(), String>> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`$.flows` to be an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<Box<RawValue>>()? {
            (self.0)(item.get()).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// Returns the text of the flow in `{"flow": {…}}`, without a byte order mark. Returns any other text as it is, except for the
/// byte order mark.
///
/// A flow may have a member `flow` as well, so an object with a member `id` or `name` is not an envelope. Ignores the other
/// members of an envelope.
///
/// ```
/// use strom_store::envelope::flow_text;
///
/// assert_eq!(flow_text("\u{feff}{\"flow\": {\"name\":\"a\"}, \"warnings\": []}"), r#"{"name":"a"}"#);
/// assert_eq!(flow_text(r#"{"flow":{},"name":"a"}"#), r#"{"flow":{},"name":"a"}"#);
/// ```
pub fn flow_text(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut json = serde_json::Deserializer::from_str(text);
    // Stops at the first member `id` or `name`, which most flows begin with.
    match json.deserialize_any(Enclosed) {
        Ok(Some(flow)) if json.end().is_ok() => flow.get(),
        _ => text,
    }
}

/// The visitor of an object that may be `{"flow": {…}}`.
struct Enclosed;

impl<'de> Visitor<'de> for Enclosed {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `flow`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found: Self::Value = None;
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "id" | "name" => return Ok(None),
                "flow" if found.is_some() => return Ok(None),
                "flow" => found = Some(members.next_value()?),
                _ => _ = members.next_value::<IgnoredAny>()?,
            }
        }
        Ok(found.filter(|flow| flow.get().starts_with('{')))
    }
}

/// Why the member `version` of an envelope is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidVersion {
    /// It is greater than 1.
    Newer,
    /// It is not a number, or less than 1.
    Other,
}

/// Checks the text of the member `version`. The only valid version is 1.
///
/// # Errors
/// [`InvalidVersion`].
///
/// ```
/// use strom_store::envelope::{InvalidVersion, check_version};
///
/// assert_eq!(check_version("1.0"), Ok(()));
/// assert_eq!(check_version("2"), Err(InvalidVersion::Newer));
/// assert_eq!(check_version("\"1\""), Err(InvalidVersion::Other));
/// ```
pub fn check_version(text: &str) -> Result<(), InvalidVersion> {
    match serde_json::from_str::<f64>(text) {
        Ok(1.0) => Ok(()),
        Ok(number) if number > 1.0 => Err(InvalidVersion::Newer),
        _ => Err(InvalidVersion::Other),
    }
}

/// A reader that records whether the text contains anything but white space and a byte order mark.
#[derive(Debug)]
pub struct BlankDetector<R> {
    input: R,
    is_blank: bool,
}

impl<R> BlankDetector<R> {
    /// Wraps a reader.
    pub fn new(input: R) -> Self {
        Self { input, is_blank: true }
    }

    /// Whether the text was blank so far.
    pub fn is_blank(&self) -> bool {
        self.is_blank
    }
}

impl<R: Read> Read for BlankDetector<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        if self.is_blank {
            let bytes = &buffer[..count];
            let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
            self.is_blank = bytes.iter().all(u8::is_ascii_whitespace);
        }
        Ok(count)
    }
}
