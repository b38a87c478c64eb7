//! The URL of a database: one server or several, and whether a pooler is in between.

use std::fmt;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use url::Url;

use super::parameters::Parameters;
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
    /// such as `PGUSER` and `PGPASSWORD`, and the password file supply the parts that the URL omits.
    ///
    /// - Commas separate several servers: `postgresql://a:5432,b:5433/database`. `target_session_attrs` selects one.
    ///   Without it, an instance that writes selects a writable server.
    /// - `pgbouncer=true` declares a pooler that assigns a connection per transaction.
    /// - `connect_timeout` is a number of seconds, for each server.
    ///
    /// # Errors
    /// [`OpenError`] if the text is not a valid PostgreSQL URL. The error does not repeat the text, which may contain a
    /// password.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        Self::parse_parts(text).map_err(|problem| OpenError {
            location: "the database".to_owned(),
            problem,
            remedy: "A database URL looks like `postgresql://user:password@host:5432/database?sslmode=require`."
                .to_owned(),
        })
    }

    fn parse_parts(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(format!("`{scheme}://` is not a PostgreSQL URL"));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // The password is before the last `@`, and may contain commas.
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let user = if authority.contains('@') { format!("{user}@") } else { String::new() };
        // `Url` requires a host after a user. The parameter `host` replaces it.
        let hosts = if hosts.is_empty() && path.contains("host=") { "localhost" } else { hosts };
        let named: Result<Vec<_>, _> =
            hosts.split(',').map(|host| Url::parse(&format!("{scheme}://{user}{host}{path}"))).collect();
        let named = named.map_err(|error| format!("the URL is not valid: {error}"))?;
        let parameters = Parameters::extract_from(&named[0])?;
        let lists = parameters.hosts.len().max(parameters.ports.len());
        if named.len() > 1 && lists > 0 {
            return Err("the URL contains hosts in two places".to_owned());
        }
        let mut servers = Vec::new();
        for index in 0..named.len().max(lists) {
            servers.push(parameters.connect_options(named.get(index).unwrap_or(&named[0]), index)?);
        }
        let Parameters { target, is_behind_pooler, connect_timeout, .. } = parameters;
        Ok(Self { servers, target, is_behind_pooler, connect_timeout: connect_timeout.unwrap_or(CONNECT_TIMEOUT) })
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
        None => format!("{}:{}", server.get_host(), server.get_port()),
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatabaseUrl").field(&self.to_string()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DatabaseUrl, TargetSessionAttrs};

    fn problem(text: &str) -> String {
        DatabaseUrl::parse(text).unwrap_err().problem
    }

    #[test]
    fn authority_or_parameters_name_several_servers() {
        for (text, shown) in [
            ("postgresql://strom@a,b/flows", "postgresql://strom@a:5432,b:5432/flows"),
            ("postgresql://strom:x,y@a:1,[::1]:2/flows?sslmode=disable", "postgresql://strom@a:1,[::1]:2/flows"),
            ("postgresql://strom@/flows?host=a,b&port=1,2", "postgresql://strom@a:1,b:2/flows"),
            ("postgresql://strom@/flows?host=a,b&port=7", "postgresql://strom@a:7,b:7/flows"),
            ("postgresql://strom@/flows?host=%2Frun,b", "postgresql://strom@/run:5432,b:5432/flows"),
        ] {
            assert_eq!(DatabaseUrl::parse(text).unwrap().to_string(), shown, "{text}");
        }
        assert_eq!(problem("postgresql://a,b/flows?host=c"), "the URL contains hosts in two places");
        assert_eq!(problem("postgresql:///flows?host=a,b,c&port=1,2"), "the URL contains 3 hosts and 2 ports");
    }

    #[test]
    fn target_session_attrs_has_the_values_of_libpq() {
        let target = |text: &str| DatabaseUrl::parse(text).unwrap().target;
        assert_eq!(target("postgresql://a,b/flows"), None);
        assert_eq!(
            target("postgresql://a,b/flows?target_session_attrs=prefer-standby"),
            Some(TargetSessionAttrs::PreferStandby)
        );
        assert!(problem("postgresql://a/flows?target_session_attrs=leader").contains("`read-write`"));
    }

    #[test]
    fn pgbouncer_and_connect_timeout_are_parsed_here() {
        let url = DatabaseUrl::parse("postgresql://a/flows?pgbouncer=true&connect_timeout=3").unwrap();
        assert_eq!((url.is_behind_pooler, url.connect_timeout), (true, Duration::from_secs(3)));
        assert_eq!(problem("postgresql://a/flows?pgbouncer=maybe"), "`pgbouncer` must be `true` or `false`");
        assert!(problem("postgresql://a/flows?connect_timeout=0").contains("from 1 to 600"));
    }

    #[test]
    fn error_names_a_missing_certificate_file() {
        let problem = problem("postgresql://a/flows?sslmode=verify-full&sslrootcert=/nonexistent/root.pem");
        assert!(problem.starts_with("cannot read the file of `sslrootcert=/nonexistent/root.pem`: "), "{problem}");
    }

    #[test]
    fn display_debug_and_errors_hide_the_password() {
        for text in ["postgresql://strom:s3cret@db:5433/flows", "postgres://strom@db:5433/flows?password=s3cret"] {
            let url = DatabaseUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), "postgresql://strom@db:5433/flows");
            assert_eq!(format!("{url:?}"), r#"DatabaseUrl("postgresql://strom@db:5433/flows")"#);
        }
        for broken in ["mysql://strom:s3cret@db/flows", "postgresql://strom:s3cret@db:port/flows"] {
            let error = DatabaseUrl::parse(broken).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
