//! Builds indexes concurrently, so that writers are not blocked.
//!
//! Two kinds of indexes need work before migrations run:
//!
//! - Invalid indexes: a failed or interrupted build leaves an index that costs writes and serves no reads, and that
//!   `IF NOT EXISTS` accepts. It is dropped and built again.
//! - Missing indexes of the table that 0001 adopts: 0001 would build them under the lock of the table, which takes
//!   minutes for a large one. They are built first.
//!
//! Migration 0002 rewrites the table with all indexes while readers are blocked. The index over the documents takes
//! most of that time, so a large table does without it during the rewrite.
//! Source: <https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY>.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};

use super::lock_timeout::{CONCURRENT_LOCK_TIMEOUT, set_lock_timeout};
use super::open_error::Cause;

/// The index over the documents, the slowest to build.
const DATA_INDEX: &str = "idx_flows_data";

type Statement = Query<'static, Postgres, PgArguments>;

/// Rebuilds invalid indexes. With `adopting`, also builds the missing indexes of the adopted table.
pub(super) async fn repair(connection: &mut PgConnection, adopting: bool) -> Result<(), Cause> {
    if !has_flows_table(connection).await? {
        return Ok(());
    }
    for index in invalid(connection).await? {
        // An index of another program is left alone.
        let Some(statement) = drop_statement(&index) else { continue };
        tracing::info!(index, "dropping an index whose build was interrupted");
        run(connection, &index, statement).await?;
        build(connection, &index).await?;
    }
    if adopting { build_missing(connection).await } else { Ok(()) }
}

/// Drops the index over the documents if the table is large and about to be rewritten. [`build_missing`] builds it
/// again afterwards, or [`repair`] at the next start.
pub(super) async fn drop_data_index(connection: &mut PgConnection) -> Result<(), Cause> {
    let is_large = sqlx::query_scalar!("SELECT pg_table_size(to_regclass('flows')) > 8 * 1024 * 1024");
    if is_large.fetch_one(&mut *connection).await? == Some(true)
        && let Some(statement) = drop_statement(DATA_INDEX)
    {
        tracing::info!(index = DATA_INDEX, "dropping an index before the table is rewritten");
        run(connection, DATA_INDEX, statement).await?;
    }
    Ok(())
}

/// Builds the missing indexes of the adopted table.
pub(super) async fn build_missing(connection: &mut PgConnection) -> Result<(), Cause> {
    for index in missing(connection).await? {
        build(connection, &index).await?;
    }
    Ok(())
}

/// Builds an index of the adopted table. A migration builds the others.
async fn build(connection: &mut PgConnection, index: &str) -> Result<(), Cause> {
    let Some(statement) = create_statement(index) else { return Ok(()) };
    tracing::info!(index, "building an index without blocking writers");
    run(connection, index, statement).await
}

async fn run(connection: &mut PgConnection, index: &str, statement: Statement) -> Result<(), Cause> {
    set_lock_timeout(connection, CONCURRENT_LOCK_TIMEOUT).await?;
    let done = statement.execute(connection).await;
    done.map_err(|source| Cause::FailedIndex { index: index.to_owned(), source })?;
    Ok(())
}

/// Whether `flows` is the table of a Strom engine. Migration 0001 makes the same check and rejects any other table.
async fn has_flows_table(connection: &mut PgConnection) -> Result<bool, Cause> {
    let given = sqlx::query_scalar!(
        r#"
        SELECT COUNT(*) = 7 AS "given!" -- never NULL
        FROM pg_attribute
        WHERE attrelid = to_regclass('flows')
          AND NOT attisdropped
          AND (attname, format_type(atttypid, NULL)) IN (
            ('id', 'uuid'), ('name', 'text'), ('state', 'text'), ('auto_restart', 'boolean'), ('data', 'jsonb'),
            ('created_at', 'timestamp with time zone'), ('updated_at', 'timestamp with time zone')
          )
        "#
    );
    Ok(given.fetch_one(connection).await?)
}

/// Returns the invalid indexes, including those of other programs.
async fn invalid(connection: &mut PgConnection) -> Result<Vec<String>, Cause> {
    let names = sqlx::query_scalar!(
        r#"
        SELECT index.relname AS "name!" -- never NULL
        FROM pg_index
        JOIN pg_class AS index ON index.oid = pg_index.indexrelid
        WHERE pg_index.indrelid IN (to_regclass('flows'), to_regclass('flow_changes')) AND NOT pg_index.indisvalid
        "#
    );
    Ok(names.fetch_all(connection).await?)
}

/// Returns the names of the missing indexes of the adopted table.
async fn missing(connection: &mut PgConnection) -> Result<Vec<String>, Cause> {
    let names = sqlx::query_scalar!(
        r#"
        SELECT given.name AS "name!" -- never NULL
        FROM (VALUES ('idx_flows_name'), ('idx_flows_state'), ('idx_flows_auto_restart'), ('idx_flows_data'))
            AS given (name)
        WHERE NOT EXISTS (
            SELECT FROM pg_class AS found
            JOIN pg_class AS flows USING (relnamespace)
            WHERE flows.oid = to_regclass('flows') AND found.relname = given.name
        )
        "#
    );
    Ok(names.fetch_all(connection).await?)
}

fn create_statement(index: &str) -> Option<Statement> {
    Some(match index {
        "idx_flows_name" => sqlx::query!("CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_flows_name ON flows (name)"),
        "idx_flows_state" => sqlx::query!("CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_flows_state ON flows (state)"),
        "idx_flows_auto_restart" => {
            sqlx::query!("CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_flows_auto_restart ON flows (auto_restart)")
        }
        "idx_flows_data" => {
            sqlx::query!("CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_flows_data ON flows USING GIN (data)")
        }
        _ => return None,
    })
}

/// Returns the statement that drops an index which is built concurrently, here or by a migration.
fn drop_statement(index: &str) -> Option<Statement> {
    Some(match index {
        "idx_flows_name" => sqlx::query!("DROP INDEX CONCURRENTLY IF EXISTS idx_flows_name"),
        "idx_flows_state" => sqlx::query!("DROP INDEX CONCURRENTLY IF EXISTS idx_flows_state"),
        "idx_flows_auto_restart" => sqlx::query!("DROP INDEX CONCURRENTLY IF EXISTS idx_flows_auto_restart"),
        "idx_flows_data" => sqlx::query!("DROP INDEX CONCURRENTLY IF EXISTS idx_flows_data"),
        "flow_changes_reports" => sqlx::query!("DROP INDEX CONCURRENTLY IF EXISTS flow_changes_reports"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::drop_statement;
    use crate::postgres::schema::migration::MIGRATIONS;

    /// A migration that builds an index concurrently is the only statement of its file and uses `IF NOT EXISTS`. The
    /// index that an interrupted build leaves is dropped before the next attempt.
    #[test]
    fn interrupted_concurrent_migrations_can_run_again() {
        for migration in MIGRATIONS.iter() {
            let sql: Vec<_> = migration.sql.as_str().lines().filter(|line| !line.starts_with("--")).collect();
            let sql = sql.join(" ");
            assert_eq!(migration.no_tx, sql.contains("CONCURRENTLY"), "{}", migration.description);
            if migration.no_tx {
                let (_, rest) =
                    sql.split_once("INDEX CONCURRENTLY IF NOT EXISTS ").expect("the statement can run again");
                let name = rest.split_whitespace().next().unwrap();
                assert!(drop_statement(name).is_some(), "src/postgres/schema/indexes.rs must be able to drop {name}");
                assert_eq!(sql.matches(';').count(), 1, "{}: one statement", migration.description);
            }
        }
    }
}
