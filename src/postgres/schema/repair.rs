//! Repairs a damaged schema.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::damage::Damage;
use super::open_error::Cause;

/// Repairs what statements can repair. The changes that were made in the meantime may be missing in the history, so a log
/// begins.
pub(super) async fn repair(connection: &mut PgConnection, damage: &[Damage]) -> Result<(), Cause> {
    let mut transaction = connection.begin().await?;
    for damage in damage {
        if let Some(statement) = damage.repair() {
            // A constant, or a statement of `migrations/schema.sql`.
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
            tracing::warn!(%damage, "repaired");
        }
    }
    begin_log(&mut transaction).await?;
    Ok(transaction.commit().await?)
}

/// Begins a log whose first change follows everything that readers may have seen. Cursors of earlier logs are unknown then,
/// so that all readers read the flows again. The schema may have been created again, so the number of the log is the time.
pub(super) async fn begin_log(connection: &mut PgConnection) -> Result<(), Cause> {
    sqlx::query!(
        "
        UPDATE flow_log
        SET log = greatest(strom_log(), newest.log, extract(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT + 1,
            place = strom_place(), gone_log = newest.log, gone_horizon = newest.horizon, gone_number = newest.number + 1
        FROM (
            (SELECT log, horizon, number FROM flow_changes ORDER BY log DESC, horizon DESC, number DESC LIMIT 1)
            UNION ALL
            SELECT 0, 0, 0
            LIMIT 1
        ) AS newest
        "
    )
    .execute(connection)
    .await?;
    Ok(())
}
