//! The settings of the storage.

use std::path::PathBuf;

use chrono::TimeDelta;
use etcetera::BaseStrategy;
use strom_store::last_known;
use strom_store::postgres::DatabaseUrl;
use strom_store::repository::Retention;
use strom_store::storage::Storage;

use super::error::ConfigError;
use super::flags::Flags;
use super::setting::Setting;
use super::table::{
    DATA_DIR, DATABASE_URL, FLOWS_PATH, HISTORY_DAYS, HISTORY_REVISIONS, LAST_KNOWN_MIB, MIGRATE_DATABASE_URL,
    READ_ONLY,
};
use super::value::Value;

/// The setting that determines where the flows are.
enum StorageSource {
    Database(Value),
    File(Value),
}

impl Flags {
    /// Returns the storage.
    pub(crate) fn storage(&self) -> Result<Storage, ConfigError> {
        Ok(match self.location() {
            Some(StorageSource::Database(url)) => Storage::Postgres(url.into_database_url()?),
            Some(StorageSource::File(path)) => Storage::Json(path.into_path()?),
            None => Storage::Json(self.data_dir()?.join("flows.json")),
        })
    }

    /// Returns the location of the flows. A database wins over a file, but only within the same level: among flags and
    /// variables, or within one configuration file. A file in a flag or variable wins over a database in a configuration
    /// file.
    fn location(&self) -> Option<StorageSource> {
        let pick = |value: &dyn Fn(&Setting) -> Option<Value>| {
            let database = value(&DATABASE_URL).map(StorageSource::Database);
            database.or_else(|| value(&FLOWS_PATH).map(StorageSource::File))
        };
        let mut files = self.environment.files.iter();
        pick(&|setting| self.value_above_files(setting))
            .or_else(|| files.find_map(|file| pick(&|setting| file.value(setting))))
    }

    pub(super) fn data_dir(&self) -> Result<PathBuf, ConfigError> {
        match (self.value(&DATA_DIR), &self.environment.state_directory) {
            (Some(value), _) => value.into_path(),
            (None, Some(directory)) => Ok(directory.clone()),
            (None, None) => platform_data_dir(),
        }
    }

    /// Returns the settings of the last-known copy, or `None` if it is disabled. Without a data directory, the copy is in
    /// memory only.
    pub(crate) fn last_known(&self) -> Result<Option<last_known::Settings>, ConfigError> {
        let default = last_known::Settings::default();
        let bytes = self.number(&LAST_KNOWN_MIB)?.map_or(default.bytes, |mib| u64::from(mib) << 20);
        let directory = self.data_dir().ok();
        Ok((bytes > 0).then(|| default.with_bytes(bytes).with_directory(directory)))
    }

    /// Returns the URL for migrations, if it differs from the database URL.
    pub(crate) fn migrations(&self) -> Result<Option<DatabaseUrl>, ConfigError> {
        self.value(&MIGRATE_DATABASE_URL).map(Value::into_database_url).transpose()
    }

    /// Returns how much history is retained.
    pub(crate) fn retention(&self) -> Result<Retention, ConfigError> {
        let default = Retention::default();
        Ok(Retention {
            revisions: self.number(&HISTORY_REVISIONS)?.unwrap_or(default.revisions),
            age: self.number(&HISTORY_DAYS)?.map_or(default.age, |days| TimeDelta::days(days.into())),
        })
    }

    /// Whether the storage is opened read-only.
    pub(crate) fn read_only(&self) -> Result<bool, ConfigError> {
        self.boolean(&READ_ONLY)
    }
}

fn platform_data_dir() -> Result<PathBuf, ConfigError> {
    let strategy = etcetera::base_strategy::choose_native_strategy();
    strategy.map(|platform| platform.data_dir().join("strom")).map_err(|_| {
        ConfigError(format!("no home directory found\nset the path of the flows with {}", FLOWS_PATH.names()))
    })
}
