//! Brings the schema up to date at start.
//!
//! On a connection of its own, which is closed before the pool opens: sqlx's own lock would stay with the session after
//! a failed migration, and a session of the pool lives on. The lock here is tried, not waited for: a session that waits
//! would block `CREATE INDEX CONCURRENTLY` of the one that works.

use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::{Connection, PgConnection};

use super::DatabaseUrl;
use super::servers::{self, NotFound};
use crate::repository::OpenError;

/// The key of the advisory lock; "STROM" in ASCII. Locks of other databases on the server do not count.
const LOCK_KEY: i64 = 0x53_54_52_4f_4d;
/// How long another instance may work on the schema before we give up.
const LOCK_TIMEOUT: Duration = Duration::from_secs(300);
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// Migrates, or finds that there is nothing to do.
pub(super) async fn run(mut connection: PgConnection) -> Result<(), Problem> {
    let migrated = migrate(&mut connection).await;
    // Closing gives the lock back, whatever happened.
    let _ = connection.close().await;
    migrated
}

/// Finds that the schema is there and as new as this program, by reading alone: a standby cannot be written, and a user
/// who may only read has no rights to.
pub(super) async fn find(mut connection: PgConnection) -> Result<(), Problem> {
    let found = look(&mut connection).await;
    let _ = connection.close().await;
    found
}

async fn migrate(connection: &mut PgConnection) -> Result<(), Problem> {
    check_encoding(connection).await?;
    lock(connection).await?;
    // A migration that cannot get its table lock must fail rather than block every reader behind it. It may take its time
    // with many flows.
    sqlx::query!(
        "SELECT set_config('lock_timeout', '30s', FALSE) AS locks, set_config('statement_timeout', '0', FALSE) AS time"
    )
    .fetch_one(&mut *connection)
    .await?;
    let mut migrator = sqlx::migrate!();
    // An older Strom works on the schema of a newer one. What it knows of must still be what was applied.
    migrator.set_ignore_missing(true).set_locking(false);
    migrator.run_direct(None, &mut *connection, false).await?;
    begin_log(connection).await
}

async fn look(connection: &mut PgConnection) -> Result<(), Problem> {
    check_encoding(connection).await?;
    let found =
        sqlx::query!("SELECT version, checksum, success FROM _sqlx_migrations").fetch_all(&mut *connection).await;
    let applied = found.map_err(|error| match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("42P01") => Problem::NoSchema,
        _ => Problem::Unreadable(error),
    })?;
    for known in sqlx::migrate!().iter() {
        match applied.iter().find(|applied| applied.version == known.version) {
            Some(applied) if !applied.success => return Err(MigrateError::Dirty(known.version).into()),
            Some(applied) if applied.checksum != *known.checksum => {
                return Err(MigrateError::VersionMismatch(known.version).into());
            }
            Some(_) => {}
            None => return Err(Problem::OlderSchema(known.version)),
        }
    }
    // Whether we may read what we are going to read: the rights are asked for although no row is.
    let read =
        sqlx::query!("SELECT flows.id FROM flows, flow_changes, flow_log LIMIT 0").fetch_optional(connection).await;
    read.map(drop).map_err(Problem::Unreadable)
}

async fn check_encoding(connection: &mut PgConnection) -> Result<(), Problem> {
    let encoding = sqlx::query_scalar!(r#"SELECT current_setting('server_encoding') AS "encoding!" -- always set"#)
        .fetch_one(connection)
        .await?;
    if encoding == "UTF8" { Ok(()) } else { Err(Problem::Encoding(encoding)) }
}

/// A database that was restored from a dump counts its transactions anew, and goes on in another log of changes.
async fn begin_log(connection: &mut PgConnection) -> Result<(), Problem> {
    sqlx::query!(
        "UPDATE flow_log SET log = strom_log(), place = strom_place() WHERE place IS DISTINCT FROM strom_place()"
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn lock(connection: &mut PgConnection) -> Result<(), Problem> {
    let locking = async {
        while !sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!" -- never NULL"#, LOCK_KEY)
            .fetch_one(&mut *connection)
            .await?
        {
            tokio::time::sleep(LOCK_RETRY).await;
        }
        Ok(())
    };
    tokio::time::timeout(LOCK_TIMEOUT, locking).await.map_err(|_| Problem::Locked)?
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error(transparent)]
    NotFound(#[from] NotFound),
    #[error("the database is encoded in {0}, not in UTF8")]
    Encoding(String),
    #[error("no Strom has migrated it yet, and a read-only instance does not")]
    NoSchema,
    #[error("its schema is older than this Strom: migration {0} is missing, and a read-only instance does not migrate")]
    OlderSchema(i64),
    #[error("another instance has been migrating for {} s", LOCK_TIMEOUT.as_secs())]
    Locked,
    #[error(transparent)]
    Unreadable(sqlx::Error),
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
}

impl Problem {
    /// Whether nobody is there who could be asked, and it may pass by itself.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::NotFound(error) => error.is_absence(),
            Self::Sqlx(error) | Self::Unreadable(error) => servers::is_absence(error),
            _ => false,
        }
    }

    /// What the server said, without sqlx's words around it.
    fn database(&self) -> Option<&sqlx::postgres::PgDatabaseError> {
        let error = match self {
            Self::Sqlx(error) | Self::Unreadable(error) | Self::NotFound(NotFound::Sqlx(error)) => error,
            Self::Migrate(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => error,
            _ => return None,
        };
        error.as_database_error()?.try_downcast_ref()
    }
}

pub(super) fn open_error(url: &DatabaseUrl, problem: Problem) -> OpenError {
    let database = problem.database();
    let remedy = match (&problem, database.map(|error| error.code())) {
        (_, Some("28P01" | "28000")) => {
            "Check the user and password in the URL, and pg_hba.conf on the server.".to_owned()
        }
        (_, Some("3D000")) => {
            format!("Create it with `createdb --encoding UTF8 {}`.", url.database())
        }
        (Problem::Unreadable(_), Some("42501")) => {
            "Let the user of the URL read: `GRANT SELECT ON flows, flow_changes, flow_log, _sqlx_migrations TO …`."
                .to_owned()
        }
        (_, Some("42501")) => {
            "Let the database belong to the user of the URL: `ALTER DATABASE … OWNER TO …`.".to_owned()
        }
        (_, Some("55P03")) => "Another session holds a lock on the table; end it, then start again.".to_owned(),
        (_, Some(_)) => match database.and_then(|error| error.hint()) {
            Some(hint) => hint.to_owned(),
            None => "The database is unchanged. Mend the cause, then start again.".to_owned(),
        },
        (Problem::NoSchema | Problem::OlderSchema(_), _) => {
            "Start a Strom of this version without `--read-only` on the primary once, which migrates; then start again."
                .to_owned()
        }
        (Problem::Encoding(_), _) => {
            "Create the database with `createdb --encoding UTF8 --template template0`.".to_owned()
        }
        (Problem::Locked, _) => "See `pg_stat_activity` for what it waits for, then start again.".to_owned(),
        (Problem::Migrate(MigrateError::VersionMismatch(_)), _) => {
            "The database was migrated by a Strom of another make. Use that one, or another database.".to_owned()
        }
        _ => "Check host and port in the URL, and that PostgreSQL is running there.".to_owned(),
    };
    let problem = match database {
        Some(error) => error.message().to_owned(),
        None => problem.to_string(),
    };
    OpenError { location: url.to_string(), problem, remedy }
}
