//! Brings the schema up to date at start.
//!
//! First a start looks, with plain reads (migrations.rs): an instance that finds nothing to do takes no lock, writes
//! nothing and needs no right to. What is missing is then made on a connection of its own, which is closed before the pool opens:
//! sqlx's own lock would stay with the session after a failed migration, and a session of the pool lives on. The lock here
//! is tried, not waited for: a session that waits would block `CREATE INDEX CONCURRENTLY` of the one that works.
//!
//! Each migration is one transaction. One for all of them would keep readers out from the first table lock to the last
//! copy, and begin from nothing after every failure.

use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration as Known};
use sqlx::{Connection, PgConnection};

use super::indexes;
use super::migrations::{self, Found, MIGRATIONS, Migration, MigrationState};
use super::open_error::Problem;

/// The key of the advisory lock; "STROM" in ASCII. Locks of other databases on the server do not count.
const LOCK_KEY: i64 = 0x53_54_52_4f_4d;
/// How long another instance may work on the schema before we give up.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(300);
const LOCK_RETRY: Duration = Duration::from_millis(50);
/// The migration that writes a table anew which 0001 has adopted, and all its indexes with it, while nobody can read.
const REWRITE: i64 = 2;
/// Everybody who comes later waits behind a migration that waits for its table lock: so it waits for moments only, and lets
/// them pass in between.
const TABLE_LOCK_TIMEOUT: &str = "2s";
const TABLE_LOCK_TRIES: u32 = 5;
const TABLE_LOCK_PAUSE: Duration = Duration::from_secs(1);
/// What is built concurrently waits for older transactions, and nobody waits behind it: so it may wait for longer, but not
/// for a transaction that somebody has forgotten.
pub(super) const CONCURRENT_LOCK_TIMEOUT: &str = "300s";

/// Applies what is missing, and says what that was.
pub(super) async fn bring_up_to_date(connection: &mut PgConnection) -> Result<Vec<Migration>, Problem> {
    prepare_session(connection).await?;
    lock(connection).await?;
    // Once more: another instance may have done it meanwhile.
    let found = migrations::find(connection).await?;
    let mut applied = Vec::new();
    if found.is_complete()? {
        return Ok(applied);
    }
    if let Some(first) = found.pending().next() {
        announce(connection, &found).await?;
        indexes::prepare(connection, first.number <= REWRITE + 1).await?;
    }
    for pending in found.pending() {
        if pending.number == REWRITE {
            indexes::set_aside(connection).await?;
        }
        apply(connection, pending, found.is_recorded || !applied.is_empty()).await?;
        applied.push(Migration { state: MigrationState::Applied, ..pending.clone() });
        if pending.number == REWRITE {
            indexes::build_missing(connection).await?;
        }
    }
    begin_log(connection).await?;
    Ok(applied)
}

/// A migration takes as long as it takes, whatever timeouts the user or the database have; but it ends soon when the
/// process that runs it is killed, and does not keep the lock from the next start.
/// Source: <https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-CLIENT-CONNECTION-CHECK-INTERVAL>.
async fn prepare_session(connection: &mut PgConnection) -> Result<(), Problem> {
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
    // Servers on some platforms cannot do it.
    let _ = check.fetch_one(connection).await;
    Ok(())
}

async fn lock(connection: &mut PgConnection) -> Result<(), Problem> {
    let locking = async {
        let mut is_told = false;
        while !sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!" -- never NULL"#, LOCK_KEY)
            .fetch_one(&mut *connection)
            .await?
        {
            if !std::mem::replace(&mut is_told, true) {
                tracing::info!("waiting for another instance that migrates");
            }
            tokio::time::sleep(LOCK_RETRY).await;
        }
        Ok(())
    };
    tokio::time::timeout(LOCK_TIMEOUT, locking).await.map_err(|_| Problem::Locked)?
}

/// An adopted table may be large, and nothing else tells why a start takes its time.
async fn announce(connection: &mut PgConnection, found: &Found) -> Result<(), Problem> {
    let size = sqlx::query_scalar!("SELECT pg_size_pretty(pg_table_size(to_regclass('flows')))");
    if let Some(size) = size.fetch_one(connection).await? {
        let pending: Vec<_> = found.pending().map(ToString::to_string).collect();
        let pending = pending.join(", ");
        tracing::info!(
            pending,
            size,
            "migrating the table `flows`; who writes to it may have to wait until that is done"
        );
    }
    Ok(())
}

pub(super) async fn set_lock_timeout(connection: &mut PgConnection, timeout: &str) -> sqlx::Result<()> {
    sqlx::query!("SELECT set_config('lock_timeout', $1, FALSE)", timeout).fetch_one(connection).await?;
    Ok(())
}

async fn apply(connection: &mut PgConnection, pending: &Migration, is_recorded: bool) -> Result<(), Problem> {
    let known = MIGRATIONS.iter().find(|migration| migration.version == pending.number);
    let migration = known.expect("what is pending is one of ours");
    let failed = |source| Problem::Migration { migration: pending.clone(), source };
    let mut tries = 1;
    let taken = loop {
        let applying = match migration.no_tx {
            // Once: what it leaves when it fails looks as if it were done. The next start clears it away.
            true => apply_concurrently(connection, migration).await,
            false => apply_at_once(connection, migration, is_recorded).await,
        };
        match applying.map_err(failed) {
            Ok(taken) => break taken,
            Err(problem) if problem.is_lock_timeout() && !migration.no_tx && tries < TABLE_LOCK_TRIES => {
                tracing::info!(migration = %pending, "waiting for a lock that another session holds");
                tokio::time::sleep(TABLE_LOCK_PAUSE).await;
                tries += 1;
            }
            Err(problem) => return Err(problem),
        }
    };
    tracing::info!(migration = %pending, seconds = taken.as_secs_f64(), "applied");
    Ok(())
}

async fn apply_concurrently(connection: &mut PgConnection, migration: &Known) -> Result<Duration, MigrateError> {
    set_lock_timeout(connection, CONCURRENT_LOCK_TIMEOUT).await?;
    connection.apply(&MIGRATIONS.table_name, migration).await
}

/// In a transaction, so that nothing stays when it fails; the first together with the table that records it.
async fn apply_at_once(
    connection: &mut PgConnection,
    migration: &Known,
    is_recorded: bool,
) -> Result<Duration, MigrateError> {
    set_lock_timeout(connection, TABLE_LOCK_TIMEOUT).await?;
    let mut transaction = connection.begin().await?;
    if !is_recorded {
        transaction.ensure_migrations_table(&MIGRATIONS.table_name).await?;
    }
    let taken = transaction.apply(&MIGRATIONS.table_name, migration).await?;
    transaction.commit().await?;
    Ok(taken)
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
