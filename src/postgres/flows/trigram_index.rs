//! The trigram index over names, which exists if the database has the extension pg_trgm.
//!
//! A search for a part of a name reads every name: 95 ms for 100,000 flows. With trigrams it takes less than a
//! millisecond. The extension is not available everywhere and is the operator's choice, so nothing depends on it. This
//! file does not install it, and without the index only searches are slower.
//! Source: <https://www.postgresql.org/docs/current/pgtrgm.html>.

use std::sync::Arc;

use sqlx::PgConnection;

use crate::postgres::connection::Pool;
use crate::postgres::error::{Error, Result};

/// Builds the index concurrently if the extension exists and the index does not.
pub(crate) async fn build_trigram_index(pool: Arc<Pool>) {
    if let Err(error) = try_to_build(&pool).await {
        tracing::debug!(%error, "the trigram index over names is not available");
    }
}

async fn try_to_build(pool: &Pool) -> std::result::Result<(), Error> {
    // The build waits for older transactions of other sessions.
    let _permit = pool.patient_write().await?;
    let mut connection = pool.acquire().await?;
    // The build changes the settings of the session.
    connection.close_on_drop();
    match index_state(&mut connection).await? {
        IndexState { is_wanted: true, is_valid: None } => build(&mut connection).await,
        // A build was interrupted. If it still runs in another instance, `DROP INDEX` times out at its lock.
        IndexState { is_wanted: true, is_valid: Some(false) } => {
            sqlx::query!("DROP INDEX CONCURRENTLY IF EXISTS flows_name_parts").execute(&mut *connection).await?;
            build(&mut connection).await
        }
        _ => Ok(()),
    }
}

struct IndexState {
    /// Whether the extension exists and the user owns the table.
    is_wanted: bool,
    /// `None` if the index does not exist.
    is_valid: Option<bool>,
}

async fn index_state(connection: &mut PgConnection) -> Result<IndexState> {
    let state = sqlx::query_as!(
        IndexState,
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
    tracing::info!("built the trigram index over names");
    Ok(())
}
