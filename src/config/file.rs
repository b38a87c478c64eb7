//! `.strom.toml`: for people who have one.
//!
//! It is the file of the engine, which has many sections and keys more; those are its own. A key that looks like one of ours
//! is told, since whoever misspells it would go on with another storage than he thinks.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::setting::{ALL, DATA_DIR, DATABASE_URL, FLOWS_PATH, Found, Origin, PORT};

/// The settings that files have, by section and key.
fn keys() -> impl Iterator<Item = &'static str> {
    ALL.iter().filter_map(|setting| setting.key)
}

/// A configuration file that was read.
#[derive(Debug)]
pub(super) struct ConfigFile {
    pub(super) path: PathBuf,
    values: Vec<Value>,
    /// What somebody should look at.
    pub(super) warnings: Vec<String>,
}

#[derive(Debug)]
struct Value {
    key: &'static str,
    text: String,
    line: usize,
}

impl ConfigFile {
    /// `None` where there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, ConfigError> {
        let failed =
            |problem: String| ConfigError(format!("{}: {problem}\ncorrect it, or move it away", path.display()));
        match fs::read_to_string(path) {
            Ok(text) => {
                let mut file = Self::parse(path, &text)?;
                file.warnings.extend(fs::metadata(path).ok().and_then(|found| file.warning_of_others(&found)));
                Ok(Some(file))
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(failed(format!("it cannot be read: {error}"))),
        }
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let line_of = |place: usize| text.as_bytes().iter().take(place).filter(|byte| **byte == b'\n').count() + 1;
        let fault = |line: usize, problem: &str, remedy: &str| {
            ConfigError(format!("{}, line {line}: {problem}\n{remedy}", path.display()))
        };
        // How the error is displayed shows the line, and with it a password.
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(span.start));
            fault(line, &format!("no TOML: {}", error.message()), "correct it, or move the file away")
        })?;
        let (mut values, mut warnings) = (Vec::new(), Vec::new());
        for (section, members) in table.get_ref() {
            let (section, DeValue::Table(members)) = (section.get_ref(), members.get_ref()) else { continue };
            for (key, value) in members {
                let line = line_of(key.span().start);
                let name = format!("{section}.{}", key.get_ref());
                let Some(key) = keys().find(|known| *known == name) else {
                    warnings.extend(like_ours(section, key.get_ref()).map(|ours| {
                        format!("{}, line {line}: `{name}` is not read; is it to be `{ours}`?", path.display())
                    }));
                    continue;
                };
                let text = match value.get_ref() {
                    DeValue::String(text) => text.to_string(),
                    DeValue::Integer(number) if Some(key) == PORT.key => number.as_str().to_owned(),
                    _ if Some(key) == PORT.key => {
                        return Err(fault(line, "`server.port` is no number", "a port is a number from 0 to 65535"));
                    }
                    _ => return Err(fault(line, &format!("`{key}` is no string"), "put it in quotes")),
                };
                // Paths begin where the file is, wherever it is read.
                let is_path = [DATA_DIR.key, FLOWS_PATH.key].contains(&Some(key));
                let directory = path.parent().filter(|_| is_path && !text.trim().is_empty());
                let text = directory.map_or(text.clone(), |directory| directory.join(&text).display().to_string());
                values.push(Value { key, text, line });
            }
        }
        Ok(Self { path: path.to_owned(), values, warnings })
    }

    /// What it says under this key, unless that is blank.
    pub(super) fn find(&self, key: &str) -> Option<Found> {
        let value = self.values.iter().find(|value| value.key == key && !value.text.trim().is_empty())?;
        let origin = Origin::File { path: self.path.clone(), line: value.line, key: value.key };
        Some(Found { origin, value: OsString::from(&value.text) })
    }

    /// Everybody on the machine may read what was made with the usual umask.
    #[cfg(unix)]
    fn warning_of_others(&self, metadata: &Metadata) -> Option<String> {
        use std::os::unix::fs::MetadataExt;

        let mode = metadata.mode() & 0o777;
        let url = DATABASE_URL.find_in(self)?.value.into_string().ok()?;
        let has_password = url::Url::parse(&url)
            .is_ok_and(|url| url.password().is_some() || url.query().is_some_and(|query| query.contains("password=")));
        (has_password && mode & 0o077 != 0).then(|| {
            format!(
                "others than its owner may use {}, mode {mode:03o}, and it has a password; `chmod 600` it",
                self.path.display()
            )
        })
    }

    #[cfg(not(unix))]
    fn warning_of_others(&self, _: &Metadata) -> Option<String> {
        None
    }
}

/// The key that somebody may have meant.
fn like_ours(section: &str, key: &str) -> Option<&'static str> {
    let close = |a: &str, b: &str| strsim::damerau_levenshtein(&a.to_lowercase().replace('-', "_"), b) <= 2;
    keys().find(|known| known.split_once('.').is_some_and(|(of, name)| close(section, of) && close(key, name)))
}
