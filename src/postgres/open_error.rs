//! Why a database cannot be opened, and what to do about it.

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

use super::DatabaseUrl;
use super::migrate::LOCK_TIMEOUT;
use super::migrations::Migration;
use super::servers::{self, NotFound};
use super::tls;
use crate::repository::OpenError;

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{}", not_found(.0))]
    NotFound(#[from] NotFound),
    #[error("the database is encoded in {0}, not in UTF8")]
    Encoding(String),
    #[error("another instance has been migrating for {} s", LOCK_TIMEOUT.as_secs())]
    Locked,
    #[error("its migration {0} is not the one of this version")]
    Changed(Migration),
    #[error("it still lacks migrations after they were made in {0}")]
    Elsewhere(String),
    #[error("its schema is not up to date, and a pooler cannot carry a migration")]
    Pooled,
    #[error("no Strom has migrated it yet, and a read-only instance does not")]
    NoSchema,
    #[error("its schema is older than this Strom: migration {0} is missing, and a read-only instance does not migrate")]
    OlderSchema(Migration),
    #[error("migration {migration} failed: {}", said(.source))]
    Migration { migration: Migration, source: MigrateError },
    #[error("the index {index} cannot be built or dropped: {}", said_by_the_server(.source))]
    Index { index: String, source: sqlx::Error },
    #[error("{}", said_by_the_server(.0))]
    Sqlx(#[from] sqlx::Error),
}

/// What the server said, without sqlx's words around it.
fn said(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => said_by_the_server(error),
        other => other.to_string(),
    }
}

fn said_by_the_server(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

fn not_found(error: &NotFound) -> String {
    match error {
        NotFound::Sqlx(error) => tls::explain(error).map_or_else(|| said_by_the_server(error), |(reason, _)| reason),
        other => other.to_string(),
    }
}

/// A problem, and the database that has it.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub(super) struct Failure {
    problem: Problem,
    url: DatabaseUrl,
}

impl Failure {
    /// Whether nobody is there who could refuse, and it may pass by itself.
    pub(super) fn is_absence(&self) -> bool {
        self.problem.is_absence()
    }
}

impl From<Failure> for OpenError {
    fn from(Failure { problem, url }: Failure) -> Self {
        Self { location: url.to_string(), problem: problem.to_string(), remedy: problem.remedy(&url) }
    }
}

impl Problem {
    /// As the problem of this database.
    pub(super) fn at(self, url: &DatabaseUrl) -> Failure {
        Failure { problem: self, url: url.clone() }
    }

    fn is_absence(&self) -> bool {
        match self {
            Self::NotFound(error) => error.is_absence(),
            other => other.sqlx().is_some_and(servers::is_absence),
        }
    }

    /// Whether a lock was not to be had in time.
    pub(super) fn is_lock_timeout(&self) -> bool {
        self.database().is_some_and(|error| error.code() == "55P03")
    }

    fn sqlx(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Sqlx(error) | Self::NotFound(NotFound::Sqlx(error)) | Self::Index { source: error, .. } => {
                Some(error)
            }
            Self::Migration { source: MigrateError::Execute(error), .. }
            | Self::Migration { source: MigrateError::ExecuteMigration(error, _), .. } => Some(error),
            _ => None,
        }
    }

    fn database(&self) -> Option<&PgDatabaseError> {
        self.sqlx()?.as_database_error()?.try_downcast_ref()
    }

    fn remedy(&self, url: &DatabaseUrl) -> String {
        let user = url.user();
        let database = self.database();
        let code = database.map(PgDatabaseError::code);
        if let Some((_, remedy)) = self.sqlx().and_then(tls::explain) {
            return remedy;
        }
        match (self, code) {
            (Self::Encoding(_), _) => {
                "Create the database with `createdb --encoding UTF8 --template template0`.".to_owned()
            }
            (Self::Locked, _) => "See `pg_stat_activity` for what it waits for, then start again.".to_owned(),
            (Self::Changed(_), _) => {
                "The database was migrated by a Strom of another make. Use that one, or another database.".to_owned()
            }
            (Self::Elsewhere(_), _) => {
                "The address for migrations must lead to the same database and schema.".to_owned()
            }
            (Self::Pooled, _) => {
                "Run `strom migrate` with a direct URL once, or name one with --migrate-database-url.".to_owned()
            }
            (Self::NoSchema | Self::OlderSchema(_), _) => {
                "Run `strom migrate` on the primary, or start a Strom of this version without `--read-only` there, which \
                 migrates; then start again."
                    .to_owned()
            }
            (_, Some("28P01" | "28000")) => {
                "Check the user and password in the URL, and pg_hba.conf on the server.".to_owned()
            }
            (_, Some("3D000")) => {
                format!("Create it with `createdb --encoding UTF8 {}`.", url.database())
            }
            (Self::Migration { .. } | Self::Index { .. }, Some("42501")) => format!(
                "Run `strom migrate` with the URL of the owner, or let the database belong to this user: `ALTER DATABASE \
                 … OWNER TO \"{user}\"`."
            ),
            (_, Some("42501")) => format!(
                "Let the owner grant what docs/database.md lists: `GRANT SELECT ON _sqlx_migrations TO \"{user}\"` and \
                 the others."
            ),
            (_, Some("25006")) => "Name the primary in the URL; a standby cannot be migrated.".to_owned(),
            (Self::Migration { .. }, Some("55P03")) => {
                "Another session holds a lock on the table; `pg_stat_activity` shows it. Nothing of this migration was \
                 kept: end that session, then start again."
                    .to_owned()
            }
            (_, Some("55P03")) => {
                "An older transaction does not end; `pg_stat_activity` shows it. End it, then start again.".to_owned()
            }
            _ if self.is_absence() => {
                "Check host and port in the URL, and that PostgreSQL is running there.".to_owned()
            }
            _ => match database.and_then(PgDatabaseError::hint) {
                Some(hint) => hint.to_owned(),
                None if matches!(self, Self::Migration { .. }) => {
                    "Nothing of this migration was kept. Mend the cause, then start again.".to_owned()
                }
                None => "Mend the cause, then start again.".to_owned(),
            },
        }
    }
}
