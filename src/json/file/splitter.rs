//! Cuts the file of flows into values without parsing them.
//!
//! serde_json reads a stream byte by byte, which took two thirds of the time to open a store. The splitter only recognizes
//! strings and brackets. It reports no details about an irregular file: the exact reader in
//! [`file_reader`](super::file_reader) states what is wrong, and where.

use std::io::{self, Read};

use memchr::memchr2;

/// Size of one read in bytes.
const BLOCK: usize = 1 << 18;

/// A window of a file that is read block by block.
pub(super) struct Splitter<R> {
    file: R,
    buffer: Vec<u8>,
    /// Start of the bytes that have not been taken.
    at: usize,
    /// End of the bytes that have been read.
    end: usize,
}

/// The file is irregular at this position, or cannot be read.
#[derive(Debug)]
pub(super) struct Unexpected;

type Result<T> = std::result::Result<T, Unexpected>;

impl From<io::Error> for Unexpected {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl<R: Read> Splitter<R> {
    pub(super) fn new(file: R) -> Self {
        Self { file, buffer: Vec::new(), at: 0, end: 0 }
    }

    /// Skips a byte order mark, which some editors write.
    pub(super) fn skip_mark(&mut self) -> Result<()> {
        const MARK: &[u8] = "\u{feff}".as_bytes();
        while self.end < MARK.len() && self.fill()? {}
        if self.buffer[..self.end].starts_with(MARK) {
            self.at = MARK.len();
        }
        Ok(())
    }

    /// Returns the next byte after white space without taking it, or `None` at the end.
    pub(super) fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let rest = &self.buffer[self.at..self.end];
            if let Some(blanks) = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
                self.at += blanks;
                return Ok(Some(self.buffer[self.at]));
            }
            self.at = self.end;
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Takes this byte after white space. Returns whether it was the next byte.
    pub(super) fn take(&mut self, byte: u8) -> Result<bool> {
        let is_there = self.peek()? == Some(byte);
        self.at += usize::from(is_there);
        Ok(is_there)
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<()> {
        if self.take(byte)? { Ok(()) } else { Err(Unexpected) }
    }

    /// Takes the next value and returns its text.
    pub(super) fn value(&mut self) -> Result<&str> {
        let first = self.peek()?.ok_or(Unexpected)?;
        let mut scan = Scan { depth: 0, in_string: false, is_scalar: !matches!(first, b'{' | b'[' | b'"') };
        let mut length = 0;
        loop {
            match scan.end_in(&self.buffer[self.at..self.end], &mut length) {
                Some(()) => break,
                None if self.fill()? => {}
                None => return Err(Unexpected),
            }
        }
        if length == 0 {
            return Err(Unexpected);
        }
        let text = &self.buffer[self.at..self.at + length];
        self.at += length;
        std::str::from_utf8(text).map_err(|_| Unexpected)
    }

    /// Reads more of the file, over the bytes that have been taken. Returns false at the end of the file.
    fn fill(&mut self) -> Result<bool> {
        if self.at > 0 {
            self.buffer.copy_within(self.at..self.end, 0);
            (self.at, self.end) = (0, self.end - self.at);
        }
        if self.buffer.len() < self.end + BLOCK {
            self.buffer.resize(self.end + BLOCK, 0);
        }
        loop {
            match self.file.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    let count = read?;
                    self.end += count;
                    return Ok(count > 0);
                }
            }
        }
    }
}

/// The state of the search for the end of a value.
struct Scan {
    depth: usize,
    in_string: bool,
    /// A number, `true`, `false` or `null`. It ends before the next delimiter.
    is_scalar: bool,
}

impl Scan {
    /// Continues after the first `length` bytes. Returns `None` if the value does not end in the text.
    fn end_in(&mut self, text: &[u8], length: &mut usize) -> Option<()> {
        while *length < text.len() {
            if self.in_string {
                match memchr2(b'"', b'\\', &text[*length..]) {
                    None => {
                        *length = text.len();
                        return None;
                    }
                    Some(place) if text[*length + place] == b'"' => {
                        self.in_string = false;
                        *length += place + 1;
                    }
                    // An escaped character is not a delimiter. It may not have been read yet.
                    Some(place) if *length + place + 1 < text.len() => *length += place + 2,
                    Some(place) => {
                        *length += place;
                        return None;
                    }
                }
            } else if self.is_scalar {
                if matches!(text[*length], b'}' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r') {
                    return Some(());
                }
                *length += 1;
            } else {
                // Most of an indented file is neither a string nor a bracket.
                let bound = text[*length..].iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']'));
                let Some(place) = bound else {
                    *length = text.len();
                    return None;
                };
                *length += place + 1;
                match text[*length - 1] {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    _ => self.depth = self.depth.checked_sub(1)?,
                }
            }
            if self.depth == 0 && !self.in_string && !self.is_scalar {
                return Some(());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::Splitter;

    /// Gives a few bytes at a time, so that a value ends anywhere in what is read.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = buffer.len().min(self.1);
            self.0.read(&mut buffer[..count])
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            r#"[a"\\\[\]{}, é]{0,6}"#.prop_map(Into::into),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[a\"\\\\]{0,3}", inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_end_where_serde_json_ends_them(values in prop::collection::vec(json(), 1..4), step in 1_usize..9) {
            let text = format!(" [ {} ] ", values.iter().map(|v| format!("{v:#}")).collect::<Vec<_>>().join(" ,"));
            let mut splitter = Splitter::new(Slowly(text.as_bytes(), step));
            prop_assert!(splitter.take(b'[').unwrap());
            for (index, value) in values.iter().enumerate() {
                let found: serde_json::Value = serde_json::from_str(splitter.value().unwrap()).unwrap();
                prop_assert_eq!(&found, value);
                let behind = if index + 1 < values.len() { b',' } else { b']' };
                prop_assert!(splitter.take(behind).unwrap());
            }
            prop_assert_eq!(splitter.peek().unwrap(), None);
        }
    }

    #[test]
    fn what_does_not_end_is_no_value() {
        for text in ["", "{", "[1", "\"a", "\"a\\", "{\"a\":[}", "]", "12"] {
            assert!(Splitter::new(text.as_bytes()).value().is_err(), "{text}");
        }
    }
}
