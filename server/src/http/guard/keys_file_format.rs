//! The format of a file with keys: TOML, with one table per key. The name of the table is the name of the key.
//!
//! ```toml
//! [control-room]
//! sha256 = "09c028c8d4dbf5efb26395ad3e3280fe200410907930acb2d4df6bd8f32b22db"
//!
//! [dashboard]
//! secret = "correct horse battery staple"
//! read-only = true
//! ```

use std::collections::HashMap;

use toml::de::{DeTable, DeValue};

use super::api_key::ApiKey;
use super::secret::{digest_of, is_blank_digest};

/// Authors of changes without a key, and the author of `--api-key`.
const RESERVED: [&str; 5] = ["anonymous", "api", "cli", "file", "sql"];
const NAME: &str = "a key name has 1 to 64 characters, no control characters, and no leading or trailing spaces";
const MEMBERS: &str = "a key requires `secret` or `sha256`; the only other member is `read-only` (true or false)";

/// The line of an error, and its description.
type FormatError = (Option<usize>, String);

/// Parses a file and adds another key.
pub(super) fn parse(text: &str, additional: Option<&ApiKey>) -> Result<Vec<ApiKey>, FormatError> {
    let line_of = |offset: usize| Some(text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1);
    // Only the message: the display form of the error contains the line, and so a secret.
    let table = DeTable::parse(text).map_err(|error| {
        (error.span().and_then(|span| line_of(span.start)), format!("invalid TOML: {}", error.message()))
    })?;
    let mut keys: Vec<ApiKey> = additional.cloned().into_iter().collect();
    let mut lines: HashMap<[u8; 32], Option<usize>> = keys.iter().map(|key| (key.digest, None)).collect();
    for (name, entry) in table.get_ref() {
        let line = line_of(name.span().start);
        let key = key(name.get_ref(), entry.get_ref()).map_err(|problem| (line, problem))?;
        if let Some(other) = lines.insert(key.digest, line) {
            let other = other.map_or_else(|| "of --api-key".to_owned(), |line| format!("in line {line}"));
            return Err((
                line,
                format!("its secret is also the secret of the key {other}\nuse a different secret for each key"),
            ));
        }
        keys.push(key);
    }
    match table.get_ref().is_empty() {
        true => {
            let problem = "the file contains no key\nadd a table such as [control-room] with a member `sha256`";
            Err((None, problem.to_owned()))
        }
        false => Ok(keys),
    }
}

fn key(name: &str, entry: &DeValue<'_>) -> Result<ApiKey, String> {
    let DeValue::Table(members) = entry else {
        return Err("a value outside of a key\nstart with the name of a key in brackets, such as [control-room]".into());
    };
    if !(1..=64).contains(&name.chars().count()) || name.chars().any(char::is_control) || name.trim() != name {
        return Err(NAME.to_owned());
    }
    if let Some(reserved) = RESERVED.iter().find(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return Err(format!("`{reserved}` is a reserved author name\nuse another name"));
    }
    let (mut digest, mut is_read_only) = (None, false);
    for (member, value) in members {
        match (member.get_ref().as_ref(), value.get_ref()) {
            ("secret" | "sha256", _) if digest.is_some() => return Err(MEMBERS.to_owned()),
            ("secret", DeValue::String(secret)) => digest = Some(digest_of(secret).map_err(|weak| weak.to_string())?),
            ("sha256", DeValue::String(digits)) => digest = Some(digest_from(digits)?),
            ("read-only", DeValue::Boolean(value)) => is_read_only = *value,
            _ => return Err(MEMBERS.to_owned()),
        }
    }
    let key = ApiKey::of_digest(name, digest.ok_or(MEMBERS)?);
    Ok(if is_read_only { key.read_only() } else { key })
}

fn digest_from(digits: &str) -> Result<[u8; 32], String> {
    let wrong = || "`sha256` is not 64 hexadecimal digits\ngenerate it with `printf %s SECRET | sha256sum`".to_owned();
    let mut digest = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    for (byte, index) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&digits[index..index + 2], 16).map_err(|_| wrong())?;
    }
    match is_blank_digest(&digest) {
        true => Err("`sha256` is the hash of a blank secret\ngenerate a secret with `openssl rand -hex 32`".to_owned()),
        false => Ok(digest),
    }
}

#[cfg(test)]
mod tests;
