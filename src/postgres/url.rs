//! The address of a database.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use crate::repository::OpenError;

/// A PostgreSQL URL. Prints without the password.
/// Source: <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>.
#[derive(Clone)]
pub struct DatabaseUrl {
    options: Box<PgConnectOptions>,
}

impl DatabaseUrl {
    /// Reads a URL, `postgresql://user:password@host:port/database?sslmode=…`. `PGUSER`, `PGPASSWORD` and the like, and
    /// the password file, fill in what it leaves out.
    ///
    /// # Errors
    /// [`OpenError`] when it is no PostgreSQL URL, without repeating it: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        let refused = |problem: String| OpenError {
            location: "the database".to_owned(),
            problem,
            remedy: "A database URL looks like `postgresql://user:password@host:5432/database?sslmode=require`."
                .to_owned(),
        };
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(refused(format!("`{scheme}://` is not a PostgreSQL URL")));
        }
        if names_several_hosts(text) {
            return Err(refused("the URL names several hosts, which this version does not support".to_owned()));
        }
        let options =
            PgConnectOptions::from_str(text).map_err(|error| refused(format!("the URL is not valid: {error}")))?;
        let named = options.get_application_name().is_some_and(|name| !name.is_empty());
        let name = format!("strom/{} [{}]", env!("CARGO_PKG_VERSION"), std::process::id());
        let options = if named { options } else { options.application_name(&name) };
        Ok(Self { options: Box::new(options) })
    }

    /// What sqlx connects with.
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

/// `host1:port1,host2:port2`; a password may hold a comma as well, and stands before the last `@`.
fn names_several_hosts(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    authority.rsplit('@').next().is_some_and(|hosts| hosts.contains(','))
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        write!(f, "postgresql://{}@", options.get_username())?;
        match options.get_socket() {
            Some(directory) => write!(f, "{}:{}/{database}", directory.display(), options.get_port()),
            None => write!(f, "{}:{}/{database}", options.get_host(), options.get_port()),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatabaseUrl").field(&self.to_string()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::DatabaseUrl;

    #[test]
    fn several_hosts_are_refused_and_not_taken_for_one() {
        for several in ["postgresql://strom@a,b/flows", "postgresql://a:5432,b:5433/flows"] {
            let error = DatabaseUrl::parse(several).unwrap_err();
            assert_eq!(error.problem, "the URL names several hosts, which this version does not support");
        }
        DatabaseUrl::parse("postgresql://strom:a,b@db/flows").unwrap();
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
