//! Applies pending migrations.
//!
//! Migrations run on a connection of their own, which is closed before the pool opens: after a failed migration sqlx's
//! own lock stays with the session, and a session of the pool lives on. The lock of this file is tried, not waited for:
//! a session that waits for it would block `CREATE INDEX CONCURRENTLY` of the instance that migrates. An instance
//! without pending migrations (inspect.rs) does not come here: it takes no lock, writes nothing and needs no right to.
//!
//! Each migration is one transaction. A single transaction for all of them would block readers from the first table
//! lock to the last copy, and restart from the beginning after every failure.

use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration as SqlxMigration};
use sqlx::{Connection, PgConnection};

use super::damage::lacks_key;
use super::indexes;
use super::inspect::{Inspection, inspect};
use super::lock_timeout::{CONCURRENT_LOCK_TIMEOUT, set_lock_timeout};
use super::migration::{MIGRATIONS, Migration, MigrationState};
use super::open_error::Cause;

/// The key of the advisory lock; "STROM" in ASCII. The lock is separate for each database of a server.
const LOCK_KEY: i64 = 0x53_54_52_4f_4d;
/// How long to wait for another instance that migrates.
const LOCK_TIMEOUT: Duration = Duration::from_secs(300);
const LOCK_RETRY: Duration = Duration::from_millis(50);
/// The migration that rewrites the table which 0001 has adopted, with all its indexes, while readers are blocked.
const REWRITING_MIGRATION: i64 = 2;
/// Every later session queues behind a migration that waits for its table lock. So a migration waits briefly, and lets
/// the queue pass between its attempts.
const TABLE_LOCK_TIMEOUT: &str = "2s";
const TABLE_LOCK_ATTEMPTS: u32 = 5;
const TABLE_LOCK_PAUSE: Duration = Duration::from_secs(1);

/// Applies the pending migrations, and returns them.
pub(super) async fn apply_pending(connection: &mut PgConnection) -> Result<Vec<Migration>, Cause> {
    prepare_session(connection).await?;
    lock(connection).await?;
    // Again, under the lock: another instance may have migrated in the meantime.
    let found = inspect(connection).await?;
    let mut applied = Vec::new();
    if found.is_complete()? {
        return Ok(applied);
    }
    if let Some(first) = found.pending().next() {
        if lacks_key(connection).await? {
            return Err(Cause::NoKey);
        }
        log_plan(connection, &found).await?;
        indexes::repair(connection, first.number <= REWRITING_MIGRATION + 1).await?;
    }
    for pending in found.pending() {
        if pending.number == REWRITING_MIGRATION {
            indexes::drop_data_index(connection).await?;
        }
        apply(connection, pending, found.is_recorded || !applied.is_empty()).await?;
        applied.push(Migration { state: MigrationState::Applied, ..pending.clone() });
        if pending.number == REWRITING_MIGRATION {
            indexes::build_missing(connection).await?;
        }
    }
    start_new_log(connection).await?;
    Ok(applied)
}

/// Turns off the timeouts of the user and the database: a migration has no time limit. If the process is killed, the
/// server notices within a second and ends the session, so that the next start gets the lock.
/// Source:
/// <https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-CLIENT-CONNECTION-CHECK-INTERVAL>.
async fn prepare_session(connection: &mut PgConnection) -> Result<(), Cause> {
    sqlx::query!(
        "
        SELECT set_config(name, '0', FALSE)
        FROM pg_settings
        WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')
        "
    )
    .fetch_all(&mut *connection)
    .await?;
    let check = sqlx::query!("SELECT set_config('client_connection_check_interval', '1s', FALSE)");
    // Servers on some platforms do not support this setting.
    let _ = check.fetch_one(connection).await;
    Ok(())
}

async fn lock(connection: &mut PgConnection) -> Result<(), Cause> {
    let locking = async {
        let mut is_logged = false;
        while !sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!" -- never NULL"#, LOCK_KEY)
            .fetch_one(&mut *connection)
            .await?
        {
            if !std::mem::replace(&mut is_logged, true) {
                tracing::info!("waiting for another instance to finish its migration");
            }
            tokio::time::sleep(LOCK_RETRY).await;
        }
        Ok(())
    };
    tokio::time::timeout(LOCK_TIMEOUT, locking).await.map_err(|_| Cause::Locked(LOCK_TIMEOUT))?
}

/// Logs the pending migrations and the size of the table: with a large adopted table, a start takes long.
async fn log_plan(connection: &mut PgConnection, found: &Inspection) -> Result<(), Cause> {
    let size = sqlx::query_scalar!("SELECT pg_size_pretty(pg_table_size(to_regclass('flows')))");
    if let Some(size) = size.fetch_one(connection).await? {
        let pending: Vec<_> = found.pending().map(ToString::to_string).collect();
        let pending = pending.join(", ");
        tracing::info!(pending, size, "migrating the table `flows`; writers may have to wait until the end");
    }
    Ok(())
}

async fn apply(connection: &mut PgConnection, pending: &Migration, is_recorded: bool) -> Result<(), Cause> {
    let migration = MIGRATIONS.iter().find(|migration| migration.version == pending.number);
    let migration = migration.expect("pending migrations belong to this version");
    let failed = |source| Cause::FailedMigration { migration: pending.clone(), source };
    let mut attempts = 1;
    let duration = loop {
        let applying = match migration.no_tx {
            // A single attempt: a failed build leaves an invalid index that `IF NOT EXISTS` accepts. The next start
            // drops it.
            true => apply_concurrently(connection, migration).await,
            false => apply_in_transaction(connection, migration, is_recorded).await,
        };
        match applying.map_err(failed) {
            Ok(duration) => break duration,
            Err(cause) if cause.is_lock_timeout() && !migration.no_tx && attempts < TABLE_LOCK_ATTEMPTS => {
                tracing::info!(migration = %pending, "waiting for a table lock of another session");
                tokio::time::sleep(TABLE_LOCK_PAUSE).await;
                attempts += 1;
            }
            Err(cause) => return Err(cause),
        }
    };
    tracing::info!(migration = %pending, seconds = duration.as_secs_f64(), "applied");
    Ok(())
}

async fn apply_concurrently(
    connection: &mut PgConnection,
    migration: &SqlxMigration,
) -> Result<Duration, MigrateError> {
    set_lock_timeout(connection, CONCURRENT_LOCK_TIMEOUT).await?;
    connection.apply(&MIGRATIONS.table_name, migration).await
}

/// Applies a migration in a transaction, so that a failure leaves nothing behind. The first one also creates the table
/// that records migrations.
async fn apply_in_transaction(
    connection: &mut PgConnection,
    migration: &SqlxMigration,
    is_recorded: bool,
) -> Result<Duration, MigrateError> {
    set_lock_timeout(connection, TABLE_LOCK_TIMEOUT).await?;
    let mut transaction = connection.begin().await?;
    if !is_recorded {
        transaction.ensure_migrations_table(&MIGRATIONS.table_name).await?;
    }
    let duration = transaction.apply(&MIGRATIONS.table_name, migration).await?;
    transaction.commit().await?;
    Ok(duration)
}

/// Starts a new change log if the database is in another place: on a new server, transaction ids start again. After logical
/// replication, the sequence of the numbers may be behind the records.
async fn start_new_log(connection: &mut PgConnection) -> Result<(), Cause> {
    let mut transaction = connection.begin().await?;
    let started = sqlx::query!(
        "UPDATE flow_log SET log = strom_log(), place = strom_place() WHERE place IS DISTINCT FROM strom_place()"
    );
    if started.execute(&mut *transaction).await?.rows_affected() > 0 {
        // Concurrent transactions take their numbers in any order, so the last record may not have the highest number.
        sqlx::query!(
            "
            SELECT setval('flow_change_blocks', newest.number)
            FROM (
                SELECT max(number) AS number
                FROM (SELECT number FROM flow_changes ORDER BY log DESC, horizon DESC, number DESC LIMIT 10000) AS last
            ) AS newest
            WHERE newest.number > coalesce(pg_sequence_last_value('flow_change_blocks'::REGCLASS), 0)
            "
        )
        .fetch_optional(&mut *transaction)
        .await?;
    }
    Ok(transaction.commit().await?)
}
