//! The settings: flags win over the environment, the environment over defaults, and a blank value counts as not set.
//!
//! clap reads the flags only. It knows one variable per flag and takes a blank one for a value; here some settings have
//! two names, so the environment is asked here.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use chrono::TimeDelta;
use etcetera::BaseStrategy;
use strom::http::ApiKey;
use strom::last_known;
use strom::postgres::DatabaseUrl;
use strom::repository::Retention;
use strom::storage::Storage;

const STORAGE: &str = "Storage";
const SERVER: &str = "Server";

/// The flags that every command takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Flags {
    /// Keep the flows in this PostgreSQL database; wins over --flows-path [env: STROM_DATABASE_URL,
    /// STROM_STORAGE_DATABASE_URL]
    #[arg(long, help_heading = STORAGE, global = true, value_name = "URL")]
    database_url: Option<Secret>,

    /// Migrate the database by this URL: past a pooler, or as the owner of the tables [env: STROM_MIGRATE_DATABASE_URL]
    /// [default: the database URL]
    #[arg(long, help_heading = STORAGE, global = true, value_name = "URL")]
    migrate_database_url: Option<Secret>,

    /// Keep the flows in this JSON file [env: STROM_FLOWS_PATH, STROM_STORAGE_FLOWS_PATH] [default: flows.json in the
    /// data directory]
    #[arg(long, help_heading = STORAGE, global = true, value_name = "FILE")]
    flows_path: Option<OsString>,

    /// The data directory [env: STROM_DATA_DIR, STROM_STORAGE_DATA_DIR] [default: the platform's, and in it `strom`]
    #[arg(long, help_heading = STORAGE, global = true, value_name = "DIR")]
    data_dir: Option<OsString>,

    /// Keep at least so many of the last revisions of every flow [env: STROM_HISTORY_REVISIONS] [default: 50]
    #[arg(long, help_heading = STORAGE, global = true, value_name = "NUMBER")]
    history_revisions: Option<String>,

    /// Keep all changes for at least so many days [env: STROM_HISTORY_DAYS] [default: 90]
    #[arg(long, help_heading = STORAGE, global = true, value_name = "DAYS")]
    history_days: Option<String>,

    /// Only read a database, which may be a standby, and refuse every change; the schema must be there. For instances beside
    /// one that writes; not for a JSON file [env: STROM_READ_ONLY] [default: false]
    #[arg(
        long, help_heading = STORAGE,
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    read_only: Option<String>,

    /// Keep the flows of the database in memory and in the data directory up to so many MiB, besides all that start by
    /// themselves, and serve them while it is away; 0 keeps none [env: STROM_LAST_KNOWN_MIB] [default: 64]
    #[arg(long, help_heading = SERVER, global = true, value_name = "MIB")]
    last_known_mib: Option<String>,

    /// The address or host name to listen on [env: STROM_HOST] [default: 127.0.0.1]
    #[arg(long, help_heading = SERVER, global = true, value_name = "HOST")]
    host: Option<String>,

    /// The port to listen on; 0 takes a free one [env: STROM_PORT, STROM_SERVER_PORT] [default: 8080]
    #[arg(long, help_heading = SERVER, global = true, value_name = "PORT")]
    port: Option<String>,

    /// Serve only those who send this key; in the environment it is hidden from other users of the machine [env:
    /// STROM_API_KEY]
    #[arg(long, help_heading = SERVER, global = true, value_name = "KEY")]
    api_key: Option<Secret>,

    /// Serve those as well who send one of the keys in this file: TOML, for each key a table of its name with `secret` or
    /// `sha256`, and `read-only = true` if it only reads; read again when it changes [env: STROM_API_KEYS_FILE]
    #[arg(long, help_heading = SERVER, global = true, value_name = "FILE")]
    api_keys_file: Option<OsString>,

    /// Answer to these names alone, and to those of this machine; several with commas between, a port is none of them [env:
    /// STROM_ALLOWED_HOSTS] [default: those of this machine on a loopback address without a key, else any]
    #[arg(long, help_heading = SERVER, global = true, value_name = "NAMES")]
    allowed_hosts: Option<String>,

    /// Take so many requests a second from one client, known by its key, else by its address; 0 takes any number [env:
    /// STROM_RATE_LIMIT] [default: 1000; any number where only this machine is served without a key]
    #[arg(long, help_heading = SERVER, global = true, value_name = "REQUESTS")]
    rate_limit: Option<String>,

    /// Without a key, listen on other addresses than loopback all the same [env: STROM_ALLOW_ANONYMOUS] [default: false]
    #[arg(
        long, help_heading = SERVER,
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    allow_anonymous: Option<String>,
}

/// A value that is not printed.
#[derive(Clone)]
struct Secret(OsString);

impl From<OsString> for Secret {
    fn from(value: OsString) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn secret(given: &Option<Secret>) -> Option<OsString> {
    given.as_ref().map(|Secret(value)| value.clone())
}

/// A setting by all its names.
struct Setting {
    flag: &'static str,
    env: &'static [&'static str],
}

const DATABASE_URL: Setting =
    Setting { flag: "--database-url", env: &["STROM_DATABASE_URL", "STROM_STORAGE_DATABASE_URL"] };
const MIGRATE_DATABASE_URL: Setting = Setting { flag: "--migrate-database-url", env: &["STROM_MIGRATE_DATABASE_URL"] };
const FLOWS_PATH: Setting = Setting { flag: "--flows-path", env: &["STROM_FLOWS_PATH", "STROM_STORAGE_FLOWS_PATH"] };
const DATA_DIR: Setting = Setting { flag: "--data-dir", env: &["STROM_DATA_DIR", "STROM_STORAGE_DATA_DIR"] };
const HISTORY_REVISIONS: Setting = Setting { flag: "--history-revisions", env: &["STROM_HISTORY_REVISIONS"] };
const HISTORY_DAYS: Setting = Setting { flag: "--history-days", env: &["STROM_HISTORY_DAYS"] };
const READ_ONLY: Setting = Setting { flag: "--read-only", env: &["STROM_READ_ONLY"] };
const LAST_KNOWN_MIB: Setting = Setting { flag: "--last-known-mib", env: &["STROM_LAST_KNOWN_MIB"] };
const HOST: Setting = Setting { flag: "--host", env: &["STROM_HOST"] };
const PORT: Setting = Setting { flag: "--port", env: &["STROM_PORT", "STROM_SERVER_PORT"] };
const API_KEY: Setting = Setting { flag: "--api-key", env: &["STROM_API_KEY"] };
const API_KEYS_FILE: Setting = Setting { flag: "--api-keys-file", env: &["STROM_API_KEYS_FILE"] };
const ALLOWED_HOSTS: Setting = Setting { flag: "--allowed-hosts", env: &["STROM_ALLOWED_HOSTS"] };
const RATE_LIMIT: Setting = Setting { flag: "--rate-limit", env: &["STROM_RATE_LIMIT"] };
const ALLOW_ANONYMOUS: Setting = Setting { flag: "--allow-anonymous", env: &["STROM_ALLOW_ANONYMOUS"] };

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
    /// The storage. `env` looks a variable up.
    pub(crate) fn storage(&self, env: impl Fn(&str) -> Option<OsString>) -> Result<Storage, ConfigError> {
        if let Some(url) = DATABASE_URL.find(secret(&self.database_url), &env) {
            return Ok(Storage::Postgres(url.database_url()?));
        }
        if let Some(path) = FLOWS_PATH.find(self.flows_path.clone(), &env) {
            return Ok(Storage::Json(path.value.into()));
        }
        Ok(Storage::Json(self.data_dir(env)?.join("flows.json")))
    }

    fn data_dir(&self, env: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, ConfigError> {
        DATA_DIR.find(self.data_dir.clone(), env).map_or_else(platform_data_dir, |found| Ok(found.value.into()))
    }

    /// How flows of a database are kept for when it is away; `None` when they are not. Without any data directory they are
    /// kept in memory. `env` looks a variable up.
    pub(crate) fn last_known(
        &self,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<last_known::Settings>, ConfigError> {
        let default = last_known::Settings::default();
        let given = LAST_KNOWN_MIB.find(self.last_known_mib.clone().map(Into::into), &env);
        let bytes = given.map(|found| found.number(0)).transpose()?.map_or(default.bytes, |mib| u64::from(mib) << 20);
        let directory = self.data_dir(env).ok();
        Ok((bytes > 0).then_some(last_known::Settings { bytes, directory, ..default }))
    }

    /// Where a database is migrated, when not at its address. `env` looks a variable up.
    pub(crate) fn migrations(
        &self,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<DatabaseUrl>, ConfigError> {
        MIGRATE_DATABASE_URL.find(secret(&self.migrate_database_url), &env).map(Found::database_url).transpose()
    }

    /// How much history is kept. `env` looks a variable up.
    pub(crate) fn retention(&self, env: impl Fn(&str) -> Option<OsString>) -> Result<Retention, ConfigError> {
        let number = |setting: Setting, flag: &Option<String>| {
            setting.find(flag.clone().map(Into::into), &env).map(|found| found.number(1)).transpose()
        };
        let default = Retention::default();
        Ok(Retention {
            revisions: number(HISTORY_REVISIONS, &self.history_revisions)?.unwrap_or(default.revisions),
            age: number(HISTORY_DAYS, &self.history_days)?.map_or(default.age, |days| TimeDelta::days(days.into())),
        })
    }

    /// Whether the storage is only read. `env` looks a variable up.
    pub(crate) fn read_only(&self, env: impl Fn(&str) -> Option<OsString>) -> Result<bool, ConfigError> {
        let read_only = READ_ONLY.find(self.read_only.clone().map(Into::into), &env);
        Ok(read_only.map(Found::boolean).transpose()?.unwrap_or(false))
    }

    /// The server's settings. `env` looks a variable up.
    pub(crate) fn server(&self, env: impl Fn(&str) -> Option<OsString>) -> Result<Server, ConfigError> {
        let host = HOST.find(self.host.clone().map(Into::into), &env).map(Found::text).transpose()?;
        let port = PORT.find(self.port.clone().map(Into::into), &env).map(Found::port).transpose()?;
        let key = API_KEY.find(secret(&self.api_key), &env);
        let allowed_hosts = ALLOWED_HOSTS.find(self.allowed_hosts.clone().map(Into::into), &env);
        let rate_limit = RATE_LIMIT.find(self.rate_limit.clone().map(Into::into), &env);
        let anonymous = ALLOW_ANONYMOUS.find(self.allow_anonymous.clone().map(Into::into), &env);
        Ok(Server {
            host: host.unwrap_or_else(|| "127.0.0.1".to_owned()),
            port: port.unwrap_or(8080),
            key: key.map(Found::text).transpose()?.map(|key| ApiKey::new(&key)),
            keys_file: API_KEYS_FILE.find(self.api_keys_file.clone(), &env).map(|found| found.value.into()),
            allowed_hosts: allowed_hosts.map(Found::hosts).transpose()?,
            rate_limit: rate_limit.map(|found| found.number(0)).transpose()?,
            allow_anonymous: anonymous.map(Found::boolean).transpose()?.unwrap_or(false),
        })
    }
}

fn platform_data_dir() -> Result<PathBuf, ConfigError> {
    let strategy = etcetera::base_strategy::choose_native_strategy();
    strategy.map(|platform| platform.data_dir().join("strom")).map_err(|_| {
        ConfigError(format!("there is no home directory\nsay where the flows are with {}", FLOWS_PATH.names()))
    })
}

impl Setting {
    /// The first value that is not blank: of the flag, else of the variables in their order.
    fn find(&self, flag: Option<OsString>, env: impl Fn(&str) -> Option<OsString>) -> Option<Found> {
        let given = |name, value: Option<OsString>| {
            let value = value.filter(|value| !value.to_string_lossy().trim().is_empty())?;
            Some(Found { name, value })
        };
        given(self.flag, flag).or_else(|| self.env.iter().find_map(|name| given(name, env(name))))
    }

    fn names(&self) -> String {
        format!("{} or {}", self.flag, self.env[0])
    }
}

/// A value, and the name under which it was found.
struct Found {
    name: &'static str,
    value: OsString,
}

impl Found {
    /// The text without surrounding blanks, such as the line end of a file that a variable was read from.
    fn text(self) -> Result<String, ConfigError> {
        let text = self.value.into_string().map_err(|_| ConfigError(format!("{} is not UTF-8", self.name)))?;
        Ok(text.trim().to_owned())
    }

    fn database_url(self) -> Result<DatabaseUrl, ConfigError> {
        let name = self.name;
        let url = self.text()?;
        if !url.contains("://") {
            return Err(ConfigError(format!("{name} is not a URL\nsend one such as postgresql://user@host/database")));
        }
        DatabaseUrl::parse(&url).map_err(|error| ConfigError(error.to_string()))
    }

    fn port(self) -> Result<u16, ConfigError> {
        let name = self.name;
        let port = self.text()?.parse();
        port.map_err(|_| ConfigError(format!("{name} is not a port\na port is a number from 0 to 65535")))
    }

    fn number(self, least: u32) -> Result<u32, ConfigError> {
        let name = self.name;
        let number = self.text()?.parse().ok().filter(|number| (least..=1_000_000).contains(number));
        number.ok_or_else(|| ConfigError(format!("{name} is not a number from {least} to 1000000")))
    }

    /// As browsers write them: in lower case, and what is not ASCII encoded.
    fn hosts(self) -> Result<Vec<String>, ConfigError> {
        let name = self.name;
        let text = self.text()?;
        let hosts = text.split(',').map(|host| url::Host::parse(host.trim()).map(|host| host.to_string()));
        hosts.collect::<Result<_, _>>().map_err(|error| {
            ConfigError(format!(
                "{name} has a name that is none: {error}\nsend some such as `strom.example.org,[fd00::1]`"
            ))
        })
    }

    fn boolean(self) -> Result<bool, ConfigError> {
        let name = self.name;
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(ConfigError(format!("{name} is neither true nor false"))),
        }
    }
}

#[cfg(test)]
mod tests;
