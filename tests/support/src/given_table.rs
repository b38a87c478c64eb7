//! The table of versions without migrations, and the objects of a database.

use sqlx::PgConnection;
use strom_store::postgres::{DatabaseUrl, PostgresRepository};
use strom_store::repository::OpenError;

use super::postgres::{Database, run};

/// The statements with which a version without migrations creates its table.
pub const GIVEN_TABLE: &str = "
    CREATE TABLE IF NOT EXISTS flows (
        id UUID PRIMARY KEY, name TEXT NOT NULL, state TEXT, auto_restart BOOLEAN DEFAULT false, data JSONB NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
    );
    CREATE INDEX IF NOT EXISTS idx_flows_name ON flows (name);
    CREATE INDEX IF NOT EXISTS idx_flows_state ON flows (state);
    CREATE INDEX IF NOT EXISTS idx_flows_auto_restart ON flows (auto_restart);
    CREATE INDEX IF NOT EXISTS idx_flows_data ON flows USING GIN (data);";

/// A query for the number of advisory locks in this database.
pub const LOCKS: &str = "
    SELECT COUNT(*) FROM pg_locks
    WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Returns the names of all tables, indexes, sequences, functions and triggers.
pub async fn objects(connection: &mut PgConnection) -> Vec<String> {
    let objects = "
        SELECT relname::TEXT AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT proname::TEXT FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT tgname::TEXT FROM pg_trigger WHERE NOT tgisinternal
        ORDER BY name";
    sqlx::query_scalar(objects).fetch_all(connection).await.unwrap()
}

/// Inserts rows as a version without migrations writes them.
pub async fn fill_given_table(connection: &mut PgConnection, rows: u32) {
    let insert = format!(
        r#"
        INSERT INTO flows (id, name, state, auto_restart, data, created_at, updated_at)
        SELECT
            id, 'flow ' || number, 'Null', FALSE,
            jsonb_build_object('id', id, 'name', 'flow ' || number, 'elements', jsonb_build_array()),
            '2025-11-14 10:00:00+00', '2025-11-14 10:00:00+00'
        FROM (SELECT gen_random_uuid() AS id, number FROM generate_series(1, {rows}) AS number) AS new
        "#
    );
    run(connection, &insert).await;
}

pub async fn open(database: &Database) -> Result<PostgresRepository, OpenError> {
    PostgresRepository::open(&DatabaseUrl::parse(&database.url())?).await
}
