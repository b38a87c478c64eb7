//! A file with keys that the server reloads while it runs, so that an operator can withdraw a key without a restart.
//!
//! If the file is invalid, the server logs the error and keeps the current keys: an editor that saves half a file must neither lock
//! out clients nor admit them. Errors name the line, never its content.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::interval;

use super::api_key::{ApiKey, Keys};
use super::keys_file_format::parse;

/// Maximum bytes of the file: about ten thousand keys.
const MAX_SIZE: u64 = 1 << 20;
/// Interval of reading the file.
const INTERVAL: Duration = Duration::from_millis(500);

/// A file with keys that the server reloads.
#[derive(Debug)]
pub struct KeysFile {
    path: PathBuf,
    /// A key that is not in the file.
    additional: Option<ApiKey>,
    keys: Keys,
    /// The digest of the content that the server loaded last.
    loaded: [u8; 32],
}

/// The reason why a file of keys is invalid, its line, and a remedy. Contains nothing of the file's content.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read the API keys in `{}`{}: {problem}",
    path.display(),
    line.map(|line| format!(", line {line}")).unwrap_or_default()
)]
pub struct KeysFileError {
    path: PathBuf,
    line: Option<usize>,
    problem: String,
}

impl KeysFile {
    /// Reads the keys in this file, and adds another key.
    ///
    /// # Errors
    /// Fails if the file is unreadable or invalid.
    pub fn open(path: PathBuf, additional: Option<ApiKey>) -> Result<Self, KeysFileError> {
        let content = Content::read(&path);
        let keys = content.keys(&path, additional.as_ref())?;
        let loaded = content.digest();
        Ok(Self { path, keys: keys.into_iter().collect(), additional, loaded })
    }

    /// Returns the keys. [`follow`](Self::follow) updates them.
    pub fn keys(&self) -> Keys {
        self.keys.clone()
    }

    /// Reloads the file about one second after each change, until the future is dropped. Ends at once if the path is not a regular
    /// file.
    pub async fn follow(mut self) {
        let mut ticks = interval(INTERVAL);
        let mut previous = None;
        loop {
            ticks.tick().await;
            let path = self.path.clone();
            let content = match spawn_blocking(move || Content::read(&path)).await {
                Ok(content) => content,
                // Ending here would keep withdrawn keys valid for ever.
                Err(error) if error.is_panic() => {
                    tracing::error!(%error, "cannot reload the API keys; trying again");
                    continue;
                }
                Err(_) => return,
            };
            if matches!(&content, Content::Text(_, metadata) if !metadata.is_file()) {
                return;
            }
            let digest = content.digest();
            // The content must be the same twice, so that the server does not load a half-written file.
            if digest != self.loaded && previous == Some(digest) {
                self.loaded = digest;
                match content.keys(&self.path, self.additional.as_ref()) {
                    Ok(keys) => {
                        tracing::info!(keys = keys.len(), path = %self.path.display(), "reloaded the API keys");
                        self.keys.replace(keys);
                    }
                    Err(error) => {
                        tracing::error!("{}; the previous API keys remain valid", error.to_string().replace('\n', "; "))
                    }
                }
            }
            previous = Some(digest);
        }
    }
}

/// The result of reading the file.
enum Content {
    Text(String, Metadata),
    Unreadable(String),
}

impl Content {
    fn read(path: &Path) -> Self {
        let read = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            let mut text = String::new();
            match file.take(MAX_SIZE + 1).read_to_string(&mut text)? as u64 {
                0..=MAX_SIZE => Ok((text, metadata)),
                _ => Err(io::Error::other(format!("the file is larger than {MAX_SIZE} bytes"))),
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

    fn keys(&self, path: &Path, additional: Option<&ApiKey>) -> Result<Vec<ApiKey>, KeysFileError> {
        let fault = |line, problem| KeysFileError { path: path.to_owned(), line, problem };
        match self {
            Self::Unreadable(why) => Err(fault(None, why.clone())),
            Self::Text(text, metadata) => {
                let keys = parse(text, additional).map_err(|(line, problem)| fault(line, problem))?;
                warn_if_readable_by_others(path, metadata);
                Ok(keys)
            }
        }
    }
}

/// With the usual umask, every user of the machine can read a new file. The server only warns, because this may be intended.
#[cfg(unix)]
fn warn_if_readable_by_others(path: &Path, metadata: &Metadata) {
    use std::os::unix::fs::MetadataExt;

    let (mode, path) = (metadata.mode() & 0o777, path.display());
    if metadata.is_file() && mode & 0o077 != 0 {
        tracing::warn!("other users can access the keys file `{path}` (mode {mode:03o}); run `chmod 600`");
    }
}

#[cfg(not(unix))]
fn warn_if_readable_by_others(_: &Path, _: &Metadata) {}

#[cfg(test)]
mod tests;
