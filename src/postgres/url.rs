//! The address of a database: one server or several, and what is between us and them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use url::Url;
use url::form_urlencoded::{Serializer, parse};

use crate::repository::OpenError;

/// How long it may take to connect to a server, where the URL does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A PostgreSQL URL. Prints without the password.
/// Source: <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>.
#[derive(Clone)]
pub struct DatabaseUrl {
    /// One for each server, in the order of the URL.
    servers: Vec<PgConnectOptions>,
    pub(super) wanted: Option<Wanted>,
    /// Whether a pooler hands out a connection for each transaction.
    pub(super) is_pooled: bool,
    /// How long it may take to connect to one of the servers.
    pub(super) connect_timeout: Duration,
}

/// Which of several servers will do: the values of `target_session_attrs`.
/// Source: <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl DatabaseUrl {
    /// Reads a URL, `postgresql://user:password@host:port/database?sslmode=…`. `PGUSER`, `PGPASSWORD` and the like, and
    /// the password file, fill in what it leaves out.
    ///
    /// Several servers are separated by commas, `postgresql://a:5432,b:5433/database`, and `target_session_attrs` says
    /// which of them will do; without it, and where Strom writes, one that can be written. `pgbouncer=true` stands for a
    /// pooler that hands out its connections by the transaction. `connect_timeout` has seconds, for each server.
    ///
    /// # Errors
    /// [`OpenError`] when it is no PostgreSQL URL, without repeating it: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        Self::read(text).map_err(|problem| OpenError {
            location: "the database".to_owned(),
            problem,
            remedy: "A database URL looks like `postgresql://user:password@host:5432/database?sslmode=require`."
                .to_owned(),
        })
    }

    fn read(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(format!("`{scheme}://` is not a PostgreSQL URL"));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // A password may hold a comma as well, and stands before the last `@`.
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let user = if authority.contains('@') { format!("{user}@") } else { String::new() };
        // A URL with a user has a host, be it one that a parameter replaces.
        let hosts = if hosts.is_empty() && path.contains("host=") { "localhost" } else { hosts };
        let named: Result<Vec<_>, _> =
            hosts.split(',').map(|host| Url::parse(&format!("{scheme}://{user}{host}{path}"))).collect();
        let named = named.map_err(|error| format!("the URL is not valid: {error}"))?;
        let parameters = Parameters::take(&named[0])?;
        let lists = parameters.hosts.len().max(parameters.ports.len());
        if named.len() > 1 && lists > 0 {
            return Err("the URL names its hosts in two places".to_owned());
        }
        let mut servers = Vec::new();
        for place in 0..named.len().max(lists) {
            servers.push(parameters.server(named.get(place).unwrap_or(&named[0]), place)?);
        }
        let Parameters { wanted, is_pooled, connect_timeout, .. } = parameters;
        Ok(Self { servers, wanted, is_pooled, connect_timeout: connect_timeout.unwrap_or(CONNECT_TIMEOUT) })
    }

    /// What sqlx connects to the servers with.
    pub(super) fn servers(&self) -> &[PgConnectOptions] {
        &self.servers
    }

    pub(super) fn user(&self) -> &str {
        self.servers[0].get_username()
    }

    /// The name of the database, which is the same on all servers.
    pub(super) fn database(&self) -> &str {
        let options = &self.servers[0];
        options.get_database().unwrap_or_else(|| options.get_username())
    }
}

/// What the part behind the `?` says to us; the rest goes to sqlx, which knows one server.
#[derive(Default)]
struct Parameters {
    hosts: Vec<String>,
    ports: Vec<String>,
    wanted: Option<Wanted>,
    is_pooled: bool,
    connect_timeout: Option<Duration>,
    rest: String,
}

impl Parameters {
    fn take(url: &Url) -> Result<Self, String> {
        let mut taken = Self::default();
        let mut rest = Serializer::new(String::new());
        for (name, value) in parse(url.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "host" => taken.hosts = value.split(',').map(str::to_owned).collect(),
                "port" => taken.ports = value.split(',').map(str::to_owned).collect(),
                "target_session_attrs" => taken.wanted = Some(value.parse()?),
                "pgbouncer" => {
                    let flag = value.parse();
                    taken.is_pooled = flag.map_err(|_| "`pgbouncer` is `true` or `false`".to_owned())?;
                }
                "connect_timeout" => {
                    let seconds = value.parse().ok().filter(|seconds| (1..=600).contains(seconds));
                    let seconds = seconds.ok_or("`connect_timeout` is a number of seconds from 1 to 600")?;
                    taken.connect_timeout = Some(Duration::from_secs(seconds));
                }
                // A file that is missing would look like a server that is.
                "sslrootcert" | "sslcert" | "sslkey" if !value.contains("-----BEGIN") => {
                    std::fs::File::open(&*value)
                        .map_err(|error| format!("`{name}={value}` cannot be read: {error}"))?;
                    rest.append_pair(&name, &value);
                }
                _ => drop(rest.append_pair(&name, &value)),
            }
        }
        if taken.hosts.len() > 1 && taken.ports.len() > 1 && taken.hosts.len() != taken.ports.len() {
            return Err(format!("the URL names {} hosts and {} ports", taken.hosts.len(), taken.ports.len()));
        }
        taken.rest = rest.finish();
        Ok(taken)
    }

    /// The server at this place in the lists; one port may stand for all hosts.
    fn server(&self, url: &Url, place: usize) -> Result<PgConnectOptions, String> {
        let mut url = url.clone();
        let query = Some(self.rest.as_str()).filter(|rest| !rest.is_empty());
        url.set_query(query);
        for (name, list) in [("host", &self.hosts), ("port", &self.ports)] {
            if let Some(value) = list.get(place).or_else(|| list.first()) {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let options = PgConnectOptions::from_str(url.as_str()).map_err(|error| {
            // Not in sqlx's words about a configuration, of which the user knows nothing.
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("the URL is not valid: {}", source.unwrap_or_else(|| error.to_string()))
        })?;
        let named = options.get_application_name().is_some_and(|name| !name.is_empty());
        let name = format!("strom/{} [{}]", env!("CARGO_PKG_VERSION"), std::process::id());
        let options = if named { options } else { options.application_name(&name) };
        // Poolers do not know this setting, and floats are none of ours.
        Ok(if self.is_pooled { options.extra_float_digits(None) } else { options })
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "any" => Self::Any,
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            _ => {
                let all = "`any`, `read-write`, `read-only`, `primary`, `standby`, `prefer-standby`";
                return Err(format!("`target_session_attrs` is one of {all}"));
            }
        })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgresql://{}@", self.user())?;
        for (place, server) in self.servers.iter().enumerate() {
            let separator = if place == 0 { "" } else { "," };
            write!(f, "{separator}{}", address(server))?;
        }
        write!(f, "/{}", self.database())
    }
}

/// Host and port of a server, for people.
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

    use super::{DatabaseUrl, Wanted};

    fn problem(text: &str) -> String {
        DatabaseUrl::parse(text).unwrap_err().problem
    }

    #[test]
    fn several_servers_are_named_in_the_authority_or_by_parameters() {
        for (text, shown) in [
            ("postgresql://strom@a,b/flows", "postgresql://strom@a:5432,b:5432/flows"),
            ("postgresql://strom:x,y@a:1,[::1]:2/flows?sslmode=disable", "postgresql://strom@a:1,[::1]:2/flows"),
            ("postgresql://strom@/flows?host=a,b&port=1,2", "postgresql://strom@a:1,b:2/flows"),
            ("postgresql://strom@/flows?host=a,b&port=7", "postgresql://strom@a:7,b:7/flows"),
            ("postgresql://strom@/flows?host=%2Frun,b", "postgresql://strom@/run:5432,b:5432/flows"),
        ] {
            assert_eq!(DatabaseUrl::parse(text).unwrap().to_string(), shown, "{text}");
        }
        assert_eq!(problem("postgresql://a,b/flows?host=c"), "the URL names its hosts in two places");
        assert_eq!(problem("postgresql:///flows?host=a,b,c&port=1,2"), "the URL names 3 hosts and 2 ports");
    }

    #[test]
    fn which_server_will_do_is_said_as_libpq_has_it() {
        let wanted = |text: &str| DatabaseUrl::parse(text).unwrap().wanted;
        assert_eq!(wanted("postgresql://a,b/flows"), None);
        assert_eq!(wanted("postgresql://a,b/flows?target_session_attrs=prefer-standby"), Some(Wanted::PreferStandby));
        assert!(problem("postgresql://a/flows?target_session_attrs=leader").contains("`read-write`"));
    }

    #[test]
    fn a_pooler_and_the_time_to_connect_are_told_to_us_and_not_to_the_server() {
        let url = DatabaseUrl::parse("postgresql://a/flows?pgbouncer=true&connect_timeout=3").unwrap();
        assert_eq!((url.is_pooled, url.connect_timeout), (true, Duration::from_secs(3)));
        assert_eq!(problem("postgresql://a/flows?pgbouncer=maybe"), "`pgbouncer` is `true` or `false`");
        assert!(problem("postgresql://a/flows?connect_timeout=0").contains("from 1 to 600"));
    }

    #[test]
    fn certificates_that_are_not_there_are_named() {
        let problem = problem("postgresql://a/flows?sslmode=verify-full&sslrootcert=/nonexistent/root.pem");
        assert!(problem.starts_with("`sslrootcert=/nonexistent/root.pem` cannot be read: "), "{problem}");
    }

    #[test]
    fn the_password_is_never_printed() {
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
