//! Runs statements on connections of the pool.

use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::PgConnection;
use tokio::time::sleep;

use super::pool::Pool;
use super::session;
use crate::postgres::error::{self, Error, of_read, unanswered};
use crate::repository::Result;

/// Time limit for a call whose connection alone has died. A statement on a reachable server ends sooner (session.rs). A
/// large import consists of many statements and may take minutes.
const CALL_TIMEOUT: Duration = Duration::from_secs(600);

impl Pool {
    /// Runs a statement that can run twice. Retries once, on another connection if necessary, after a lost connection,
    /// a plan that no longer fits the table, or a conflict with the replay of a standby.
    pub(crate) async fn read<T>(
        &self,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync,
    ) -> Result<T> {
        match self.run(&statement).await {
            Err(error) if error.is_stale_plan() || error.is_lost_connection() || error.is_race() => {
                self.run(&statement).await
            }
            result => result,
        }
        .map_err(of_read)
    }

    /// Runs a statement once.
    pub(crate) async fn run<T>(
        &self,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync,
    ) -> error::Result<T> {
        self.run_for(CALL_TIMEOUT, statement).await
    }

    /// Runs a statement once, without a time limit: its reader decides how long it takes.
    pub(super) async fn run_unlimited<T>(
        &self,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync,
    ) -> error::Result<T> {
        self.run_for(Duration::MAX, statement).await
    }

    async fn run_for<T>(
        &self,
        limit: Duration,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync,
    ) -> error::Result<T> {
        let mut connection = self.acquire().await?;
        let result = tokio::select! {
            result = self.call(&mut connection, &statement) => result,
            error = self.until_unresponsive() => Err(error),
            error = self.outage_error() => Err(error),
            () = sleep(limit) => Err(unanswered(format!("no answer within {} s", limit.as_secs())).into()),
        };
        if result.as_ref().is_err_and(Error::suggests_damage) {
            self.doubts.notify_one();
        }
        match &result {
            Err(error) if error.is_read_only_server() => {
                connection.close_on_drop();
                self.abandon_standby(error);
            }
            Err(error) if error.is_stale_plan() || error.is_lost_connection() => connection.close_on_drop(),
            Ok(_) | Err(_) => {
                connection.mark_reusable();
                self.record_answer();
            }
        }
        result
    }

    async fn call<T>(
        &self,
        connection: &mut PgConnection,
        statement: &(impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, error::Result<T>> + Send + Sync),
    ) -> error::Result<T> {
        if self.servers.is_behind_pooler() {
            session::run_in_transaction(connection, statement).await
        } else {
            statement(connection).await
        }
    }
}
