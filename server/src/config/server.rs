//! The settings of the server.

use std::path::PathBuf;

use strom_server::http::{ApiKey, Origins, TrustedProxies};

use super::error::ConfigError;
use super::flags::Flags;
use super::table::{
    ALLOW_ANONYMOUS, ALLOWED_HOSTS, API_KEY, API_KEYS_FILE, CORS_ORIGINS, HOST, PORT, RATE_LIMIT, TRUSTED_PROXIES,
};
use super::value::Value;

/// The settings of the server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// The address or host name to listen on.
    pub(crate) host: String,
    /// The port to listen on. 0 selects a free port.
    pub(crate) port: u16,
    /// The key of `--api-key`.
    pub(crate) key: Option<ApiKey>,
    /// The file with further keys.
    pub(crate) keys_file: Option<PathBuf>,
    /// The host names that the server accepts, if they are set.
    pub(crate) allowed_hosts: Option<Vec<String>>,
    /// Origins whose pages may use the API.
    pub(crate) origins: Origins,
    /// Proxies whose `X-Forwarded-For` names the client.
    pub(crate) proxies: TrustedProxies,
    /// Maximum requests per second and client, if it is set. 0 means no limit.
    pub(crate) rate_limit: Option<u32>,
    /// Whether the server may listen on addresses other than loopback without a key.
    pub(crate) allow_anonymous: bool,
}

impl Flags {
    /// Returns host and port of the server.
    pub(crate) fn address(&self) -> Result<(String, u16), ConfigError> {
        let host = self.value(&HOST).map(Value::into_text).transpose()?;
        let port = self.value(&PORT).map(Value::into_port).transpose()?;
        Ok((host.unwrap_or_else(|| "127.0.0.1".to_owned()), port.unwrap_or(8080)))
    }

    /// Returns the settings of the server.
    pub(crate) fn server(&self) -> Result<Server, ConfigError> {
        let (host, port) = self.address()?;
        let key = self.value(&API_KEY).map(Value::into_key).transpose()?;
        Ok(Server {
            host,
            port,
            key,
            keys_file: self.value(&API_KEYS_FILE).map(Value::into_path).transpose()?,
            allowed_hosts: self.value(&ALLOWED_HOSTS).map(Value::into_hosts).transpose()?,
            origins: self.value(&CORS_ORIGINS).map(Value::into_origins).transpose()?.unwrap_or_default(),
            proxies: self.value(&TRUSTED_PROXIES).map(Value::into_networks).transpose()?.unwrap_or_default(),
            rate_limit: self.number(&RATE_LIMIT)?,
            allow_anonymous: self.boolean(&ALLOW_ANONYMOUS)?,
        })
    }
}
