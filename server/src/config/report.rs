//! The effective settings for `strom config`, without secrets.

use std::path::PathBuf;

use serde::Serialize;
use strom_store::storage::Storage;

use super::error::ConfigError;
use super::flags::Flags;
use super::setting::{Kind, Setting};
use super::table::{ALL, DATA_DIR, FLOWS_PATH};
use super::value::Value;

/// The effective settings.
#[derive(Debug, Serialize)]
pub(crate) struct ConfigReport {
    /// The storage, without a password.
    pub(crate) storage: String,
    pub(crate) settings: Vec<EffectiveSetting>,
    /// The paths that were searched for configuration files.
    pub(crate) files: Vec<SearchedFile>,
}

/// The effective value of a setting.
#[derive(Debug, Serialize)]
pub(crate) struct EffectiveSetting {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    /// The flag, the variable, the line of a file, or `default`.
    pub(crate) from: String,
}

/// A path that was searched for a configuration file.
#[derive(Debug, Serialize)]
pub(crate) struct SearchedFile {
    pub(crate) path: String,
    pub(crate) found: bool,
}

impl Flags {
    /// Returns the effective settings.
    ///
    /// # Errors
    /// If any command would reject a setting.
    pub(crate) fn report(&self) -> Result<ConfigReport, ConfigError> {
        let storage = self.storage()?;
        self.server()?;
        self.retention()?;
        self.read_only()?;
        self.last_known()?;
        self.migrations()?;
        let settings = ALL.iter().map(|setting| self.effective(setting, &storage)).collect();
        let is_found = |path: &PathBuf| self.environment.files.iter().any(|file| file.path == *path);
        let searched = self.environment.searched.iter();
        let files = searched.map(|path| SearchedFile { path: path.display().to_string(), found: is_found(path) });
        Ok(ConfigReport { storage: storage.to_string(), settings, files: files.collect() })
    }

    fn effective(&self, setting: &'static Setting, storage: &Storage) -> EffectiveSetting {
        let (value, from) = match self.value(setting) {
            Some(value) => {
                let from = value.origin.to_string();
                (printable(setting, value), from)
            }
            None => (self.default(setting, storage), "default".to_owned()),
        };
        EffectiveSetting { name: setting.name, value, from }
    }

    /// Returns the default: a path if it is known, otherwise the words of the table.
    fn default(&self, setting: &Setting, storage: &Storage) -> String {
        let path = match storage {
            _ if setting.name == DATA_DIR.name => self.data_dir().ok(),
            Storage::Json(path) if setting.name == FLOWS_PATH.name => Some(path.clone()),
            _ => None,
        };
        path.map_or_else(|| setting.default.to_owned(), |path| path.display().to_string())
    }
}

/// Returns the value without secrets.
fn printable(setting: &Setting, value: Value) -> String {
    match setting.kind {
        Kind::Secret => "(set)".to_owned(),
        Kind::DatabaseUrl => value.into_database_url().map_or_else(|_| "(no URL)".to_owned(), |url| url.to_string()),
        _ => value.text.to_string_lossy().trim().to_owned(),
    }
}
