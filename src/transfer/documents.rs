//! The documents of an input, one at a time.
//!
//! An input is a file of flows (`{"version": 1, "flows": [...]}`; an answer of the list route is one as well), an array of
//! flows, one flow, or several values of these one after the other, as in NDJSON and in what `SELECT data FROM flows`
//! prints. An object is a file when it has a member `flows` before any `id`: a flow may have a member of that name, too.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::flow::{MAX_SIZE, Path};

/// The longest text of one document in an input, in bytes, white space included: twice what can be stored.
const LONGEST: u64 = 2 * MAX_SIZE as u64;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Where a document stands in its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// One of the values at the top, counted from 1.
    Value(usize),
    /// In an array, counted from 0.
    Element(usize),
    /// In the `flows` of a file, counted from 0.
    Flow(usize),
}

impl Place {
    /// A value inside of the document, as seen from the input.
    pub(super) fn at(self, path: Path) -> String {
        match self {
            Self::Value(1) => format!("`{path}`"),
            Self::Value(number) => format!("value {number}: `{path}`"),
            Self::Element(index) => format!("`{}`", path.inside_index(index)),
            Self::Flow(index) => format!("`{}`", path.inside_index(index).inside_member("flows")),
        }
    }
}

/// Why an input cannot be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// There is nothing in it: no flows where documents follow each other, and no JSON where there should be one.
    #[error("the input is empty")]
    Empty,
    /// It is no JSON, or has none of the shapes that are understood.
    #[error("{0}")]
    Malformed(String),
    /// A document, or their number, is beyond what is taken.
    #[error("{0}")]
    TooLarge(String),
    /// It could not be read.
    #[error("the input broke off: {0}")]
    Broken(#[source] io::Error),
    /// The temporary file cannot be written.
    #[error("the temporary file: {0}")]
    NotKept(#[from] io::Error),
}

/// Shows every document in its order until `take` refuses.
///
/// # Errors
/// What `take` says, or why the input cannot be read.
pub(super) fn read(
    input: impl Read,
    take: impl FnMut(&str, Place) -> Result<(), InputError>,
) -> Result<(), InputError> {
    read_within(LONGEST, input, take)
}

fn read_within(
    longest: u64,
    input: impl Read,
    mut take: impl FnMut(&str, Place) -> Result<(), InputError>,
) -> Result<(), InputError> {
    let (left, is_blank) = (Rc::new(Cell::new(longest)), Rc::new(Cell::new(true)));
    let mut input =
        BufReader::with_capacity(1 << 16, Bounded { input, left: Rc::clone(&left), is_blank: Rc::clone(&is_blank) });
    if input.fill_buf().map_err(InputError::Broken)?.starts_with(BYTE_ORDER_MARK) {
        input.consume(BYTE_ORDER_MARK.len());
    }
    let mut json = serde_json::Deserializer::from_reader(input);
    for number in 1.. {
        let mut fault = None;
        let pass = |text: &str, place| {
            left.set(longest);
            take(text, place).map_err(|error| fault = Some(error)).is_ok()
        };
        let read = json.deserialize_any(Top { pass, number });
        if let Some(fault) = fault {
            return Err(fault);
        }
        let is_over = read.and_then(|()| match json.end() {
            Ok(()) => Ok(true),
            // Something follows.
            Err(error) if error.is_syntax() => Ok(false),
            Err(error) => Err(error),
        });
        let is_over = is_over.map_err(|error| match left.get() {
            _ if error.is_eof() && is_blank.get() => InputError::Empty,
            0 => InputError::TooLarge(format!("a document has over {longest} bytes")),
            _ if error.is_io() => InputError::Broken(error.into()),
            _ => InputError::Malformed(format!("not the JSON of flows: {error}")),
        })?;
        if is_over {
            break;
        }
    }
    Ok(())
}

/// Reads no more than what is left; whoever has taken a document allows for the next one.
struct Bounded<R> {
    input: R,
    left: Rc<Cell<u64>>,
    /// Whether only white space has been read.
    is_blank: Rc<Cell<bool>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        let left = self.left.get().saturating_sub(count as u64);
        self.left.set(left);
        if self.is_blank.get() {
            let bytes = &buffer[..count];
            let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
            self.is_blank.set(bytes.iter().all(u8::is_ascii_whitespace));
        }
        if left == 0 { Err(io::Error::other("too long")) } else { Ok(count) }
    }
}

/// A value at the top, which is the `number`th.
struct Top<F> {
    pass: F,
    number: usize,
}

impl<'de, F: FnMut(&str, Place) -> bool> Visitor<'de> for Top<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flow, an array of flows, or an object with `flows`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, flows: A) -> Result<(), A::Error> {
        Elements { pass: self.pass, place: Place::Element }.visit_seq(flows)
    }

    /// The members before `flows` are kept, since what has none is a flow.
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut text = String::from("{");
        let (mut has_id, mut version) = (false, None);
        while let Some(name) = map.next_key::<String>()? {
            if name == "flows" && !has_id {
                map.next_value_seed(Elements { pass: &mut self.pass, place: Place::Flow })?;
                return rest_of_file(map, version);
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
        go_on((self.pass)(&text, Place::Value(self.number)))
    }
}

/// Other members are none of an import's business.
fn rest_of_file<'de, A: MapAccess<'de>>(mut map: A, mut version: Option<String>) -> Result<(), A::Error> {
    while let Some(name) = map.next_key::<String>()? {
        match name.as_str() {
            "flows" => return Err(A::Error::custom("`$.flows`: the member occurs twice")),
            "version" => version = Some(map.next_value::<Box<RawValue>>()?.get().to_owned()),
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    match version.map(|version| serde_json::from_str::<f64>(&version)) {
        None | Some(Ok(1.0)) => Ok(()),
        Some(Ok(number)) if number > 1.0 => {
            Err(A::Error::custom("`$.version`: a newer version than 1, which a newer Strom has written"))
        }
        Some(_) => Err(A::Error::custom("`$.version`: expected 1")),
    }
}

struct Elements<F> {
    pass: F,
    place: fn(usize) -> Place,
}

impl<'de, F: FnMut(&str, Place) -> bool> DeserializeSeed<'de> for Elements<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&str, Place) -> bool> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`$.flows` to be an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut flows: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(flow) = flows.next_element::<Box<RawValue>>()? {
            go_on((self.pass)(flow.get(), (self.place)(index)))?;
            index += 1;
        }
        Ok(())
    }
}

fn go_on<E: serde::de::Error>(going: bool) -> Result<(), E> {
    if going { Ok(()) } else { Err(E::custom("stopped")) }
}

#[cfg(test)]
mod tests {
    use super::{InputError, Place, read, read_within};

    fn shown(input: &str) -> Result<Vec<(String, Place)>, String> {
        let mut all = Vec::new();
        let read = read(input.as_bytes(), |text, place| {
            all.push((text.to_owned(), place));
            Ok(())
        });
        read.map(|()| all).map_err(|error| error.to_string())
    }

    fn documents(input: &str) -> Vec<String> {
        shown(input).unwrap().into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn all_shapes_are_understood() {
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
    }

    #[test]
    fn places_are_counted() {
        let places = |input| shown(input).unwrap().into_iter().map(|(_, place)| place).collect::<Vec<_>>();
        assert_eq!(places(r#"{"flows":[{},{}]}"#), [Place::Flow(0), Place::Flow(1)]);
        assert_eq!(places("[{},1]"), [Place::Element(0), Place::Element(1)]);
        assert_eq!(places("{}\n{}"), [Place::Value(1), Place::Value(2)]);
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for (input, problem) in [
            ("{\"id\":1}\n{\"id\":", "EOF while parsing a value at line 2 column 6"),
            ("[{}", "EOF while parsing a list at line 1"),
            (
                "12",
                "invalid type: integer `12`, expected a flow, an array of flows, or an object with `flows` at line 1",
            ),
            (r#"{"flows":{}}"#, "invalid type: map, expected `$.flows` to be an array at line 1"),
            (r#"{"flows":[],"flows":[]}"#, "`$.flows`: the member occurs twice at line 1"),
            (
                r#"{"version":2,"flows":[]}"#,
                "`$.version`: a newer version than 1, which a newer Strom has written at line 1",
            ),
            (r#"{"flows":[],"version":"1"}"#, "`$.version`: expected 1 at line 1"),
        ] {
            let error = shown(input).unwrap_err();
            assert!(error.starts_with(&format!("not the JSON of flows: {problem}")), "{input}: {error}");
        }
    }

    #[test]
    fn what_is_blank_is_told_from_what_is_cut_off() {
        for blank in ["", " \r\n\t", "\u{feff}\n"] {
            assert!(matches!(read(blank.as_bytes(), |_, _| Ok(())), Err(InputError::Empty)), "{blank:?}");
        }
        assert_eq!(documents("[]\n"), [""; 0]);
    }

    /// However long an input is, one document must not fill the memory.
    #[test]
    fn documents_are_bounded_and_inputs_are_not() {
        let read = |input: &str| read_within(1 << 20, input.as_bytes(), |_, _| Ok(()));
        for long in [format!("[\"{}\"]", "x".repeat(1 << 20)), "[".repeat(1 << 21)] {
            assert_eq!(read(&long).unwrap_err().to_string(), "a document has over 1048576 bytes");
        }
        read(&format!("[\"{}\"]\n", "x".repeat(1 << 19)).repeat(8)).unwrap();
    }

    #[test]
    fn whoever_takes_may_stop() {
        let mut taken = 0;
        let stopped = read("[1,2,3]".as_bytes(), |_, _| {
            taken += 1;
            if taken < 2 { Ok(()) } else { Err(InputError::TooLarge("enough".into())) }
        });
        assert_eq!((taken, stopped.unwrap_err().to_string().as_str()), (2, "enough"));
    }
}
