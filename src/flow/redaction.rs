//! Redacts the secrets of a document.

use std::borrow::Cow;

use super::{Flow, Node, Refusal};

/// The replacement of a secret.
pub const REDACTED: &str = "REDACTED";

/// Parts of the names of secret members, in lower case and without `-` and `_`.
const SECRET_NAMES: [&str; 8] =
    ["passphrase", "password", "passwd", "secret", "token", "apikey", "streamkey", "credential"];

impl Flow {
    /// Returns the flow with [`REDACTED`] in place of every secret. Secrets are the values of members whose name
    /// indicates one (passphrases, passwords, tokens, keys), and the password and such parameters of a URL. Empty
    /// values stay, because the absence of a passphrase is worth knowing.
    ///
    /// # Errors
    /// As [`Flow::with_state`].
    ///
    /// ```
    /// # use strom_store::Flow;
    /// let id = "6f1d3c5e-0000-4000-8000-000000000001";
    /// let flow = Flow::parse(&format!(
    ///     r#"{{"id":"{id}","name":"a","x":{{"srt_passphrase":"p","uri":"srt://h:1?mode=caller&passphrase=p"}}}}"#
    /// ))?;
    /// let redacted = r#"{"srt_passphrase":"REDACTED","uri":"srt://h:1?mode=caller&passphrase=REDACTED"}"#;
    /// assert_eq!(
    ///     flow.redacted()?.document().get(),
    ///     format!(r#"{{"id":"{id}","name":"a","x":{redacted}}}"#)
    /// );
    /// # Ok::<(), strom_store::Refusal>(())
    /// ```
    pub fn redacted(&self) -> Result<Self, Refusal> {
        let mut node = self.node()?;
        redact(&mut node);
        Self::from_node(node)
    }
}

pub(super) fn redact(node: &mut Node<'_>) {
    match node {
        Node::Object(members) => {
            for (name, value) in members {
                match value {
                    Node::Object(_) | Node::Array(_) => redact(value),
                    Node::Null | Node::Bool(_) => {}
                    Node::String(text) if text.is_empty() => {}
                    _ if is_secret(name) => *value = Node::String(REDACTED.into()),
                    _ => redact(value),
                }
            }
        }
        Node::Array(items) => items.iter_mut().for_each(redact),
        Node::String(text) => {
            if let Some(redacted) = redact_address(text) {
                *text = Cow::Owned(redacted);
            }
        }
        Node::Null | Node::Bool(_) | Node::Number(_) => {}
    }
}

fn is_secret(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect();
    SECRET_NAMES.iter().any(|secret| plain.contains(secret))
}

/// Returns the URL without its secrets, or `None` if it has none or is not a URL. Does not parse and print the URL,
/// because that would change the spelling of the rest.
fn redact_address(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    let authority_end = place.find('/').unwrap_or(place.len());
    let (authority, path) = place.split_at(authority_end);
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:{REDACTED}@{host}"),
            None => authority.to_owned(),
        },
        None => authority.to_owned(),
    };
    let mut redacted = format!("{scheme}://{authority}{path}");
    if let Some(query) = query {
        let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret(name) => format!("{name}={REDACTED}"),
            _ => parameter.to_owned(),
        });
        redacted = format!("{redacted}?{}", parameters.collect::<Vec<_>>().join("&"));
    }
    (redacted != text).then_some(redacted)
}

#[cfg(test)]
mod tests {
    use super::{Flow, redact_address};

    #[test]
    fn addresses_keep_all_but_their_secrets() {
        for (text, redacted) in [
            ("srt://:1?passphrase=p&latency=20", "srt://:1?passphrase=REDACTED&latency=20"),
            ("rtsp://me:pa:ss@cam/1?x", "rtsp://me:REDACTED@cam/1?x"),
            ("rtmp://a/b?streamKey=k", "rtmp://a/b?streamKey=REDACTED"),
        ] {
            assert_eq!(redact_address(text).as_deref(), Some(redacted));
        }
        for harmless in ["srt://:1?mode=listener", "rtsp://me@cam", "a: b@c", "http://a/b@c:d", "srt://:1?passphrase="]
        {
            assert_eq!(redact_address(harmless), None, "{harmless}");
        }
    }

    #[test]
    fn members_that_speak_of_a_secret_are_redacted() {
        let id = r#""id":"6f1d3c5e-0000-4000-8000-000000000001","name":"a""#;
        let flow =
            format!(r#"{{{id},"b":[{{"Pass-Phrase":1,"api_key":"k","passphrase":"","key":"t","token":null}}]}}"#);
        let redacted = format!(
            r#"{{{id},"b":[{{"Pass-Phrase":"REDACTED","api_key":"REDACTED","passphrase":"","key":"t","token":null}}]}}"#
        );
        assert_eq!(Flow::parse(&flow).unwrap().redacted().unwrap().document().get(), redacted);
    }
}
