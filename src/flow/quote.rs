//! Values within a sentence: short, on one line, and without secrets.

use super::Node;
use super::redaction::redact;

/// The maximum number of characters of a value.
const MAX_SHOWN: usize = 80;
/// The maximum length of an array or object that is shown. A longer one is described by its size.
const MAX_TEXT: usize = 4 * MAX_SHOWN;

/// Returns the value of the member with this name as JSON text, truncated if it is long.
pub(super) fn quote(name: &str, value: &Node<'_>) -> String {
    match value {
        Node::Array(items) if value.jsonb_len() > MAX_TEXT => format!("an array of {} items", items.len()),
        Node::Object(members) if value.jsonb_len() > MAX_TEXT => format!("an object of {} members", members.len()),
        _ => {
            // The name of the member decides whether it is secret, so the value is redacted within an object.
            let mut member = Node::Object(vec![(name.into(), value.clone())]);
            redact(&mut member);
            shortened(member.get(name).unwrap_or(value).to_compact())
        }
    }
}

/// Replaces the control characters that `to_compact` does not escape, for terminals.
fn shortened(text: String) -> String {
    let mut short: String = text.chars().take(MAX_SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::quote;
    use crate::flow::Node;

    #[test]
    fn values_are_short_and_hold_no_secrets() {
        let long = format!("\"{}\"", "é".repeat(200));
        let many = format!("[{}]", vec!["1"; 200].join(","));
        for (name, text, shown) in [
            ("gain", "1.10", "1.10"),
            ("position", "[1, 2.50]", "[1,2.50]"),
            ("srt_passphrase", "\"p\"", "\"REDACTED\""),
            ("uri", r#""srt://h:1?passphrase=p""#, r#""srt://h:1?passphrase=REDACTED""#),
            ("properties", r#"{"token":"t","x":1}"#, r#"{"token":"REDACTED","x":1}"#),
            ("x", "\"a\\u009bb\"", "\"a\u{fffd}b\""),
            ("x", &long, &format!("\"{}…", "é".repeat(79))),
            ("x", &many, "an array of 200 items"),
        ] {
            assert_eq!(quote(name, &Node::parse(text).unwrap()), shown, "{text}");
        }
    }
}
