//! The index over the parts of names, where the database has the extension pg_trgm.
//!
//! A search for a part of a name reads every name, 95 ms of 100,000 flows; with trigrams it takes some tenths of a
//! millisecond. The extension may not be had everywhere and is the operator's choice, so nothing depends on it: it is not
//! installed here, and an index that cannot be built is missed by nobody but who waits for a search. Source:
//! <https://www.postgresql.org/docs/current/pgtrgm.html>.

use std::sync::Arc;

use sqlx::PgConnection;

use super::error::{Error, Result};
use super::pool::Pool;

/// Builds the index while others write, if it is to be had and not there. Ends when that is done.
pub(super) async fn index(pool: Arc<Pool>) {
    if let Err(error) = try_to(&pool).await {
        tracing::debug!(%error, "there is no index over the parts of names");
    }
}

async fn try_to(pool: &Pool) -> std::result::Result<(), Error> {
    let mut connection = pool.acquire().await?;
    // Its settings are not those of a call.
    connection.discard();
    match state(&mut connection).await? {
        State { is_wanted: true, is_valid: None } => build(&mut connection).await,
        // Somebody was interrupted, or builds it now and keeps its lock.
        State { is_wanted: true, is_valid: Some(false) } => {
            sqlx::query!("DROP INDEX CONCURRENTLY IF EXISTS flows_name_parts").execute(&mut *connection).await?;
            build(&mut connection).await
        }
        _ => Ok(()),
    }
}

struct State {
    /// Whether the extension is there, and the table is ours to build an index on.
    is_wanted: bool,
    /// `None` where there is no index.
    is_valid: Option<bool>,
}

async fn state(connection: &mut PgConnection) -> Result<State> {
    let state = sqlx::query_as!(
        State,
        r#"
        SELECT
            EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm')
                AND pg_has_role(relowner, 'USAGE') AS "is_wanted!", -- never NULL
            (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('flows_name_parts')) AS is_valid
        FROM pg_class
        WHERE oid = to_regclass('flows')
        "#
    );
    Ok(state.fetch_one(connection).await?)
}

async fn build(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT set_config('statement_timeout', '0', FALSE)").fetch_one(&mut *connection).await?;
    sqlx::query!(
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS flows_name_parts ON flows USING GIN (name_folded gin_trgm_ops)"
    )
    .execute(connection)
    .await?;
    tracing::info!("built an index over the parts of names");
    Ok(())
}
