//! Which migrations a database has, found with plain reads in one transaction: nothing is locked, nothing is written, and
//! the session is left as it was, so that it works for a user without rights on the schema and through any pooler.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use serde::Serialize;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

use super::DatabaseUrl;
use super::open_error::Problem;
use super::servers::Servers;
use crate::repository::OpenError;

/// The migrations that this version knows.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!();

/// What this version of Strom finds of its migrations in a database.
#[derive(Debug, Clone)]
pub struct MigrationStatus {
    /// All that are applied or should be, by number.
    pub migrations: Vec<Migration>,
    url: DatabaseUrl,
}

impl MigrationStatus {
    /// Whether it has all of this version's. Those of a newer Strom do not count: this one works on them.
    pub fn is_up_to_date(&self) -> bool {
        let state = |migration: &Migration| migration.state;
        self.migrations
            .iter()
            .map(state)
            .all(|state| matches!(state, MigrationState::Applied | MigrationState::Unknown))
    }

    /// Whether a start would go on from here.
    ///
    /// # Errors
    /// [`OpenError`] when a migration was applied that differs from the one this version knows by its number.
    pub fn verify(&self) -> Result<(), OpenError> {
        Ok(verify(&self.migrations).map_err(|problem| problem.at(&self.url))?)
    }
}

/// One step of the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Migration {
    /// Its number; they are applied in this order.
    pub number: i64,
    /// What it is about, in a word or a few.
    pub description: String,
    /// Whether the database has it.
    pub state: MigrationState,
    /// When the database got it, by its clock.
    pub applied_at: Option<DateTime<Utc>>,
}

/// Whether a database has a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MigrationState {
    /// It has it.
    Applied,
    /// It does not have it yet.
    Pending,
    /// It has it, and this version does not know it: a newer Strom was here.
    Unknown,
    /// It has another one by this number: a Strom of another make was here, or another program that uses sqlx.
    Changed,
}

impl fmt::Display for MigrationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Changed => "changed",
        })
    }
}

/// `0003 revisions`, as the file is called.
impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04} {}", self.number, self.description)
    }
}

/// Which migrations a database has, which it lacks, and which are not this version's. Only reads.
///
/// # Errors
/// [`OpenError`]: no answer, no access, no right to read, a database that is not in UTF-8.
pub async fn migrations(url: &DatabaseUrl) -> Result<MigrationStatus, OpenError> {
    // A standby knows as well.
    let servers = Servers::new(url, true);
    let (_, found) = servers.ask(url.connect_timeout, |connection| find(connection).boxed()).await?;
    Ok(MigrationStatus { migrations: found.migrations, url: url.clone() })
}

/// What a start finds.
#[derive(Debug)]
pub(super) struct Found {
    migrations: Vec<Migration>,
    /// Whether there is a table of migrations.
    pub(super) is_recorded: bool,
    /// Whether the log of changes belongs to another place (0004): the database was restored here from a dump.
    is_restored: bool,
}

impl Found {
    /// Whether there is nothing to do.
    pub(super) fn is_complete(&self) -> Result<bool, Problem> {
        verify(&self.migrations)?;
        Ok(!self.is_restored && self.pending().next().is_none())
    }

    /// What is to be applied, in this order.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Migration> {
        self.migrations.iter().filter(|migration| migration.state == MigrationState::Pending)
    }

    /// Says in the log what a newer Strom has applied.
    pub(super) fn tell_unknown(&self) {
        let unknown = self.migrations.iter().filter(|migration| migration.state == MigrationState::Unknown);
        let unknown: Vec<_> = unknown.map(ToString::to_string).collect();
        if !unknown.is_empty() {
            tracing::warn!(
                migrations = unknown.join(", "),
                "a newer Strom has migrated this database; this one works on it"
            );
        }
    }
}

fn verify(migrations: &[Migration]) -> Result<(), Problem> {
    let changed = migrations.iter().find(|migration| migration.state == MigrationState::Changed);
    changed.map_or(Ok(()), |migration| Err(Problem::Changed(migration.clone())))
}

/// Whether the schema is as new as this program and we may read all of it: what one has to find who only reads.
pub(super) async fn check_reading(connection: &mut PgConnection) -> Result<(), Problem> {
    let found = find(connection).await?;
    verify(&found.migrations)?;
    match found.pending().next() {
        Some(_) if !found.is_recorded => return Err(Problem::NoSchema),
        Some(first) => return Err(Problem::OlderSchema(first.clone())),
        None => {}
    }
    let mut transaction = connection.begin().await?;
    // The rights are asked for although no row is.
    let read = sqlx::query!("SELECT flows.id FROM flows, flow_changes, flow_log LIMIT 0");
    read.fetch_optional(&mut *transaction).await?;
    transaction.clear_cached_statements().await?;
    Ok(transaction.rollback().await?)
}

pub(super) async fn find(connection: &mut PgConnection) -> Result<Found, Problem> {
    // A pooler gives away the connection between transactions, and sqlx asks twice for each statement; it must not find
    // any of ours in it afterwards.
    let mut transaction = connection.begin().await?;
    let database = sqlx::query!(
        r#"
        SELECT
            current_setting('server_encoding') AS "encoding!", -- always set
            to_regclass('_sqlx_migrations') IS NOT NULL AS "is_recorded!" -- never NULL
        "#
    )
    .fetch_one(&mut *transaction)
    .await?;
    if database.encoding != "UTF8" {
        return Err(Problem::Encoding(database.encoding));
    }
    let mut migrations: BTreeMap<_, _> = MIGRATIONS.iter().map(|known| (known.version, pending(known))).collect();
    if database.is_recorded {
        let applied = sqlx::query!(
            "SELECT version, description, checksum, success, installed_on FROM _sqlx_migrations ORDER BY version"
        );
        for row in applied.fetch_all(&mut *transaction).await? {
            let known = MIGRATIONS.iter().find(|known| known.version == row.version);
            let state = match known {
                None => MigrationState::Unknown,
                Some(known) if row.success && *known.checksum == *row.checksum => MigrationState::Applied,
                Some(_) => MigrationState::Changed,
            };
            let (number, applied_at) = (row.version, Some(row.installed_on));
            let description = known.map_or(row.description, |known| known.description.to_string());
            migrations.insert(number, Migration { number, description, state, applied_at });
        }
    }
    // Where something is pending, the log may not be there yet, or be a table of somebody else.
    let is_complete = migrations.values().all(|migration| migration.state != MigrationState::Pending);
    let is_restored = is_complete
        && sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM flow_log WHERE place IS DISTINCT FROM strom_place()) AS "restored!" -- never NULL"#
        )
        .fetch_one(&mut *transaction)
        .await?;
    transaction.clear_cached_statements().await?;
    transaction.rollback().await?;
    let migrations = migrations.into_values().collect();
    Ok(Found { migrations, is_recorded: database.is_recorded, is_restored })
}

fn pending(known: &sqlx::migrate::Migration) -> Migration {
    Migration {
        number: known.version,
        description: known.description.to_string(),
        state: MigrationState::Pending,
        applied_at: None,
    }
}
