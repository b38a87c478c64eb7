//! The errors of opening a database, with a remedy for each.

use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

use super::damage::{Damage, describe};
use super::migration::Migration;
use crate::postgres::connection::{DatabaseUrl, SelectionError, explain, is_outage};
use crate::repository::OpenError;

/// The cause of a failure to open a database.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("{}", selection_message(.0))]
    NoServer(#[from] SelectionError),
    #[error("the server has not answered for {} s", .0.as_secs())]
    NoAnswer(Duration),
    #[error("the database is encoded in {0}, not in UTF8")]
    Encoding(String),
    #[error("another session has held the migration lock for {} s", .0.as_secs())]
    Locked(Duration),
    #[error("the table flows has no primary key on the column id")]
    NoKey,
    #[error("its schema is damaged: {}", describe(.0))]
    Damaged(Vec<Damage>),
    #[error("migration {0} was applied with different content than in this version")]
    ChangedMigration(Migration),
    #[error("migrations were applied at {0}, but they are still pending here")]
    MigratedElsewhere(String),
    #[error("migrations are pending, and a transaction pooler cannot run them")]
    Pooler,
    #[error("the database has no schema yet, and a read-only instance does not create it")]
    NoSchema,
    #[error(
        "its schema is older than this version: migration {0} is missing, and a read-only instance does not apply it"
    )]
    OlderSchema(Migration),
    #[error("migration {migration} failed: {}", migration_message(.source))]
    FailedMigration { migration: Migration, source: MigrateError },
    #[error("the index {index} cannot be built or dropped: {}", server_message(.source))]
    FailedIndex { index: String, source: sqlx::Error },
    #[error("{}", server_message(.0))]
    Sqlx(#[from] sqlx::Error),
}

/// Returns the server's own words, without those that sqlx adds.
fn migration_message(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => server_message(error),
        other => other.to_string(),
    }
}

fn server_message(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

fn selection_message(error: &SelectionError) -> String {
    match error {
        SelectionError::Sqlx(error) => explain(error).map_or_else(|| server_message(error), |(reason, _)| reason),
        other => other.to_string(),
    }
}

/// A cause, and the database that it concerns.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub(crate) struct OpenFailure {
    cause: Cause,
    url: DatabaseUrl,
}

impl OpenFailure {
    /// Whether changes were possible that the history does not contain.
    pub(crate) fn hides_changes(&self) -> bool {
        matches!(&self.cause, Cause::Damaged(damage) if damage.iter().any(Damage::hides_changes))
    }

    /// Whether the failure is an outage, which may pass by itself.
    pub(crate) fn is_outage(&self) -> bool {
        self.cause.is_outage()
    }
}

impl From<OpenFailure> for OpenError {
    fn from(OpenFailure { cause, url }: OpenFailure) -> Self {
        Self { location: url.to_string(), problem: cause.to_string(), remedy: cause.remedy(&url) }
    }
}

impl Cause {
    /// Adds the database.
    pub(super) fn at(self, url: &DatabaseUrl) -> OpenFailure {
        OpenFailure { cause: self, url: url.clone() }
    }

    fn is_outage(&self) -> bool {
        match self {
            Self::NoServer(error) => error.is_outage(),
            // An operator may repair it while a server waits.
            Self::NoAnswer(_) | Self::Damaged(_) => true,
            other => other.sqlx().is_some_and(is_outage),
        }
    }

    /// Whether `lock_timeout` ended the statement.
    pub(super) fn is_lock_timeout(&self) -> bool {
        self.database().is_some_and(|error| error.code() == "55P03")
    }

    fn sqlx(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Sqlx(error)
            | Self::NoServer(SelectionError::Sqlx(error))
            | Self::FailedIndex { source: error, .. } => Some(error),
            Self::FailedMigration { source: MigrateError::Execute(error), .. }
            | Self::FailedMigration { source: MigrateError::ExecuteMigration(error, _), .. } => Some(error),
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
        if let Some((_, remedy)) = self.sqlx().and_then(explain) {
            return remedy;
        }
        match (self, code) {
            (Self::Encoding(_), _) => {
                format!("Create a database with `createdb --encoding UTF8 --template template0 {}_utf8`.", url.database())
            }
            (Self::Locked(_), _) => {
                "Another instance is migrating. Wait for it. If it waits for a lock, `SELECT pid, pg_blocking_pids(pid), \
                 query FROM pg_stat_activity` shows the session that blocks it: end that session with \
                 `pg_terminate_backend(pid)`, not the migration."
                    .to_owned()
            }
            (Self::Damaged(damage), _) => damage.first().map(|damage| damage.remedy(user)).unwrap_or_default(),
            (Self::NoKey, _) => "Run `ALTER TABLE flows ADD PRIMARY KEY (id)` as its owner, then start again.".to_owned(),
            (Self::ChangedMigration(_), _) => {
                "A different build migrated this database. Start that build, or use another database.".to_owned()
            }
            (Self::MigratedElsewhere(_), _) => {
                "Make --migrate-database-url and --database-url name the same database and the same schema (search_path).".to_owned()
            }
            (Self::Pooler, _) => {
                "Run `strom migrate` with the URL of PostgreSQL itself, or set that URL with --migrate-database-url.".to_owned()
            }
            (Self::NoSchema | Self::OlderSchema(_), _) => {
                "On the primary, run `strom migrate` or start an instance of this version without `--read-only`. Then \
                 start again."
                    .to_owned()
            }
            (_, Some("28P01" | "28000")) => {
                "Check the user and password in the URL, and pg_hba.conf on the server.".to_owned()
            }
            (_, Some("3D000")) => {
                format!("Create it with `createdb --encoding UTF8 --template template0 {}`.", url.database())
            }
            (Self::FailedMigration { .. } | Self::FailedIndex { .. }, Some("42501")) => format!(
                "Run `strom migrate` with the URL of the owner, or make this user the owner: `ALTER DATABASE \"{}\" OWNER TO \
                 \"{user}\"`, and the same for its tables.",
                url.database()
            ),
            (_, Some("42501")) => format!(
                "As the owner of the tables, run all GRANT statements of docs/database.md for the role \"{user}\"."
            ),
            (_, Some("25006")) => "This server is a standby or read-only. Connect to the primary, or start with --read-only.".to_owned(),
            (Self::FailedMigration { .. }, Some("55P03")) => {
                "The migration was rolled back: another session holds a lock on the table. `SELECT pid, xact_start, query \
                 FROM pg_stat_activity ORDER BY xact_start` shows the oldest transactions: end the session that holds \
                 the lock with `pg_terminate_backend(pid)`, then start again."
                    .to_owned()
            }
            (_, Some("55P03")) => {
                "An older transaction does not end. `SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY \
                 xact_start` shows it first: end it with `pg_terminate_backend(pid)`, then start again."
                    .to_owned()
            }
            _ if self.is_outage() => "Check host and port in the URL, and that PostgreSQL is running there.".to_owned(),
            _ => match database.and_then(PgDatabaseError::hint) {
                Some(hint) => hint.to_owned(),
                None if matches!(self, Self::FailedMigration { .. }) => {
                    "The migration was rolled back. Check the PostgreSQL log, correct the cause, then start again.".to_owned()
                }
                None => "Check the PostgreSQL log, correct the cause, then start again.".to_owned(),
            },
        }
    }
}
