//! Reads the documents of an input as a stream.
//!
//! An input contains one or more of these values, one after the other:
//!
//! - an envelope `{"version": 1, "flows": [...]}`: the JSON file, an export, or a response of `GET /api/flows`
//! - an array of flows
//! - one flow
//!
//! Each flow may be in an envelope `{"flow": {...}}`, the shape of a response with one flow.
//!
//! Several values occur in NDJSON and in the output of `SELECT data FROM flows`. An object is an envelope if it has a
//! member `flows` before any member `id`, because a flow may have a member `flows` as well.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use serde::Deserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::input_error::InputError;
use super::location::Location;
use strom_store::envelope::{
    self, BYTE_ORDER_MARK, BlankDetector, InvalidVersion, Items, Part, check_version, flow_text,
};
use strom_store::flow::MAX_SIZE;

/// Maximum size of the text of one document in bytes, including white space: twice the maximum of a stored document.
const MAX_TEXT: u64 = 2 * MAX_SIZE as u64;

/// Passes every document to `take`, in order, until `take` returns an error.
///
/// # Errors
/// Returns the error of `take`, or why the input cannot be read.
pub(super) fn read(
    input: impl Read,
    take: impl FnMut(&str, Location) -> Result<(), InputError>,
) -> Result<(), InputError> {
    read_within(MAX_TEXT, input, take)
}

fn read_within(
    max_text: u64,
    input: impl Read,
    mut take: impl FnMut(&str, Location) -> Result<(), InputError>,
) -> Result<(), InputError> {
    let (left, is_blank) = (Rc::new(Cell::new(max_text)), Rc::new(Cell::new(true)));
    let mut input = BufReader::with_capacity(
        1 << 16,
        Bounded { input: BlankDetector::new(input), left: Rc::clone(&left), is_blank: Rc::clone(&is_blank) },
    );
    if input.fill_buf().map_err(InputError::Broken)?.starts_with(BYTE_ORDER_MARK) {
        input.consume(BYTE_ORDER_MARK.len());
    }
    let mut json = serde_json::Deserializer::from_reader(input);
    for number in 1.. {
        let mut fault = None;
        let pass = |text: &str, location| {
            left.set(max_text);
            take(flow_text(text), location).map_err(|error| fault = Some(error)).is_ok()
        };
        let read = json.deserialize_any(Top { pass, number });
        if let Some(fault) = fault {
            return Err(fault);
        }
        let is_end = read.and_then(|()| match json.end() {
            Ok(()) => Ok(true),
            // Another value follows.
            Err(error) if error.is_syntax() => Ok(false),
            Err(error) => Err(error),
        });
        let is_end = is_end.map_err(|error| match left.get() {
            _ if error.is_eof() && is_blank.get() => InputError::Empty,
            0 => InputError::TooLarge(format!("a document has over {max_text} bytes")),
            _ if error.is_io() => InputError::Broken(error.into()),
            _ => InputError::Malformed(format!("not valid JSON of flows: {error}")),
        })?;
        if is_end {
            break;
        }
    }
    Ok(())
}

/// A reader that fails when the budget of the current document is used up. Each document that was taken resets the budget.
struct Bounded<R> {
    input: BlankDetector<R>,
    left: Rc<Cell<u64>>,
    /// Whether the input contained only white space so far.
    is_blank: Rc<Cell<bool>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        let left = self.left.get().saturating_sub(count as u64);
        self.left.set(left);
        self.is_blank.set(self.input.is_blank());
        if left == 0 { Err(io::Error::other("too long")) } else { Ok(count) }
    }
}

/// The visitor of the top-level value with this number.
struct Top<F> {
    pass: F,
    number: usize,
}

impl<'de, F: FnMut(&str, Location) -> bool> Visitor<'de> for Top<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flow, an array of flows, or an object with `flows`")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, flows: A) -> Result<(), A::Error> {
        items(&mut self.pass, Location::Element).visit_seq(flows)
    }

    /// Collects the members before `flows`: without a member `flows`, the object is a flow.
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut text = String::from("{");
        let (mut has_id, mut version) = (false, None);
        while let Some(name) = map.next_key::<String>()? {
            if name == "flows" && !has_id {
                map.next_value_seed(items(&mut self.pass, Location::Flow))?;
                return rest_of_envelope(map, version);
            }
            let value: Box<RawValue> = map.next_value()?;
            has_id |= name == "id";
            if name == "version" {
                version = Some(value.get().to_owned());
            }
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&serde_json::to_string(&name).map_err(A::Error::custom)?);
            text.push(':');
            text.push_str(value.get());
        }
        text.push('}');
        continue_if((self.pass)(&text, Location::Value(self.number))).map_err(A::Error::custom)
    }
}

/// Reads an array of documents, and counts them from 0.
fn items<F: FnMut(&str, Location) -> bool>(
    pass: &mut F,
    location: fn(usize) -> Location,
) -> Items<impl FnMut(&str) -> Result<(), String>> {
    let mut index = 0..;
    Items(move |text: &str| continue_if(pass(text, location(index.next().unwrap_or_default()))))
}

/// Reads the members after `flows`. Ignores all but `version`.
fn rest_of_envelope<'de, A: MapAccess<'de>>(map: A, mut version: Option<String>) -> Result<(), A::Error> {
    envelope::read_members(map, |part| {
        match part {
            Part::Flows | Part::Flow(_) => return Err("`$.flows`: the member is duplicated".to_owned()),
            Part::Member("version", value) => version = Some(value.to_owned()),
            Part::Member(..) => {}
        }
        Ok(())
    })?;
    version.map_or(Ok(()), |version| check_version(&version)).map_err(|invalid| {
        A::Error::custom(match invalid {
            InvalidVersion::Newer => {
                "`$.version`: the version is higher than 1; a newer version of Strom wrote the file"
            }
            _ => "`$.version`: expected 1",
        })
    })
}

fn continue_if(is_continued: bool) -> Result<(), String> {
    if is_continued { Ok(()) } else { Err("stopped".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::{InputError, Location, read, read_within};

    fn read_all(input: &str) -> Result<Vec<(String, Location)>, String> {
        let mut all = Vec::new();
        let read = read(input.as_bytes(), |text, location| {
            all.push((text.to_owned(), location));
            Ok(())
        });
        read.map(|()| all).map_err(|error| error.to_string())
    }

    fn documents(input: &str) -> Vec<String> {
        read_all(input).unwrap().into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn every_shape_is_read() {
        let two = [r#"{"id":1}"#, r#"{"id": 2.50}"#];
        for input in [
            r#"{"version": 1, "flows": [{"id":1}, {"id": 2.50}], "x": {"y": []}}"#,
            "\u{feff}{\"flows\": [{\"id\":1}, {\"id\": 2.50}], \"next_cursor\": null}",
            r#"{"x": [1], "flows": [{"id":1}, {"id": 2.50}], "version": 1.0}"#,
            r#" [{"id":1}, {"id": 2.50}] "#,
            "[{\"id\":1}]\n[{\"id\": 2.50}]",
        ] {
            assert_eq!(documents(input), two, "{input}");
        }
        assert_eq!(documents("{\"id\":1}\n{\"id\": 2.50}\n\n"), [r#"{"id":1}"#, r#"{"id":2.50}"#]);
        let flow = r#"{"version":2,"id":1,"flows":[{"id":2}],"a\u0001":1e400}"#;
        assert_eq!(documents(flow), [flow], "a flow may have such members, too");
        assert_eq!(documents(r#"{"flows":[],"version":1}"#), [""; 0]);
        for enclosed in [
            "\u{feff}{\"flow\":{\"id\":1},\"warnings\":[]}\n{\"flow\":{\"id\": 2.50}}",
            r#"[{"flow":{"id":1}},{"revision":3,"flow":{"id": 2.50}}]"#,
            r#"{"flows":[{"flow":{"id":1}},{"id": 2.50}]}"#,
        ] {
            assert_eq!(documents(enclosed), two, "{enclosed}");
        }
    }

    #[test]
    fn locations_count_values_and_elements() {
        let locations = |input| read_all(input).unwrap().into_iter().map(|(_, location)| location).collect::<Vec<_>>();
        assert_eq!(locations(r#"{"flows":[{},{}]}"#), [Location::Flow(0), Location::Flow(1)]);
        assert_eq!(locations("[{},1]"), [Location::Element(0), Location::Element(1)]);
        assert_eq!(locations("{}\n{}"), [Location::Value(1), Location::Value(2)]);
    }

    #[test]
    fn other_inputs_are_rejected() {
        for (input, problem) in [
            ("{\"id\":1}\n{\"id\":", "EOF while parsing a value at line 2 column 6"),
            ("[{}", "EOF while parsing a list at line 1"),
            (
                "12",
                "invalid type: integer `12`, expected a flow, an array of flows, or an object with `flows` at line 1",
            ),
            (r#"{"flows":{}}"#, "invalid type: map, expected `$.flows` to be an array at line 1"),
            (r#"{"flows":[],"flows":[]}"#, "`$.flows`: the member is duplicated at line 1"),
            (
                r#"{"version":2,"flows":[]}"#,
                "`$.version`: the version is higher than 1; a newer version of Strom wrote the file at line 1",
            ),
            (r#"{"flows":[],"version":"1"}"#, "`$.version`: expected 1 at line 1"),
        ] {
            let error = read_all(input).unwrap_err();
            assert!(error.starts_with(&format!("not valid JSON of flows: {problem}")), "{input}: {error}");
        }
    }

    #[test]
    fn blank_inputs_differ_from_truncated_ones() {
        for blank in ["", " \r\n\t", "\u{feff}\n"] {
            assert!(matches!(read(blank.as_bytes(), |_, _| Ok(())), Err(InputError::Empty)), "{blank:?}");
        }
        assert_eq!(documents("[]\n"), [""; 0]);
    }

    /// The memory is limited by the size of one document, not of the input.
    #[test]
    fn documents_are_bounded_and_inputs_are_not() {
        let read = |input: &str| read_within(1 << 20, input.as_bytes(), |_, _| Ok(()));
        for long in [format!("[\"{}\"]", "x".repeat(1 << 20)), "[".repeat(1 << 21)] {
            assert_eq!(read(&long).unwrap_err().to_string(), "a document has over 1048576 bytes");
        }
        read(&format!("[\"{}\"]\n", "x".repeat(1 << 19)).repeat(8)).unwrap();
    }

    #[test]
    fn an_error_of_take_stops_the_read() {
        let mut taken = 0;
        let stopped = read("[1,2,3]".as_bytes(), |_, _| {
            taken += 1;
            if taken < 2 { Ok(()) } else { Err(InputError::TooLarge("enough".into())) }
        });
        assert_eq!((taken, stopped.unwrap_err().to_string().as_str()), (2, "enough"));
    }
}
