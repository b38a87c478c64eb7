//! Prints a [`Node`]: compact for storing, pretty for people, canonical for comparing.

use super::Node;
use super::node::needs_escapes;
use super::number::{Decimal, canonical_part};

impl Node<'_> {
    /// Prints without white space, otherwise as written.
    pub(crate) fn to_compact(&self) -> String {
        self.to_compact_of(0)
    }

    /// Like [`to_compact`](Self::to_compact), with the approximate length of the text.
    pub(super) fn to_compact_of(&self, length: usize) -> String {
        let mut out = String::with_capacity(length);
        self.print(&mut out, None);
        out
    }

    /// Prints indented by two spaces, like `serde_json::to_string_pretty` and the files of older versions.
    pub(crate) fn write_pretty(&self, out: &mut String, level: usize) {
        self.print(out, Some(level));
    }

    /// Prints the canonical text: members sorted by name (bytes), numbers as exact decimals without insignificant
    /// zeros, no white space. Two values are equal if and only if their canonical texts are.
    pub(crate) fn to_canonical(&self) -> String {
        self.to_canonical_of(0)
    }

    /// Like [`to_canonical`](Self::to_canonical), with the approximate length of the text.
    pub(super) fn to_canonical_of(&self, length: usize) -> String {
        let mut out = String::with_capacity(length);
        self.write_canonical(&mut out, None);
        out
    }

    /// Like [`to_canonical`](Self::to_canonical), indented like [`write_pretty`](Self::write_pretty).
    pub(crate) fn to_canonical_pretty(&self) -> String {
        let mut out = String::new();
        self.write_canonical(&mut out, Some(0));
        out
    }

    fn print(&self, out: &mut String, level: Option<usize>) {
        let inner = level.map(|level| level + 1);
        match self {
            Self::Number(text) => out.push_str(text),
            Self::Array(items) if !items.is_empty() => surround(out, '[', ']', level, items, |out, item| {
                item.print(out, inner);
            }),
            Self::Object(members) if !members.is_empty() => {
                surround(out, '{', '}', level, members, |out, (name, value)| {
                    write_string(out, name);
                    out.push_str(if level.is_some() { ": " } else { ":" });
                    value.print(out, inner);
                });
            }
            simple => simple.write_simple(out),
        }
    }

    fn write_canonical(&self, out: &mut String, level: Option<usize>) {
        let inner = level.map(|level| level + 1);
        match self {
            Self::Number(text) => match canonical_part(text) {
                Some(part) => out.push_str(part),
                None => Decimal::new(text).write_canonical(out),
            },
            Self::Array(items) if !items.is_empty() => {
                surround(out, '[', ']', level, items, |out, item| item.write_canonical(out, inner));
            }
            Self::Object(members) if !members.is_empty() => {
                let mut sorted: Vec<_> = members.iter().collect();
                sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                surround(out, '{', '}', level, sorted, |out, (name, value)| {
                    write_string(out, name);
                    out.push_str(if level.is_some() { ": " } else { ":" });
                    value.write_canonical(out, inner);
                });
            }
            simple => simple.write_simple(out),
        }
    }

    fn write_simple(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::String(string) => write_string(out, string),
            Self::Array(_) => out.push_str("[]"),
            Self::Object(_) => out.push_str("{}"),
        }
    }
}

fn surround<T>(
    out: &mut String,
    open: char,
    close: char,
    level: Option<usize>,
    items: impl IntoIterator<Item = T>,
    print: impl Fn(&mut String, T),
) {
    let new_line = |out: &mut String, extra: usize| {
        if let Some(level) = level {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", level + extra));
        }
    };
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        new_line(out, 1);
        print(out, item);
    }
    new_line(out, 0);
    out.push(close);
}

/// Prints a string with the escapes that JSON requires and no others, like serde_json and PostgreSQL.
fn write_string(out: &mut String, string: &str) {
    out.push('"');
    if !needs_escapes(string) {
        out.push_str(string);
        out.push('"');
        return;
    }
    let mut start = 0;
    for (at, byte) in string.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            0x09 => "\\t",
            0x0a => "\\n",
            0x0c => "\\f",
            0x0d => "\\r",
            0..=0x1f => "\\u00",
            _ => continue,
        };
        out.push_str(&string[start..at]);
        out.push_str(escape);
        if escape == "\\u00" {
            out.push(if byte < 0x10 { '0' } else { '1' });
            out.extend(char::from_digit(u32::from(byte & 0xf), 16));
        }
        start = at + 1;
    }
    out.push_str(&string[start..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::flow::Node;

    const TEXT: &str = r#"{"b": [1.10, {"x": {}, "y": []}], "a": "\u0007\"é\ud83d\ude00\/", "": null}"#;

    #[test]
    fn compact_keeps_order_and_numbers() {
        let compact = Node::parse(TEXT).unwrap().to_compact();
        assert_eq!(compact, r#"{"b":[1.10,{"x":{},"y":[]}],"a":"\u0007\"é😀/","":null}"#);
    }

    #[test]
    fn canonical_sorts_members_and_trims_zeros() {
        let canonical = Node::parse(TEXT).unwrap().to_canonical();
        assert_eq!(canonical, r#"{"":null,"a":"\u0007\"é😀/","b":[1.1,{"x":{},"y":[]}]}"#);
    }

    #[test]
    fn canonical_is_indented_alike() {
        let canonical = Node::parse(TEXT).unwrap().to_canonical_pretty();
        let expected = "{\n  \"\": null,\n  \"a\": \"\\u0007\\\"é😀/\",\n  \"b\": [\n    1.1,\n    {\n      \"x\": {},\n      \"y\": []\n    }\n  ]\n}";
        assert_eq!(canonical, expected);
    }

    #[test]
    fn pretty_is_serde_json_s() {
        let text = r#"{"b":[1,{"x":{},"y":[]}],"a":"é"}"#;
        let mut pretty = String::new();
        Node::parse(text).unwrap().write_pretty(&mut pretty, 0);
        let expected =
            "{\n  \"b\": [\n    1,\n    {\n      \"x\": {},\n      \"y\": []\n    }\n  ],\n  \"a\": \"é\"\n}";
        assert_eq!(pretty, expected);
    }

    proptest! {
        #[test]
        fn strings_are_printed_as_serde_json_prints_them(string in any::<String>()) {
            prop_assume!(!string.contains('\0'));
            let text = serde_json::to_string(&string).unwrap();
            let node = Node::parse(&text).unwrap();
            prop_assert_eq!(node.jsonb_len(), text.len());
            prop_assert_eq!(node.to_compact(), text);
        }
    }
}
