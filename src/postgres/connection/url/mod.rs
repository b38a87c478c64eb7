//! The URL of a database: one server or several, and whether a pooler is in between.
//!
//! | file | contents |
//! |---|---|
//! | `authority` | splits the text of a URL |
//! | `table` | every connection parameter, and which of its values are supported |
//! | `environment` | the variables of libpq |
//! | `parameters` | the parameters of a URL and of the environment, checked |
//! | `hosts` | the addresses of the servers |
//! | `encryption` | the parameters of TLS |
//! | `options` | the options that sqlx connects with |
//! | `problem` | why a URL is rejected |

mod authority;
mod encryption;
mod environment;
mod hosts;
mod options;
mod parameters;
mod problem;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use self::authority::UrlParts;
use self::encryption::Encryption;
use self::parameters::Parameters;
use self::problem::Problem;
use super::target::TargetSessionAttrs;
use crate::repository::OpenError;

/// Time limit for connecting to a server. `connect_timeout` in the URL overrides it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A PostgreSQL URL. `Display` and `Debug` hide the password.
/// Source: <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>.
#[derive(Clone)]
pub struct DatabaseUrl {
    /// The servers in the order of the URL.
    servers: Vec<PgConnectOptions>,
    pub(super) target: Option<TargetSessionAttrs>,
    /// Whether a pooler assigns a connection per transaction.
    pub(super) is_behind_pooler: bool,
    /// Time limit for connecting to one server.
    pub(crate) connect_timeout: Duration,
}

impl DatabaseUrl {
    /// Parses a URL, `postgresql://user:password@host:port/database?sslmode=…`. The environment variables of libpq,
    /// such as `PGUSER` and `PGPASSWORD`, and the password file supply the parts that the URL omits. The default user is
    /// the user of the operating system.
    ///
    /// - Commas separate several servers: `postgresql://a:5432,b:5433/database`. `target_session_attrs` selects one.
    ///   Without it, an instance that writes selects a writable server.
    /// - `pgbouncer=true` declares a pooler that assigns a connection per transaction.
    /// - `connect_timeout` is a number of seconds, for each server.
    ///
    /// # Errors
    /// [`OpenError`] if the text is not a valid PostgreSQL URL, or if it contains a parameter that is unknown or not
    /// supported. The error names the parameter. It does not repeat values, which may be secret.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        let variable = |name: &str| std::env::var(name).ok();
        Self::parse_parts(text, &variable).map_err(|Problem { problem, remedy }| OpenError {
            location: "the database".to_owned(),
            problem,
            remedy,
        })
    }

    fn parse_parts(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Problem> {
        let UrlParts { base, hosts, query } = UrlParts::parse(text)?;
        let mut parameters = Parameters::of_query(&query)?;
        parameters.add_environment(variable, hosts::has_host(&hosts))?;
        let encryption = Encryption::of(&parameters)?;
        let addresses = hosts::addresses(&hosts, &parameters, &encryption)?;
        let connect = |address| options::connect_options(&base, address, &parameters, &encryption);
        Ok(Self {
            servers: addresses.iter().map(connect).collect::<Result<_, _>>()?,
            target: parameters.target()?,
            is_behind_pooler: parameters.is_behind_pooler()?,
            connect_timeout: parameters.connect_timeout()?.unwrap_or(CONNECT_TIMEOUT),
        })
    }

    /// Returns the options that sqlx connects with, one per server.
    pub(super) fn servers(&self) -> &[PgConnectOptions] {
        &self.servers
    }

    pub(crate) fn user(&self) -> &str {
        self.servers[0].get_username()
    }

    /// Returns the name of the database, which is the same on all servers.
    pub(crate) fn database(&self) -> &str {
        let options = &self.servers[0];
        options.get_database().unwrap_or_else(|| options.get_username())
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgresql://{}@", self.user())?;
        for (index, server) in self.servers.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{}", address(server))?;
        }
        write!(f, "/{}", self.database())
    }
}

/// Returns the host, or the socket directory, and the port of a server.
pub(super) fn address(server: &PgConnectOptions) -> String {
    match server.get_socket() {
        Some(directory) => format!("{}:{}", directory.display(), server.get_port()),
        None if server.get_host().contains(':') => format!("[{}]:{}", server.get_host(), server.get_port()),
        None => format!("{}:{}", server.get_host(), server.get_port()),
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatabaseUrl").field(&self.to_string()).finish()
    }
}
