//! A strict JSON parser (RFC 8259) that keeps every number as written.
//!
//! serde_json cannot replace it. Its `Value` rounds numbers, or with `arbitrary_precision` changes its type for every
//! crate of the program. It silently keeps the last of two equal keys. Its `RawValue` accepts lone surrogates, and its
//! errors have no path. A property test compares this parser with serde_json.

use std::borrow::Cow;
use std::collections::HashSet;

use super::number::Decimal;
use super::refusal::{Path, Reason, Refusal};
use super::{MAX_DEPTH, Node};

/// Boxed, because a large error type would slow down the results of every value.
type Result<T> = std::result::Result<T, Box<Refusal>>;

pub(super) fn parse(text: &str) -> std::result::Result<Node<'_>, Refusal> {
    read(text).map_err(|refusal| *refusal)
}

fn read(text: &str) -> Result<Node<'_>> {
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0 };
    parser.skip_space();
    let node = parser.value(0)?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.not_json("expected the end of the text")),
    }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Node<'a>> {
        match self.peek() {
            Some(b'{' | b'[') if depth == MAX_DEPTH => Err(Reason::TooDeep.at(Path::default()).into()),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => Ok(Node::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.keyword("true", Node::Bool(true)),
            Some(b'f') => self.keyword("false", Node::Bool(false)),
            Some(b'n') => self.keyword("null", Node::Null),
            Some(_) => Err(self.not_json("expected a value")),
            None => Err(self.not_json("the text ends where a value is expected")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node<'a>> {
        let mut members: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.take(b'}') {
            return Ok(Node::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.not_json("expected a member name in quotes"));
            }
            let name = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return Err(self.not_json("expected `:` after the member name"));
            }
            self.skip_space();
            match self.value(depth) {
                Ok(value) => members.push((name, value)),
                Err(refusal) => return Err(within(*refusal, |path| path.inside_member(&name))),
            }
            self.skip_space();
            if self.take(b'}') {
                return no_duplicates(&members).map(|()| Node::Object(members));
            }
            if !self.take(b',') {
                return Err(self.not_json("expected `,` or `}` after a member"));
            }
            self.skip_space();
        }
    }

    fn array(&mut self, depth: usize) -> Result<Node<'a>> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.take(b']') {
            return Ok(Node::Array(items));
        }
        loop {
            match self.value(depth) {
                Ok(value) => items.push(value),
                Err(refusal) => return Err(within(*refusal, |path| path.inside_index(items.len()))),
            }
            self.skip_space();
            if self.take(b']') {
                return Ok(Node::Array(items));
            }
            if !self.take(b',') {
                return Err(self.not_json("expected `,` or `]` after an array element"));
            }
            self.skip_space();
        }
    }

    fn keyword(&mut self, word: &'static str, node: Node<'a>) -> Result<Node<'a>> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.not_json("expected a value"));
        }
        self.at += word.len();
        Ok(node)
    }

    fn number(&mut self) -> Result<Node<'a>> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') && self.digits() == 0 {
            return Err(self.not_json("expected a digit"));
        }
        if self.take(b'.') && self.digits() == 0 {
            return Err(self.not_json("expected a digit after the decimal point"));
        }
        let has_exponent = self.take(b'e') || self.take(b'E');
        if has_exponent {
            let _ = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return Err(self.not_json("expected a digit in the exponent"));
            }
        }
        let text = &self.text[start..self.at];
        // A short number without an exponent fits. Others are checked exactly.
        let plain = text.len() < 16_000 && !has_exponent;
        if plain || Decimal::new(text).fits_numeric() {
            Ok(Node::Number(text))
        } else {
            Err(Reason::NumberOutOfRange.at(Path::default()).into())
        }
    }

    fn digits(&mut self) -> usize {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    /// Parses a string. Borrows from the text unless the string contains escapes.
    fn string(&mut self) -> Result<Cow<'a, str>> {
        self.at += 1;
        let start = self.at;
        self.plain_run();
        if self.take(b'"') {
            return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
        }
        let mut owned = self.text[start..self.at].to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(owned));
                }
                Some(b'\\') => owned.push(self.escape()?),
                Some(_) => return Err(self.not_json("a control character in a string must be escaped")),
                None => return Err(self.not_json("the text ends inside a string")),
            }
            let start = self.at;
            self.plain_run();
            owned.push_str(&self.text[start..self.at]);
        }
    }

    fn plain_run(&mut self) {
        let rest = &self.bytes[self.at..];
        let special = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        self.at += special.unwrap_or(rest.len());
    }

    fn escape(&mut self) -> Result<char> {
        self.at += 1;
        let Some(letter) = self.peek() else {
            return Err(self.not_json("the text ends inside a string"));
        };
        self.at += 1;
        Ok(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => {
                self.at -= 1;
                return Err(self.not_json("invalid escape sequence"));
            }
        })
    }

    fn unicode_escape(&mut self) -> Result<char> {
        let first = self.hex4()?;
        let scalar = match first {
            0 => return Err(Reason::NulCharacter.at(Path::default()).into()),
            0xd800..=0xdbff if self.bytes[self.at..].starts_with(b"\\u") => {
                self.at += 2;
                match self.hex4()? {
                    second @ 0xdc00..=0xdfff => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                    _ => first,
                }
            }
            _ => first,
        };
        char::from_u32(scalar).ok_or_else(|| Reason::LoneSurrogate.at(Path::default()).into())
    }

    fn hex4(&mut self) -> Result<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else {
            return Err(self.not_json("expected four hexadecimal digits"));
        };
        let value = digits.iter().fold(0, |value, digit| value * 16 + (*digit as char).to_digit(16).unwrap_or(0));
        self.at += 4;
        Ok(value)
    }

    fn skip_space(&mut self) {
        let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.bytes[self.at..].iter().take_while(space).count();
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    #[cold]
    fn not_json(&self, problem: &'static str) -> Box<Refusal> {
        let mut end = self.at;
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Reason::NotJson { line, column, problem }.at(Path::default()).into()
    }
}

#[cold]
fn within(refusal: Refusal, whole: impl FnOnce(Path) -> Path) -> Box<Refusal> {
    Refusal { path: whole(refusal.path), ..refusal }.into()
}

fn no_duplicates(members: &[(Cow<'_, str>, Node<'_>)]) -> Result<()> {
    let duplicate = if members.len() <= 16 {
        (1..members.len()).find(|&i| members[..i].iter().any(|(name, _)| *name == members[i].0))
    } else {
        let mut seen = HashSet::with_capacity(members.len());
        (0..members.len()).find(|&i| !seen.insert(&members[i].0))
    };
    match duplicate {
        None => Ok(()),
        Some(i) => Err(Reason::DuplicateMember.at(Path::member(&members[i].0)).into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse;
    use crate::flow::refusal::Reason;

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_place() {
        let cases = [
            ("", "`$`: not JSON at line 1, column 1: the text ends where a value is expected"),
            ("{\n  \"é\": tru }", "`$['é']`: not JSON at line 2, column 8: expected a value"),
            (r#"{"a": [1, {"b": "\u0000"}]}"#, "`$.a[1].b`: contains the character U+0000, which cannot be stored"),
            (r#"{"a": "\ud800x"}"#, "`$.a`: contains a lone surrogate, which is not a character"),
            (r#"{"a": "\udc00\ud800"}"#, "`$.a`: contains a lone surrogate, which is not a character"),
            (r#"{"a": "\ud800\u0041"}"#, "`$.a`: contains a lone surrogate, which is not a character"),
            (r#"{"a": {"b c": 1, "b c": 2}}"#, "`$.a['b c']`: the member is duplicated in one object"),
            (r#"{"a": "b", "\u0061": 2}"#, "`$.a`: the member is duplicated in one object"),
            (r#"{"a": 01}"#, "`$`: not JSON at line 1, column 8: expected `,` or `}` after a member"),
            (r#"{"a": 1e}"#, "`$.a`: not JSON at line 1, column 9: expected a digit in the exponent"),
            ("[1] x", "`$`: not JSON at line 1, column 5: expected the end of the text"),
            (
                r#"[1e131072]"#,
                "`$[0]`: the number has over 131072 digits before or 16383 digits after the decimal point",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(refusal(text), expected, "{text}");
        }
    }

    #[test]
    fn depth_of_128_is_the_limit() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(128)).is_ok());
        assert_eq!(parse(&nested(129)).unwrap_err().reason, Reason::TooDeep);
        assert_eq!(parse(&"[".repeat(1 << 20)).unwrap_err().reason, Reason::TooDeep);
    }

    /// Rejected here and accepted by serde_json.
    fn refused_on_purpose(reason: &Reason) -> bool {
        !matches!(reason, Reason::NotJson { .. })
    }

    proptest! {
        #[test]
        fn accepts_what_serde_json_accepts(text in r#"[\[\]{},:"0-9eE.+\- \\ua-fnrt\x01é]{0,24}"#) {
            let judge: Result<serde_json::Value, _> = serde_json::from_str(&text);
            match (parse(&text), judge) {
                (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
                (Err(refusal), Ok(_)) => prop_assert!(refused_on_purpose(&refusal.reason), "{}", refusal),
                // serde_json rejects numbers beyond f64.
                (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("number out of range"), "{}", error),
            }
        }

        #[test]
        fn reads_strings_as_serde_json_does(string in any::<String>()) {
            prop_assume!(!string.contains('\0'));
            let text = serde_json::to_string(&string).unwrap();
            let node = parse(&text).unwrap();
            prop_assert_eq!(node.as_str(), Some(string.as_str()));
        }
    }
}
