//! The configuration of sessions and the checks before their reuse.
//!
//! Timeouts that a role, a database or the URL's `options` set take precedence. Otherwise a statement may take a minute
//! and wait ten seconds for a lock, so that no statement blocks others forever.
//!
//! A session never hides rows: with row-level security, a statement fails instead of returning fewer flows. A commit waits for
//! the disk, also if `synchronous_commit` is off for the user or the database.
//!
//! Transactions run at READ COMMITTED, whatever the default of the database: a statement then sees what other writers have
//! committed, instead of failing. <https://www.postgresql.org/docs/current/transaction-iso.html>

use futures::future::BoxFuture;
use sqlx::{Connection, PgConnection};

use super::target::ServerRole;
use crate::postgres::error::{Error, Result};

/// Begins a transaction at READ COMMITTED.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Sets the timeouts and the isolation level of the session, or only of the open transaction, and returns the role of the
/// server.
pub(super) async fn configure(connection: &mut PgConnection, in_transaction: bool) -> sqlx::Result<ServerRole> {
    // `!`: these functions never return NULL.
    let role = sqlx::query_as!(
        ServerRole,
        r#"
        SELECT current_setting('transaction_read_only')::BOOLEAN AS "is_read_only!",
            pg_is_in_recovery() AS "is_standby!"
        FROM set_config(
                'statement_timeout',
                coalesce(nullif(current_setting('statement_timeout'), '0'), '60s'),
                $1
            ) AS statements,
            set_config('lock_timeout', coalesce(nullif(current_setting('lock_timeout'), '0'), '10s'), $1) AS locks,
            set_config('default_transaction_isolation', 'read committed', $1) AS isolation,
            set_config('row_security', 'off', $1) AS security,
            set_config(
                'synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), $1
            ) AS durability
        "#,
        in_transaction,
    )
    .fetch_one(connection)
    .await?;
    Ok(role)
}

/// Turns the statement timeout off until the end of the transaction: a slow reader must not fail the statement.
pub(super) async fn disable_statement_timeout(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT set_config('statement_timeout', '0', TRUE)").fetch_one(connection).await?;
    Ok(())
}

/// Fails if the connection is dead or inside a transaction that a cancelled call left open. The pool then closes it.
///
/// A bare `ROLLBACK` would also end the transaction, but outside a transaction the server logs a warning for it each
/// time. A block with `ROLLBACK` logs nothing there, and fails inside a transaction.
pub(super) async fn ensure_no_transaction(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("DO $$ BEGIN ROLLBACK; END $$").execute(connection).await?;
    Ok(())
}

/// As [`ensure_no_transaction`], and fails also if the server is read-only: after a failover the old primary may still
/// answer.
pub(super) async fn ensure_no_transaction_and_writable(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "
        DO $$
        BEGIN
            ROLLBACK;
            IF current_setting('transaction_read_only')::BOOLEAN THEN
                RAISE read_only_sql_transaction USING MESSAGE = 'the server has become read-only';
            END IF;
        END
        $$
        "
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Runs a statement in a transaction that leaves no setting and no prepared statement in the session. A transaction
/// pooler requires that, because it assigns the session to another client afterwards.
///
/// sqlx prepares the statement under a numbered name, and other sessions use the same numbers. So the statement is
/// closed before the transaction ends. If that fails, or the caller cancels, the connection has to be closed.
pub(super) async fn run_in_transaction<T>(
    connection: &mut PgConnection,
    statement: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T>> + Send,
) -> Result<T> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    configure(&mut transaction, true).await?;
    let result = statement(&mut transaction).await;
    if result.as_ref().is_err_and(Error::is_lost_connection) {
        return result;
    }
    transaction.clear_cached_statements().await?;
    match &result {
        Ok(_) => transaction.commit().await?,
        Err(_) => transaction.rollback().await?,
    }
    result
}
