//! The file of the keys: TOML, one table for each key, named as the key is.
//!
//! ```toml
//! [control-room]
//! sha256 = "09c028c8d4dbf5efb26395ad3e3280fe200410907930acb2d4df6bd8f32b22db"
//!
//! [dashboard]
//! secret = "correct horse battery staple"
//! read-only = true
//! ```
//!
//! While a server runs the file is read again and again, so that a key can be withdrawn without a restart. What cannot be
//! taken is reported, and the keys stay as they were: an editor that saves half a file must not shut everybody out, and
//! nobody in. Errors name the line and never what stands in it.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::interval;
use toml::de::{DeTable, DeValue};

use super::{ApiKey, Keys};

/// The largest file, in bytes: some ten thousand keys.
const LARGEST: u64 = 1 << 20;
/// The shortest secret, in bytes. Whoever gives a hash has chosen for himself.
const SHORTEST: usize = 16;
/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Authors that are not keys, and the key of `--api-key`.
const RESERVED: [&str; 5] = ["anonymous", "api", "cli", "file", "sql"];
const NAME: &str = "a name has 1 to 64 characters, none of them a control character, and no blanks around it";
const MEMBERS: &str = "a key has `secret` or `sha256`, and `read-only = true` if it only reads; nothing else";

/// A file of keys that is followed.
#[derive(Debug)]
pub struct KeysFile {
    path: PathBuf,
    /// Not from the file.
    besides: Option<ApiKey>,
    keys: Keys,
    /// What was taken from it last.
    taken: [u8; 32],
}

/// Why the keys of a file cannot be taken, where, and what to do. Shows nothing of what the file says.
#[derive(Debug, thiserror::Error)]
#[error("cannot take the keys in `{}`{}: {problem}", path.display(), line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct KeysFileError {
    path: PathBuf,
    line: Option<usize>,
    problem: String,
}

impl KeysFile {
    /// The keys in this file, and this one besides.
    ///
    /// # Errors
    /// The file cannot be read, or does not make sense.
    pub fn open(path: PathBuf, besides: Option<ApiKey>) -> Result<Self, KeysFileError> {
        let seen = Seen::read(&path);
        let keys = seen.keys(&path, besides.as_ref())?;
        let taken = seen.digest();
        Ok(Self { path, keys: keys.into_iter().collect(), besides, taken })
    }

    /// The keys, as the file has them at any time while it is followed.
    pub fn keys(&self) -> Keys {
        self.keys.clone()
    }

    /// Takes over what becomes of the file, about a second later, for as long as it is polled. What is no regular file is
    /// read once.
    pub async fn follow(mut self) {
        let mut look = interval(LOOK);
        let mut before = None;
        loop {
            look.tick().await;
            let path = self.path.clone();
            let Ok(seen) = spawn_blocking(move || Seen::read(&path)).await else { return };
            if matches!(&seen, Seen::Text(_, metadata) if !metadata.is_file()) {
                return;
            }
            let digest = seen.digest();
            // Twice the same, so that nothing is taken that is half written.
            if digest != self.taken && before == Some(digest) {
                self.taken = digest;
                match seen.keys(&self.path, self.besides.as_ref()) {
                    Ok(keys) => {
                        tracing::info!(keys = keys.len(), path = %self.path.display(), "the keys were read again");
                        self.keys.replace(keys);
                    }
                    Err(error) => {
                        tracing::error!("{}; the keys stay as they were", error.to_string().replace('\n', "; "))
                    }
                }
            }
            before = Some(digest);
        }
    }
}

/// What a look at the file has found.
enum Seen {
    Text(String, Metadata),
    Unreadable(String),
}

impl Seen {
    fn read(path: &Path) -> Self {
        let read = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            let mut text = String::new();
            match file.take(LARGEST + 1).read_to_string(&mut text)? as u64 {
                0..=LARGEST => Ok((text, metadata)),
                _ => Err(io::Error::other(format!("it is larger than {LARGEST} bytes"))),
            }
        };
        read().map_or_else(|error| Self::Unreadable(error.to_string()), |(text, metadata)| Self::Text(text, metadata))
    }

    fn digest(&self) -> [u8; 32] {
        match self {
            Self::Text(text, _) => Sha256::digest(text).into(),
            Self::Unreadable(why) => Sha256::new().chain_update([0]).chain_update(why).finalize().into(),
        }
    }

    fn keys(&self, path: &Path, besides: Option<&ApiKey>) -> Result<Vec<ApiKey>, KeysFileError> {
        let fault = |line, problem| KeysFileError { path: path.to_owned(), line, problem };
        match self {
            Self::Unreadable(why) => Err(fault(None, why.clone())),
            Self::Text(text, metadata) => {
                let keys = parse(text, besides).map_err(|(line, problem)| fault(line, problem))?;
                warn_of_others(path, metadata);
                Ok(keys)
            }
        }
    }
}

/// Everybody on the machine may read what was made with the usual umask; whether that is meant, nobody can tell here.
#[cfg(unix)]
fn warn_of_others(path: &Path, metadata: &Metadata) {
    use std::os::unix::fs::MetadataExt;

    let (mode, path) = (metadata.mode() & 0o777, path.display());
    if metadata.is_file() && mode & 0o077 != 0 {
        tracing::warn!("others than its owner may use the keys file `{path}`, mode {mode:03o}; `chmod 600` it");
    }
}

#[cfg(not(unix))]
fn warn_of_others(_: &Path, _: &Metadata) {}

type Fault = (Option<usize>, String);

fn parse(text: &str, besides: Option<&ApiKey>) -> Result<Vec<ApiKey>, Fault> {
    let line_of = |place: usize| Some(text.as_bytes().iter().take(place).filter(|byte| **byte == b'\n').count() + 1);
    // Its message names what is expected; how it is displayed shows the line, and with it a secret.
    let table = DeTable::parse(text).map_err(|error| {
        (error.span().and_then(|span| line_of(span.start)), format!("no TOML: {}", error.message()))
    })?;
    let mut keys: Vec<ApiKey> = besides.cloned().into_iter().collect();
    let mut lines: HashMap<[u8; 32], Option<usize>> = keys.iter().map(|key| (key.digest, None)).collect();
    for (name, entry) in table.get_ref() {
        let line = line_of(name.span().start);
        let key = key(name.get_ref(), entry.get_ref()).map_err(|problem| (line, problem))?;
        if let Some(other) = lines.insert(key.digest, line) {
            let other = other.map_or_else(|| "of --api-key".to_owned(), |line| format!("in line {line}"));
            return Err((line, format!("its secret is that of the key {other}\ngive each key a secret of its own")));
        }
        keys.push(key);
    }
    match table.get_ref().is_empty() {
        true => Err((None, "there is none\nname one in brackets, as in [control-room], with its `sha256`".to_owned())),
        false => Ok(keys),
    }
}

fn key(name: &str, entry: &DeValue<'_>) -> Result<ApiKey, String> {
    let DeValue::Table(members) = entry else {
        return Err("a value outside of a key\nbegin with the name of the key in brackets, as in [control-room]".into());
    };
    if !(1..=64).contains(&name.chars().count()) || name.chars().any(char::is_control) || name.trim() != name {
        return Err(NAME.to_owned());
    }
    if let Some(reserved) = RESERVED.iter().find(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return Err(format!("`{reserved}` is the author of other changes\nchoose another name"));
    }
    let (mut digest, mut is_read_only) = (None, false);
    for (member, value) in members {
        match (member.get_ref().as_ref(), value.get_ref()) {
            ("secret" | "sha256", _) if digest.is_some() => return Err(MEMBERS.to_owned()),
            ("secret", DeValue::String(secret)) => digest = Some(digest_of(secret)?),
            ("sha256", DeValue::String(digits)) => digest = Some(digest_from(digits)?),
            ("read-only", DeValue::Boolean(value)) => is_read_only = *value,
            _ => return Err(MEMBERS.to_owned()),
        }
    }
    let key = ApiKey::of_digest(name, digest.ok_or(MEMBERS)?);
    Ok(if is_read_only { key.read_only() } else { key })
}

fn digest_of(secret: &str) -> Result<[u8; 32], String> {
    if secret.len() < SHORTEST || secret.trim() != secret || !secret.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(format!(
            "a secret has at least {SHORTEST} characters, of ASCII, and no blanks around it\nmake one with `openssl rand -hex 32`"
        ));
    }
    Ok(Sha256::digest(secret).into())
}

fn digest_from(digits: &str) -> Result<[u8; 32], String> {
    let wrong = || "`sha256` is not 64 hexadecimal digits\nmake it with `printf %s SECRET | sha256sum`".to_owned();
    let mut digest = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    for (byte, place) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&digits[place..place + 2], 16).map_err(|_| wrong())?;
    }
    Ok(digest)
}

#[cfg(test)]
mod tests;
