//! The value of a setting, where it comes from, and the parsers of its text.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use strom_server::http::{ApiKey, Network, Origins, TrustedProxies};
use strom_store::postgres::DatabaseUrl;

use super::error::ConfigError;
use super::path;

/// The effective value of a setting.
pub(super) struct Value {
    pub(super) origin: Origin,
    pub(super) text: OsString,
}

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The flag, with its dashes.
    Flag(String),
    /// The name of the environment variable.
    Variable(&'static str),
    /// A line of a configuration file, counted from 1.
    File { path: PathBuf, line: usize, key: &'static str },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => f.write_str(name),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line, key } => write!(f, "`{key}` in line {line} of {}", path.display()),
        }
    }
}

impl Value {
    /// Returns the value unless it is blank. A blank value counts as not set.
    pub(super) fn unless_blank(origin: Origin, text: OsString) -> Option<Self> {
        let is_blank = text.to_string_lossy().trim().is_empty();
        (!is_blank).then_some(Self { origin, text })
    }

    /// Returns the text without surrounding white space. A variable that was read from a file often ends with a line break.
    pub(super) fn into_text(self) -> Result<String, ConfigError> {
        let text = self.text.into_string().map_err(|_| ConfigError(format!("{} is not UTF-8", self.origin)))?;
        Ok(text.trim().to_owned())
    }

    pub(super) fn into_path(self) -> Result<PathBuf, ConfigError> {
        let path = PathBuf::from(self.text);
        path::resolve(&path).map_err(|error| ConfigError(format!("{}: {error}", self.origin)))
    }

    pub(super) fn into_database_url(self) -> Result<DatabaseUrl, ConfigError> {
        let name = self.origin.clone();
        let url = self.into_text()?;
        if !url.contains("://") {
            return Err(ConfigError(format!("{name} is not a URL\nuse a URL such as postgresql://user@host/database")));
        }
        DatabaseUrl::parse(&url).map_err(|error| ConfigError(error.to_string()))
    }

    pub(super) fn into_key(self) -> Result<ApiKey, ConfigError> {
        let name = self.origin.clone();
        ApiKey::parse(&self.into_text()?).map_err(|weak| ConfigError(format!("{name} is not a valid API key: {weak}")))
    }

    pub(super) fn into_port(self) -> Result<u16, ConfigError> {
        let name = self.origin.clone();
        let port = self.into_text()?.parse();
        port.map_err(|_| ConfigError(format!("{name} is not a port\na port is a number from 0 to 65535")))
    }

    pub(super) fn into_number(self, minimum: u32) -> Result<u32, ConfigError> {
        let name = self.origin.clone();
        let number = self.into_text()?.parse().ok().filter(|number| (minimum..=1_000_000).contains(number));
        number.ok_or_else(|| ConfigError(format!("{name} is not a number from {minimum} to 1000000")))
    }

    /// Returns host names in the form of a browser's `Host` header: lower case, non-ASCII names encoded.
    pub(super) fn into_hosts(self) -> Result<Vec<String>, ConfigError> {
        let name = self.origin.clone();
        let text = self.into_text()?;
        let hosts = text.split(',').map(|host| url::Host::parse(host.trim()).map(|host| host.to_string()));
        hosts.collect::<Result<_, _>>().map_err(|error| {
            ConfigError(format!(
                "{name} contains an invalid host name: {error}\nuse names without ports, such as \
                 `strom.example.org,[fd00::1]`"
            ))
        })
    }

    /// Returns origins in the form of a browser's `Origin` header: scheme, host and port, unless it is the default port.
    pub(super) fn into_origins(self) -> Result<Origins, ConfigError> {
        let name = self.origin.clone();
        let text = self.into_text()?;
        let parse = |text: &str| {
            let url = url::Url::parse(text.trim()).ok()?;
            let is_bare =
                url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username() == "";
            (is_bare && matches!(url.scheme(), "http" | "https")).then(|| url.origin().ascii_serialization())
        };
        let origins = text.split(',').map(parse).collect::<Option<Origins>>();
        origins.ok_or_else(|| {
            ConfigError(format!(
                "{name} contains an invalid origin\nuse scheme, host and port without a path, such as \
                 `https://studio.example.org,http://localhost:3000`"
            ))
        })
    }

    /// Returns networks and addresses.
    pub(super) fn into_networks(self) -> Result<TrustedProxies, ConfigError> {
        let name = self.origin.clone();
        let text = self.into_text()?;
        let networks = text.split(',').map(|network| network.trim().parse::<Network>());
        networks
            .collect::<Result<_, _>>()
            .map_err(|error| ConfigError(format!("{name} contains an invalid entry: {error}")))
    }

    pub(super) fn into_boolean(self) -> Result<bool, ConfigError> {
        let name = self.origin.clone();
        match self.into_text()?.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(ConfigError(format!("{name} is neither true nor false"))),
        }
    }
}
