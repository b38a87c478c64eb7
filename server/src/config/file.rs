//! The configuration file `.strom.toml`.
//!
//! The engine uses the same file and has many more sections and keys, which this program ignores. A key that resembles one
//! of ours produces a warning: with a misspelled key, the program would silently use another storage.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::setting::{Kind, Setting};
use super::table::{ALL, DATABASE_URL};
use super::value::{Origin, Value};

/// A configuration file.
#[derive(Debug)]
pub(super) struct ConfigFile {
    pub(super) path: PathBuf,
    entries: Vec<Entry>,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    key: &'static str,
    text: String,
    line: usize,
}

impl ConfigFile {
    /// Reads a file. Returns `None` if it does not exist.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, ConfigError> {
        let failed =
            |problem: String| ConfigError(format!("{}: {problem}\ncorrect the file or remove it", path.display()));
        match fs::read_to_string(path) {
            Ok(text) => {
                let mut file = Self::parse(path, &text)?;
                file.warnings.extend(fs::metadata(path).ok().and_then(|metadata| file.permission_warning(&metadata)));
                Ok(Some(file))
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(failed(format!("cannot read the file: {error}"))),
        }
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let line_at = |offset: usize| text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
        let failed = |line: usize, problem: &str, remedy: &str| {
            ConfigError(format!("{}, line {line}: {problem}\n{remedy}", path.display()))
        };
        // The Display of the error prints the line, which may contain a password.
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_at(span.start));
            failed(line, &format!("invalid TOML: {}", error.message()), "correct the file or remove it")
        })?;
        let (mut entries, mut warnings) = (Vec::new(), Vec::new());
        for (section, members) in table.get_ref() {
            let (section, DeValue::Table(members)) = (section.get_ref(), members.get_ref()) else { continue };
            for (key, value) in members {
                let line = line_at(key.span().start);
                let name = format!("{section}.{}", key.get_ref());
                let Some((setting, key)) = keys().find(|(_, known)| *known == name) else {
                    warnings.extend(similar_key(section, key.get_ref()).map(|similar| {
                        format!("{}, line {line}: unknown key `{name}`; did you mean `{similar}`?", path.display())
                    }));
                    continue;
                };
                let text = match (value.get_ref(), setting.kind) {
                    (DeValue::String(text), Kind::Path) => resolve(path, text),
                    (DeValue::String(text), _) => text.to_string(),
                    (DeValue::Integer(number), Kind::Port) => number.as_str().to_owned(),
                    (_, Kind::Port) => {
                        let problem = format!("`{key}` is not a number");
                        return Err(failed(line, &problem, "a port is a number from 0 to 65535"));
                    }
                    _ => return Err(failed(line, &format!("`{key}` is not a string"), "put the value in quotes")),
                };
                entries.push(Entry { key, text, line });
            }
        }
        Ok(Self { path: path.to_owned(), entries, warnings })
    }

    /// Returns the value that this file sets, unless it is blank.
    pub(super) fn value(&self, setting: &Setting) -> Option<Value> {
        let entry = self.entries.iter().find(|entry| Some(entry.key) == setting.file_key)?;
        let origin = Origin::File { path: self.path.clone(), line: entry.line, key: entry.key };
        Value::unless_blank(origin, OsString::from(&entry.text))
    }

    /// Warns about a password in a file that other users may read. With the usual umask, every user may read a new file.
    #[cfg(unix)]
    fn permission_warning(&self, metadata: &Metadata) -> Option<String> {
        use std::os::unix::fs::MetadataExt;

        let mode = metadata.mode() & 0o777;
        let url = self.value(&DATABASE_URL)?.text.into_string().ok()?;
        let has_password = url::Url::parse(&url)
            .is_ok_and(|url| url.password().is_some() || url.query().is_some_and(|query| query.contains("password=")));
        (has_password && mode & 0o077 != 0).then(|| {
            format!(
                "{} contains a password, but other users can read it (mode {mode:03o}); run `chmod 600`",
                self.path.display()
            )
        })
    }

    #[cfg(not(unix))]
    fn permission_warning(&self, _: &Metadata) -> Option<String> {
        None
    }
}

/// The settings that a file may contain, each with its key.
fn keys() -> impl Iterator<Item = (&'static Setting, &'static str)> {
    ALL.iter().filter_map(|setting| Some((*setting, setting.file_key?)))
}

/// Resolves a path against the directory of the file that contains it.
fn resolve(file: &Path, path: &str) -> String {
    let directory = file.parent().filter(|_| !path.trim().is_empty());
    directory.map_or(path.to_owned(), |directory| directory.join(path).display().to_string())
}

/// Returns the known key that differs from this one by a misspelling.
fn similar_key(section: &str, key: &str) -> Option<&'static str> {
    let is_close = |a: &str, b: &str| strsim::damerau_levenshtein(&a.to_lowercase().replace('-', "_"), b) <= 2;
    keys().map(|(_, known)| known).find(|known| {
        known.split_once('.').is_some_and(|(other, name)| is_close(section, other) && is_close(key, name))
    })
}
