//! Inspects which migrations a database has.
//!
//! The inspection only reads, in one transaction. It takes no lock, writes nothing and leaves the session unchanged, so
//! it works for a user without rights on the schema and through any pooler.

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection};

use super::damage::{Damage, find_damage};
use super::migration::{MIGRATIONS, Migration, MigrationState};
use super::open_error::Cause;

/// The findings of an inspection.
#[derive(Debug)]
pub(super) struct Inspection {
    pub(super) migrations: Vec<Migration>,
    /// Whether the table of applied migrations exists.
    pub(super) is_recorded: bool,
    /// Damage of a schema without pending migrations.
    pub(super) damage: Vec<Damage>,
    /// Whether the change log belongs to another server or timeline (0004, 0013): the database was restored from a dump or
    /// to an earlier point in time, or a standby was promoted.
    is_restored: bool,
}

impl Inspection {
    /// Whether the database needs no change.
    pub(super) fn is_complete(&self) -> Result<bool, Cause> {
        verify(&self.migrations)?;
        Ok(!self.is_restored && self.pending().next().is_none())
    }

    /// Returns the migrations to apply, in this order.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Migration> {
        self.migrations.iter().filter(|migration| migration.state == MigrationState::Pending)
    }

    /// Logs the migrations that a newer version has applied.
    pub(super) fn log_unknown(&self) {
        let unknown = self.migrations.iter().filter(|migration| migration.state == MigrationState::Unknown);
        let unknown: Vec<_> = unknown.map(ToString::to_string).collect();
        if !unknown.is_empty() {
            tracing::warn!(
                migrations = unknown.join(", "),
                "a newer version has migrated this database; this version can use it"
            );
        }
    }
}

/// Fails if an applied migration differs from the migration of this version with the same number.
pub(super) fn verify(migrations: &[Migration]) -> Result<(), Cause> {
    let changed = migrations.iter().find(|migration| migration.state == MigrationState::Changed);
    changed.map_or(Ok(()), |migration| Err(Cause::ChangedMigration(migration.clone())))
}

/// Checks what a read-only instance requires: the schema is up to date, and the user may read all of it.
pub(super) async fn check_readable(connection: &mut PgConnection) -> Result<(), Cause> {
    let found = inspect(connection).await?;
    verify(&found.migrations)?;
    let damage: Vec<_> = found.damage.iter().filter(|damage| damage.concerns_reads()).cloned().collect();
    if !damage.is_empty() {
        return Err(Cause::Damaged(damage));
    }
    match found.pending().next() {
        Some(_) if !found.is_recorded => return Err(Cause::NoSchema),
        Some(first) => return Err(Cause::OlderSchema(first.clone())),
        None => {}
    }
    let mut transaction = connection.begin().await?;
    // PostgreSQL checks the rights although the statement returns no row.
    let read = sqlx::query!("SELECT flows.id FROM flows, flow_changes, flow_log LIMIT 0");
    read.fetch_optional(&mut *transaction).await?;
    transaction.clear_cached_statements().await?;
    Ok(transaction.rollback().await?)
}

/// Returns which migrations the database has. Only reads.
pub(super) async fn inspect(connection: &mut PgConnection) -> Result<Inspection, Cause> {
    // In a transaction: a pooler may reassign the connection between the two round trips that sqlx needs per statement.
    // The statements are closed at the end, so that other sessions do not find them in the connection.
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
        return Err(Cause::Encoding(database.encoding));
    }
    let mut migrations: BTreeMap<_, _> = MIGRATIONS.iter().map(|known| (known.version, as_pending(known))).collect();
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
    // While a migration is pending, `flow_log` may be missing, or be a table of another program.
    let is_complete = migrations.values().all(|migration| migration.state != MigrationState::Pending);
    let damage = if is_complete { find_damage(&mut transaction).await? } else { Vec::new() };
    let is_restored = is_complete
        && !damage.iter().any(Damage::concerns_reads)
        && sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM flow_log WHERE place IS DISTINCT FROM strom_place()) AS "restored!" -- never NULL"#
        )
        .fetch_one(&mut *transaction)
        .await?;
    transaction.clear_cached_statements().await?;
    transaction.rollback().await?;
    let migrations = migrations.into_values().collect();
    Ok(Inspection { migrations, is_recorded: database.is_recorded, damage, is_restored })
}

fn as_pending(known: &sqlx::migrate::Migration) -> Migration {
    Migration {
        number: known.version,
        description: known.description.to_string(),
        state: MigrationState::Pending,
        applied_at: None,
    }
}
