//! What holds, and who has said so.

use std::path::PathBuf;

use serde::Serialize;
use strom::storage::Storage;

use super::setting::{ALL, API_KEY, DATA_DIR, DATABASE_URL, FLOWS_PATH, Found, MIGRATE_DATABASE_URL, Setting};
use super::{ConfigError, Flags};

/// All settings, without secrets.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    /// Where the flows are.
    pub(crate) storage: String,
    pub(crate) settings: Vec<ShownSetting>,
    /// Where configuration files were looked for, and whether there was one.
    pub(crate) files: Vec<ShownFile>,
}

/// A setting.
#[derive(Debug, Serialize)]
pub(crate) struct ShownSetting {
    /// That of its flag.
    pub(crate) name: &'static str,
    pub(crate) value: String,
    /// A flag, a variable, a line of a file, or `default`.
    pub(crate) from: String,
}

/// A place of a configuration file.
#[derive(Debug, Serialize)]
pub(crate) struct ShownFile {
    pub(crate) path: String,
    pub(crate) found: bool,
}

impl Flags {
    /// What holds, with what any command would refuse.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub(crate) fn shown(&self) -> Result<Shown, ConfigError> {
        let storage = self.storage()?;
        self.server()?;
        self.retention()?;
        self.read_only()?;
        self.last_known()?;
        self.migrations()?;
        let settings = ALL.iter().map(|setting| self.shown_setting(setting, &storage)).collect();
        let found = |path: &PathBuf| self.around.files.iter().any(|file| file.path == *path);
        let files = self.around.places.iter();
        let files = files.map(|path| ShownFile { path: path.display().to_string(), found: found(path) }).collect();
        Ok(Shown { storage: storage.to_string(), settings, files })
    }

    fn shown_setting(&self, setting: &&'static Setting, storage: &Storage) -> ShownSetting {
        let name = setting.flag.trim_start_matches('-');
        match self.find(setting) {
            Some(found) => {
                let from = found.origin.to_string();
                ShownSetting { name, value: value(setting, found), from }
            }
            None => ShownSetting { name, value: self.default(setting, storage), from: "default".to_owned() },
        }
    }

    fn default(&self, setting: &Setting, storage: &Storage) -> String {
        let data_dir = || self.data_dir().ok().map(|directory| directory.display().to_string());
        let place = match (setting.flag, storage) {
            (flag, _) if flag == DATA_DIR.flag => data_dir(),
            (flag, Storage::Json(path)) if flag == FLOWS_PATH.flag => Some(path.display().to_string()),
            _ => None,
        };
        place.unwrap_or_else(|| setting.default.to_owned())
    }
}

/// Without secrets.
fn value(setting: &Setting, found: Found) -> String {
    if setting.flag == API_KEY.flag {
        return "(set)".to_owned();
    }
    if [DATABASE_URL.flag, MIGRATE_DATABASE_URL.flag].contains(&setting.flag) {
        return found.database_url().map_or_else(|_| "(no URL)".to_owned(), |url| url.to_string());
    }
    found.value.to_string_lossy().trim().to_owned()
}
