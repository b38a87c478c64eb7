//! Settings by all their names, and what is found under them.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use strom::postgres::DatabaseUrl;

use super::ConfigError;
use super::around::Around;
use super::file::ConfigFile;

/// A setting by all its names.
pub(super) struct Setting {
    pub(super) flag: &'static str,
    pub(super) env: &'static [&'static str],
    /// Section and key in a file, where files have it.
    pub(super) key: Option<&'static str>,
    /// What holds where nothing is said, in words.
    pub(super) default: &'static str,
}

/// All, in the order of the help.
pub(super) const ALL: [&Setting; 15] = [
    &DATABASE_URL,
    &MIGRATE_DATABASE_URL,
    &FLOWS_PATH,
    &DATA_DIR,
    &HISTORY_REVISIONS,
    &HISTORY_DAYS,
    &READ_ONLY,
    &LAST_KNOWN_MIB,
    &HOST,
    &PORT,
    &API_KEY,
    &API_KEYS_FILE,
    &ALLOWED_HOSTS,
    &RATE_LIMIT,
    &ALLOW_ANONYMOUS,
];

pub(super) const DATABASE_URL: Setting = Setting {
    flag: "--database-url",
    env: &["STROM_DATABASE_URL", "STROM_STORAGE_DATABASE_URL"],
    key: Some("storage.database_url"),
    default: "none: a JSON file",
};
pub(super) const MIGRATE_DATABASE_URL: Setting = Setting {
    flag: "--migrate-database-url",
    env: &["STROM_MIGRATE_DATABASE_URL"],
    key: None,
    default: "the database URL",
};
pub(super) const FLOWS_PATH: Setting = Setting {
    flag: "--flows-path",
    env: &["STROM_FLOWS_PATH", "STROM_STORAGE_FLOWS_PATH"],
    key: Some("storage.flows_path"),
    default: "flows.json in the data directory",
};
pub(super) const DATA_DIR: Setting = Setting {
    flag: "--data-dir",
    env: &["STROM_DATA_DIR", "STROM_STORAGE_DATA_DIR"],
    key: Some("storage.data_dir"),
    default: "the platform's",
};
pub(super) const HISTORY_REVISIONS: Setting =
    Setting { flag: "--history-revisions", env: &["STROM_HISTORY_REVISIONS"], key: None, default: "50" };
pub(super) const HISTORY_DAYS: Setting =
    Setting { flag: "--history-days", env: &["STROM_HISTORY_DAYS"], key: None, default: "90" };
pub(super) const READ_ONLY: Setting =
    Setting { flag: "--read-only", env: &["STROM_READ_ONLY"], key: None, default: "false" };
pub(super) const LAST_KNOWN_MIB: Setting =
    Setting { flag: "--last-known-mib", env: &["STROM_LAST_KNOWN_MIB"], key: None, default: "64" };
pub(super) const HOST: Setting = Setting { flag: "--host", env: &["STROM_HOST"], key: None, default: "127.0.0.1" };
pub(super) const PORT: Setting =
    Setting { flag: "--port", env: &["STROM_PORT", "STROM_SERVER_PORT"], key: Some("server.port"), default: "8080" };
pub(super) const API_KEY: Setting = Setting { flag: "--api-key", env: &["STROM_API_KEY"], key: None, default: "none" };
pub(super) const API_KEYS_FILE: Setting =
    Setting { flag: "--api-keys-file", env: &["STROM_API_KEYS_FILE"], key: None, default: "none" };
pub(super) const ALLOWED_HOSTS: Setting = Setting {
    flag: "--allowed-hosts",
    env: &["STROM_ALLOWED_HOSTS"],
    key: None,
    default: "those of this machine without a key, else any",
};
pub(super) const RATE_LIMIT: Setting = Setting {
    flag: "--rate-limit",
    env: &["STROM_RATE_LIMIT"],
    key: None,
    default: "1000, or any number on this machine without a key",
};
pub(super) const ALLOW_ANONYMOUS: Setting =
    Setting { flag: "--allow-anonymous", env: &["STROM_ALLOW_ANONYMOUS"], key: None, default: "false" };

impl Setting {
    /// The first value that is not blank: of the flag, else of the variables in their order.
    pub(super) fn find_above_files(&self, flag: Option<OsString>, around: &Around) -> Option<Found> {
        let given = |origin, value: Option<OsString>| {
            let value = value.filter(|value| !value.to_string_lossy().trim().is_empty())?;
            Some(Found { origin, value })
        };
        let variable = |name: &'static str| given(Origin::Variable(name), around.variable(name));
        given(Origin::Flag(self.flag), flag).or_else(|| self.env.iter().find_map(|name| variable(name)))
    }

    /// As [`find_above_files`](Self::find_above_files), else of the files in their order.
    pub(super) fn find(&self, flag: Option<OsString>, around: &Around) -> Option<Found> {
        let in_files = || around.files.iter().find_map(|file| self.find_in(file));
        self.find_above_files(flag, around).or_else(in_files)
    }

    /// What this file says.
    pub(super) fn find_in(&self, file: &ConfigFile) -> Option<Found> {
        file.find(self.key?)
    }

    pub(super) fn names(&self) -> String {
        format!("{} or {}", self.flag, self.env[0])
    }
}

/// A value, and where it was found.
pub(super) struct Found {
    pub(super) origin: Origin,
    pub(super) value: OsString,
}

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// By its name with the dashes.
    Flag(&'static str),
    Variable(&'static str),
    /// In a line of a file, counted from 1.
    File {
        path: PathBuf,
        line: usize,
        key: &'static str,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File { path, line, key } => write!(f, "`{key}` in line {line} of {}", path.display()),
        }
    }
}

impl Found {
    /// The text without surrounding blanks, such as the line end of a file that a variable was read from.
    pub(super) fn text(self) -> Result<String, ConfigError> {
        let text = self.value.into_string().map_err(|_| ConfigError(format!("{} is not UTF-8", self.origin)))?;
        Ok(text.trim().to_owned())
    }

    pub(super) fn database_url(self) -> Result<DatabaseUrl, ConfigError> {
        let name = self.origin.clone();
        let url = self.text()?;
        if !url.contains("://") {
            return Err(ConfigError(format!("{name} is not a URL\nsend one such as postgresql://user@host/database")));
        }
        DatabaseUrl::parse(&url).map_err(|error| ConfigError(error.to_string()))
    }

    pub(super) fn port(self) -> Result<u16, ConfigError> {
        let name = self.origin.clone();
        let port = self.text()?.parse();
        port.map_err(|_| ConfigError(format!("{name} is not a port\na port is a number from 0 to 65535")))
    }

    pub(super) fn number(self, least: u32) -> Result<u32, ConfigError> {
        let name = self.origin.clone();
        let number = self.text()?.parse().ok().filter(|number| (least..=1_000_000).contains(number));
        number.ok_or_else(|| ConfigError(format!("{name} is not a number from {least} to 1000000")))
    }

    /// As browsers write them: in lower case, and what is not ASCII encoded.
    pub(super) fn hosts(self) -> Result<Vec<String>, ConfigError> {
        let name = self.origin.clone();
        let text = self.text()?;
        let hosts = text.split(',').map(|host| url::Host::parse(host.trim()).map(|host| host.to_string()));
        hosts.collect::<Result<_, _>>().map_err(|error| {
            ConfigError(format!(
                "{name} has a name that is none: {error}\nsend some such as `strom.example.org,[fd00::1]`"
            ))
        })
    }

    pub(super) fn boolean(self) -> Result<bool, ConfigError> {
        let name = self.origin.clone();
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(ConfigError(format!("{name} is neither true nor false"))),
        }
    }
}
