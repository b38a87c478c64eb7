//! The parameters of a database URL.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use url::Url;
use url::form_urlencoded::{Serializer, parse};

use super::target::TargetSessionAttrs;

/// The parameters that this crate implements. sqlx receives the rest, and knows one server only.
#[derive(Default)]
pub(super) struct Parameters {
    pub(super) hosts: Vec<String>,
    pub(super) ports: Vec<String>,
    pub(super) target: Option<TargetSessionAttrs>,
    pub(super) is_behind_pooler: bool,
    pub(super) connect_timeout: Option<Duration>,
    /// The query for sqlx.
    rest: String,
}

impl Parameters {
    /// Reads the parameters of a URL.
    pub(super) fn extract_from(url: &Url) -> Result<Self, String> {
        let mut parameters = Self::default();
        let mut rest = Serializer::new(String::new());
        for (name, value) in parse(url.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "host" => parameters.hosts = value.split(',').map(str::to_owned).collect(),
                "port" => parameters.ports = value.split(',').map(str::to_owned).collect(),
                "target_session_attrs" => parameters.target = Some(value.parse()?),
                "pgbouncer" => {
                    let flag = value.parse();
                    parameters.is_behind_pooler =
                        flag.map_err(|_| "`pgbouncer` must be `true` or `false`".to_owned())?;
                }
                "connect_timeout" => {
                    let seconds = value.parse().ok().filter(|seconds| (1..=600).contains(seconds));
                    let seconds = seconds.ok_or("`connect_timeout` must be a number of seconds from 1 to 600")?;
                    parameters.connect_timeout = Some(Duration::from_secs(seconds));
                }
                // sqlx would report a missing file as an unreachable server.
                "sslrootcert" | "sslcert" | "sslkey" if !value.contains("-----BEGIN") => {
                    std::fs::File::open(&*value)
                        .map_err(|error| format!("cannot read the file of `{name}={value}`: {error}"))?;
                    rest.append_pair(&name, &value);
                }
                _ => drop(rest.append_pair(&name, &value)),
            }
        }
        if parameters.hosts.len() > 1 && parameters.ports.len() > 1 && parameters.hosts.len() != parameters.ports.len()
        {
            return Err(format!(
                "the URL contains {} hosts and {} ports",
                parameters.hosts.len(),
                parameters.ports.len()
            ));
        }
        parameters.rest = rest.finish();
        Ok(parameters)
    }

    /// Returns the options for the server at this index of the lists. A single port applies to all hosts.
    pub(super) fn connect_options(&self, url: &Url, index: usize) -> Result<PgConnectOptions, String> {
        let mut url = url.clone();
        let query = Some(self.rest.as_str()).filter(|rest| !rest.is_empty());
        url.set_query(query);
        for (name, list) in [("host", &self.hosts), ("port", &self.ports)] {
            if let Some(value) = list.get(index).or_else(|| list.first()) {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let options = PgConnectOptions::from_str(url.as_str()).map_err(|error| {
            // Only the source: sqlx's own message is about a configuration, which an operator has never seen.
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("the URL is not valid: {}", source.unwrap_or_else(|| error.to_string()))
        })?;
        let named = options.get_application_name().is_some_and(|name| !name.is_empty());
        let name = format!("strom/{} [{}]", env!("CARGO_PKG_VERSION"), std::process::id());
        let options = if named { options } else { options.application_name(&name) };
        // Poolers reject this setting. It only affects floats in text format, and sqlx reads the binary format.
        Ok(if self.is_behind_pooler { options.extra_float_digits(None) } else { options })
    }
}
