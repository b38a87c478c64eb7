//! Indexes that are built while others write.
//!
//! A build that failed or was interrupted leaves an index that is kept up to date, serves nobody, and that `IF NOT EXISTS`
//! takes for done. And migration 0001 builds the given indexes under the lock of their table, which is nothing for a new
//! one and minutes for a large one that lacks them. So before anything is migrated the former go and the latter are built.
//! Migration 0002 writes the table anew with all its indexes while nobody can read; most of that is the index over the
//! documents, so a large table is without it for that time.
//! Source: <https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY>.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};

use super::migrate::{CONCURRENT_LOCK_TIMEOUT, set_lock_timeout};
use super::open_error::Problem;

/// The index over the documents.
const SLOW: &str = "idx_flows_data";

type Statement = Query<'static, Postgres, PgArguments>;

/// Builds anew what is not finished; while a table is being adopted, also the given indexes that it lacks.
pub(super) async fn prepare(connection: &mut PgConnection, adopting: bool) -> Result<(), Problem> {
    if !is_given(connection).await? {
        return Ok(());
    }
    for index in unfinished(connection).await? {
        // One of somebody else is theirs to finish.
        let Some(statement) = dropping(&index) else { continue };
        tracing::info!(index, "dropping an index that was not finished");
        run(connection, &index, statement).await?;
        build(connection, &index).await?;
    }
    if adopting { build_missing(connection).await } else { Ok(()) }
}

/// Drops the one given index that takes long to build, from a table that is large and about to be written anew. It is
/// built again afterwards, by [`build_missing`] or, if that does not come about, by [`prepare`] at the next start.
pub(super) async fn set_aside(connection: &mut PgConnection) -> Result<(), Problem> {
    let is_large = sqlx::query_scalar!("SELECT pg_table_size(to_regclass('flows')) > 8 * 1024 * 1024");
    if is_large.fetch_one(&mut *connection).await? == Some(true)
        && let Some(statement) = dropping(SLOW)
    {
        tracing::info!(index = SLOW, "dropping an index, to build it again when the table has been written anew");
        run(connection, SLOW, statement).await?;
    }
    Ok(())
}

/// Builds the given indexes that there are none of.
pub(super) async fn build_missing(connection: &mut PgConnection) -> Result<(), Problem> {
    for index in missing(connection).await? {
        build(connection, &index).await?;
    }
    Ok(())
}

/// What a migration builds is left to it.
async fn build(connection: &mut PgConnection, index: &str) -> Result<(), Problem> {
    let Some(statement) = building(index) else { return Ok(()) };
    tracing::info!(index, "building an index while others may write");
    run(connection, index, statement).await
}

async fn run(connection: &mut PgConnection, index: &str, statement: Statement) -> Result<(), Problem> {
    set_lock_timeout(connection, CONCURRENT_LOCK_TIMEOUT).await?;
    let done = statement.execute(connection).await;
    done.map_err(|source| Problem::Index { index: index.to_owned(), source })?;
    Ok(())
}

/// Whether there is the given table; asked as in migration 0001, which refuses any other.
async fn is_given(connection: &mut PgConnection) -> Result<bool, Problem> {
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

/// Those that are not finished, whosever they are.
async fn unfinished(connection: &mut PgConnection) -> Result<Vec<String>, Problem> {
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

/// The given indexes that there are none of.
async fn missing(connection: &mut PgConnection) -> Result<Vec<String>, Problem> {
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

fn building(index: &str) -> Option<Statement> {
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

/// Of those that are built concurrently, here or by a migration.
fn dropping(index: &str) -> Option<Statement> {
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
    use super::dropping;
    use crate::postgres::migrations::MIGRATIONS;

    /// A migration that builds an index concurrently stands alone in its file, builds nothing twice, and what it leaves
    /// when it is interrupted is dropped before it is tried again.
    #[test]
    fn what_a_migration_builds_concurrently_can_be_built_again() {
        for migration in MIGRATIONS.iter() {
            let sql: Vec<_> = migration.sql.as_str().lines().filter(|line| !line.starts_with("--")).collect();
            let sql = sql.join(" ");
            assert_eq!(migration.no_tx, sql.contains("CONCURRENTLY"), "{}", migration.description);
            if migration.no_tx {
                let (_, rest) = sql.split_once("INDEX CONCURRENTLY IF NOT EXISTS ").expect("it can be run again");
                let name = rest.split_whitespace().next().unwrap();
                assert!(dropping(name).is_some(), "src/postgres/indexes.rs has to drop {name}");
                assert_eq!(sql.matches(';').count(), 1, "{}: one statement", migration.description);
            }
        }
    }
}
