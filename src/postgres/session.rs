//! What a session is set to, and what a call finds when it gets one.
//!
//! Settings that a role, a database or the URL's `options` make are left alone. Without any, a statement may take a minute
//! and wait ten seconds for a lock: who stands in front of others must go some time.

use futures::future::BoxFuture;
use sqlx::{Connection, PgConnection};

use super::error::{Error, Result};
use super::url::Wanted;

/// What a server lets a session do.
pub(super) struct Role {
    /// Nothing can be written: a standby, or a server that is set so.
    pub(super) is_read_only: bool,
    /// It follows another server.
    pub(super) is_standby: bool,
}

impl Role {
    /// Whether it is what is wanted; a standby is preferred by asking for one first.
    pub(super) fn fits(&self, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Any | Wanted::PreferStandby => true,
            Wanted::ReadWrite => !self.is_read_only,
            Wanted::ReadOnly => self.is_read_only,
            Wanted::Primary => !self.is_standby,
            Wanted::Standby => self.is_standby,
        }
    }
}

/// Sets a session up, or, where it is another's after it, the transaction that is open.
pub(super) async fn prepare(connection: &mut PgConnection, in_transaction: bool) -> sqlx::Result<Role> {
    // Settings are never NULL.
    let role = sqlx::query_as!(
        Role,
        r#"
        SELECT current_setting('transaction_read_only')::BOOLEAN AS "is_read_only!",
            pg_is_in_recovery() AS "is_standby!"
        FROM set_config(
                'statement_timeout',
                coalesce(nullif(current_setting('statement_timeout'), '0'), '60s'),
                $1
            ) AS statements,
            set_config('lock_timeout', coalesce(nullif(current_setting('lock_timeout'), '0'), '10s'), $1) AS locks
        "#,
        in_transaction,
    )
    .fetch_one(connection)
    .await?;
    Ok(role)
}

/// Lets the statements of this transaction take as long as their reader does.
pub(super) async fn wait_for_the_reader(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT set_config('statement_timeout', '0', TRUE)").fetch_one(connection).await?;
    Ok(())
}

/// Fails, and so has the connection closed, when it is dead or still inside a transaction whose `BEGIN` was sent by
/// somebody who went away. A bare `ROLLBACK` would do as well, but outside a transaction it writes a warning into the
/// server's log each time; a block that rolls back is silent there, and an error inside a transaction.
pub(super) async fn leave_no_transaction(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("DO $$ BEGIN ROLLBACK; END $$").execute(connection).await?;
    Ok(())
}

/// As [`leave_no_transaction`], and fails as well where nothing can be written any more: after a failover the old primary
/// may go on answering.
pub(super) async fn leave_no_transaction_and_write(connection: &mut PgConnection) -> sqlx::Result<()> {
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

/// Runs a statement in a transaction of its own that leaves nothing behind in the session: no setting, no prepared
/// statement. That is what a pooler asks for that gives the session to somebody else after the transaction.
///
/// A statement is prepared under a name, and other sessions of ours number theirs alike; so it is closed before the
/// transaction ends. When that fails, or the caller goes away, the connection has to be closed.
pub(super) async fn in_transaction<T>(
    connection: &mut PgConnection,
    statement: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T>> + Send,
) -> Result<T> {
    let mut transaction = connection.begin().await?;
    prepare(&mut transaction, true).await?;
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
