//! The settings: flags win over the environment, the environment over configuration files, and those over defaults. A blank
//! value counts as not set.
//!
//! | file | what |
//! |---|---|
//! | `flags` | what clap reads |
//! | `setting` | each setting by all its names |
//! | `around`, `file` | the variables, and `.strom.toml` |
//! | `shown` | what `strom config` tells |
//!
//! clap reads the flags only. It knows one variable per flag and takes a blank one for a value; here some settings have
//! two names, so the environment is asked here.

mod around;
mod file;
mod flags;
mod setting;
mod shown;

use std::ffi::OsString;
use std::path::PathBuf;

use chrono::TimeDelta;
use etcetera::BaseStrategy;
use strom::http::ApiKey;
use strom::last_known;
use strom::postgres::DatabaseUrl;
use strom::repository::Retention;
use strom::storage::Storage;

use self::around::Around;
use self::file::ConfigFile;
pub(crate) use self::flags::Flags;
use self::flags::Secret;
use self::setting::{
    ALLOW_ANONYMOUS, ALLOWED_HOSTS, API_KEY, API_KEYS_FILE, DATA_DIR, DATABASE_URL, FLOWS_PATH, Found, HISTORY_DAYS,
    HISTORY_REVISIONS, HOST, LAST_KNOWN_MIB, MIGRATE_DATABASE_URL, PORT, RATE_LIMIT, READ_ONLY, Setting,
};
pub(crate) use self::shown::{Shown, ShownSetting};

/// Where to listen, and for whom.
#[derive(Debug)]
pub(crate) struct Server {
    /// An address or a host name.
    pub(crate) host: String,
    /// 0 takes a free one.
    pub(crate) port: u16,
    /// The one of `--api-key`.
    pub(crate) key: Option<ApiKey>,
    /// Where there are more.
    pub(crate) keys_file: Option<PathBuf>,
    /// By what names it may be called, where something was said.
    pub(crate) allowed_hosts: Option<Vec<String>>,
    /// Requests of one client in a second, where something was said; 0 is any number.
    pub(crate) rate_limit: Option<u32>,
    /// Whether addresses other than loopback may be listened on without a key.
    pub(crate) allow_anonymous: bool,
}

/// A setting that cannot be used; says which one and what to do. Values are not repeated: they may be secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(String);

impl Flags {
    /// The storage.
    pub(crate) fn storage(&self) -> Result<Storage, ConfigError> {
        Ok(match self.place()? {
            Some((Place::Database, url)) => Storage::Postgres(url.database_url()?),
            Some((Place::File, path)) => Storage::Json(path.value.into()),
            None => Storage::Json(self.data_dir()?.join("flows.json")),
        })
    }

    /// What says where the flows are: a database wins over a file, but only among flags and variables, or within one file;
    /// whoever names a place above a configuration file means it.
    fn place(&self) -> Result<Option<(Place, Found)>, ConfigError> {
        let above = |setting: &Setting| setting.find_above_files(self.flag(setting), &self.around);
        let database = |found| Some((Place::Database, found?));
        let file = |found| Some((Place::File, found?));
        let above = database(above(&DATABASE_URL)).or_else(|| file(above(&FLOWS_PATH)));
        let in_file =
            |given: &ConfigFile| database(DATABASE_URL.find_in(given)).or_else(|| file(FLOWS_PATH.find_in(given)));
        Ok(above.or_else(|| self.around.files.iter().find_map(in_file)))
    }

    fn data_dir(&self) -> Result<PathBuf, ConfigError> {
        self.find(&DATA_DIR).map_or_else(platform_data_dir, |found| Ok(found.value.into()))
    }

    /// How flows of a database are kept for when it is away; `None` when they are not. Without any data directory they are
    /// kept in memory.
    pub(crate) fn last_known(&self) -> Result<Option<last_known::Settings>, ConfigError> {
        let default = last_known::Settings::default();
        let given = self.find(&LAST_KNOWN_MIB);
        let bytes = given.map(|found| found.number(0)).transpose()?.map_or(default.bytes, |mib| u64::from(mib) << 20);
        let directory = self.data_dir().ok();
        Ok((bytes > 0).then_some(last_known::Settings { bytes, directory, ..default }))
    }

    /// Where a database is migrated, when not at its address.
    pub(crate) fn migrations(&self) -> Result<Option<DatabaseUrl>, ConfigError> {
        self.find(&MIGRATE_DATABASE_URL).map(Found::database_url).transpose()
    }

    /// How much history is kept.
    pub(crate) fn retention(&self) -> Result<Retention, ConfigError> {
        let number = |setting| self.find(setting).map(|found| found.number(1)).transpose();
        let default = Retention::default();
        Ok(Retention {
            revisions: number(&HISTORY_REVISIONS)?.unwrap_or(default.revisions),
            age: number(&HISTORY_DAYS)?.map_or(default.age, |days| TimeDelta::days(days.into())),
        })
    }

    /// Whether the storage is only read.
    pub(crate) fn read_only(&self) -> Result<bool, ConfigError> {
        let read_only = self.find(&READ_ONLY);
        Ok(read_only.map(Found::boolean).transpose()?.unwrap_or(false))
    }

    /// The server's settings.
    pub(crate) fn server(&self) -> Result<Server, ConfigError> {
        let host = self.find(&HOST).map(Found::text).transpose()?;
        let port = self.find(&PORT).map(Found::port).transpose()?;
        let key = self.find(&API_KEY);
        let allowed_hosts = self.find(&ALLOWED_HOSTS);
        let rate_limit = self.find(&RATE_LIMIT);
        let anonymous = self.find(&ALLOW_ANONYMOUS);
        Ok(Server {
            host: host.unwrap_or_else(|| "127.0.0.1".to_owned()),
            port: port.unwrap_or(8080),
            key: key.map(Found::text).transpose()?.map(|key| ApiKey::new(&key)),
            keys_file: self.find(&API_KEYS_FILE).map(|found| found.value.into()),
            allowed_hosts: allowed_hosts.map(Found::hosts).transpose()?,
            rate_limit: rate_limit.map(|found| found.number(0)).transpose()?,
            allow_anonymous: anonymous.map(Found::boolean).transpose()?.unwrap_or(false),
        })
    }

    /// What the flag of a setting says.
    fn flag(&self, setting: &Setting) -> Option<OsString> {
        match setting.flag {
            "--database-url" => secret(&self.database_url),
            "--migrate-database-url" => secret(&self.migrate_database_url),
            "--flows-path" => self.flows_path.clone(),
            "--data-dir" => self.data_dir.clone(),
            "--history-revisions" => self.history_revisions.clone().map(Into::into),
            "--history-days" => self.history_days.clone().map(Into::into),
            "--read-only" => self.read_only.clone().map(Into::into),
            "--last-known-mib" => self.last_known_mib.clone().map(Into::into),
            "--host" => self.host.clone().map(Into::into),
            "--port" => self.port.clone().map(Into::into),
            "--api-key" => secret(&self.api_key),
            "--api-keys-file" => self.api_keys_file.clone(),
            "--allowed-hosts" => self.allowed_hosts.clone().map(Into::into),
            "--rate-limit" => self.rate_limit.clone().map(Into::into),
            "--allow-anonymous" => self.allow_anonymous.clone().map(Into::into),
            _ => None,
        }
    }

    fn find(&self, setting: &Setting) -> Option<Found> {
        setting.find(self.flag(setting), &self.around)
    }

    /// Has the variables and the configuration files count as well.
    ///
    /// # Errors
    /// When there is a file that cannot be read, or that makes no sense.
    pub(crate) fn look_around(&mut self) -> Result<Vec<String>, ConfigError> {
        self.around = Around::read()?;
        Ok(self.around.files.iter().flat_map(|file| file.warnings.clone()).collect())
    }
}

/// What holds the flows.
enum Place {
    Database,
    File,
}

fn secret(given: &Option<Secret>) -> Option<OsString> {
    given.as_ref().map(|Secret(value)| value.clone())
}

fn platform_data_dir() -> Result<PathBuf, ConfigError> {
    let strategy = etcetera::base_strategy::choose_native_strategy();
    strategy.map(|platform| platform.data_dir().join("strom")).map_err(|_| {
        ConfigError(format!("there is no home directory\nsay where the flows are with {}", FLOWS_PATH.names()))
    })
}

#[cfg(test)]
mod tests;
