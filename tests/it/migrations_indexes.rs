//! Indexes that are built while other sessions write, and the remains of unfinished builds.

use sqlx::PgConnection;
use strom_store::FlowRepository;
use strom_store::repository::ListQuery;

use strom_test_support::given_table::{GIVEN_TABLE, fill_given_table, open};
use strom_test_support::postgres::{Database, count, run, wait_for_count};

const GIVEN_INDEXES: [&str; 4] = ["idx_flows_auto_restart", "idx_flows_data", "idx_flows_name", "idx_flows_state"];

/// Creates a table of an older version without its indexes.
async fn create_table_without_indexes(connection: &mut PgConnection) {
    run(connection, GIVEN_TABLE).await;
    run(connection, &format!("DROP INDEX {}", GIVEN_INDEXES.join(", "))).await;
    fill_given_table(connection, 100).await;
}

/// Returns the valid ones of the given indexes on the table `flows`.
async fn valid_indexes(connection: &mut PgConnection) -> Vec<String> {
    let valid = "
        SELECT indexrelid::regclass::TEXT FROM pg_index
        WHERE indrelid = 'flows'::regclass AND indisvalid AND indexrelid::regclass::TEXT = ANY($1) ORDER BY 1";
    sqlx::query_scalar(valid).bind(GIVEN_INDEXES).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn adopted_indexes_are_built_without_blocking_writers() {
    let database = Database::empty().await;
    let (mut connection, mut writer) = (database.connect().await, database.connect().await);
    create_table_without_indexes(&mut connection).await;
    let insert = "INSERT INTO flows (id, name, data) VALUES (gen_random_uuid(), 'x', '{}')";
    // A transaction that has written blocks every build. A lock of the table would also block the next writer.
    run(&mut writer, &format!("BEGIN; {insert}")).await;
    let writing = async {
        let building = "SELECT COUNT(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'";
        wait_for_count(&mut connection, building, 1).await;
        run(&mut connection, &format!("SET lock_timeout = '5s'; {insert}; RESET lock_timeout")).await;
        let migrated = count(&mut connection, "SELECT COUNT(*) FROM pg_tables WHERE tablename = '_sqlx_migrations'");
        assert_eq!(migrated.await, 0, "the indexes are built before the migrations");
        run(&mut writer, "COMMIT").await;
    };
    let (opened, ()) = tokio::join!(open(&database), writing);
    let repository = opened.unwrap();
    assert_eq!(repository.list(&ListQuery::default()).await.unwrap().items.len(), 102);
    assert_eq!(valid_indexes(&mut connection).await, GIVEN_INDEXES);
}

#[tokio::test]
async fn invalid_index_of_an_unfinished_build_is_rebuilt() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    create_table_without_indexes(&mut connection).await;
    run(&mut connection, "UPDATE flows SET name = 'same'").await;
    // Both builds fail at the second row. They leave an invalid index of Strom, which `IF NOT EXISTS` accepts, and a
    // foreign one.
    for name in ["idx_flows_name", "foreign_index"] {
        let unique = format!("CREATE UNIQUE INDEX CONCURRENTLY {name} ON flows (name)");
        sqlx::query(sqlx::AssertSqlSafe(unique)).execute(&mut connection).await.unwrap_err();
    }
    let invalid = "SELECT COUNT(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(count(&mut connection, invalid).await, 2);
    run(&mut connection, "UPDATE flows SET name = id::TEXT").await;
    open(&database).await.unwrap().close().await.unwrap();
    assert_eq!(valid_indexes(&mut connection).await, GIVEN_INDEXES);
    let unique = "SELECT COUNT(*) FROM pg_index WHERE indexrelid = 'idx_flows_name'::regclass AND indisunique";
    assert_eq!(count(&mut connection, unique).await, 0);
    let foreign = "SELECT COUNT(*) FROM pg_index WHERE indexrelid = 'foreign_index'::regclass AND indisunique";
    assert_eq!(count(&mut connection, foreign).await, 1, "a foreign invalid index is not changed");
}

#[tokio::test]
async fn invalid_index_is_rebuilt_after_adoption_and_a_dropped_index_is_not() {
    let database = Database::migrated().await;
    let mut connection = database.connect().await;
    fill_given_table(&mut connection, 2).await;
    run(&mut connection, "UPDATE flows SET state = 'Null'; DROP INDEX idx_flows_state, idx_flows_auto_restart").await;
    let unique = "CREATE UNIQUE INDEX CONCURRENTLY idx_flows_state ON flows (state)";
    sqlx::query(unique).execute(&mut connection).await.unwrap_err();
    // As an interrupted migration leaves it.
    run(&mut connection, "DELETE FROM _sqlx_migrations WHERE version = 7").await;
    let unique = "CREATE UNIQUE INDEX CONCURRENTLY flow_changes_reports ON flow_changes (author)";
    sqlx::query(unique).execute(&mut connection).await.unwrap_err();
    open(&database).await.unwrap().close().await.unwrap();
    assert_eq!(valid_indexes(&mut connection).await, GIVEN_INDEXES[1..]);
    let reports = "SELECT COUNT(*) FROM pg_index
                   WHERE indexrelid = 'flow_changes_reports'::regclass AND indisvalid AND NOT indisunique";
    assert_eq!(count(&mut connection, reports).await, 1);
}

/// Inserts more than 8 MiB of documents, so that the migration drops the index over them while it rewrites the table.
/// Uses few long texts, because the server indexes them faster than many short ones.
async fn fill_large(connection: &mut PgConnection) {
    fill_given_table(connection, 500).await;
    let documents = "UPDATE flows SET data = data || jsonb_build_object('notes', (
                         SELECT string_agg(md5(id::TEXT || number), '') FROM generate_series(1, 1000) AS number
                     ))";
    run(connection, documents).await;
}

#[tokio::test]
async fn large_table_is_rewritten_without_the_index_over_documents() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    run(&mut connection, GIVEN_TABLE).await;
    fill_large(&mut connection).await;
    // Records the indexes at the start of the rewrite, which rebuilds them under its lock.
    let noting = "
        CREATE TABLE seen (indexes TEXT[]);
        CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen SELECT array_agg(indexrelid::regclass::TEXT) FROM pg_index
            WHERE indrelid = 'flows'::regclass AND indexrelid::regclass::TEXT LIKE 'idx%';
        END $$;
        CREATE EVENT TRIGGER see ON table_rewrite EXECUTE FUNCTION see()";
    run(&mut connection, noting).await;
    // Makes the migrations fail after the rewrite.
    run(&mut connection, "CREATE TABLE flow_tombstones ()").await;
    open(&database).await.unwrap_err();
    let seen: Vec<Vec<String>> =
        sqlx::query_scalar("SELECT indexes FROM seen").fetch_all(&mut connection).await.unwrap();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].len() == 3 && !seen[0].contains(&"idx_flows_data".to_owned()), "{seen:?}");
    assert_eq!(valid_indexes(&mut connection).await, GIVEN_INDEXES, "the index is built again");

    // As if the process had been killed before the index was built.
    run(&mut connection, "DROP INDEX idx_flows_data; DROP TABLE flow_tombstones").await;
    let repository = open(&database).await.unwrap();
    assert_eq!(valid_indexes(&mut connection).await, GIVEN_INDEXES);
    let query = ListQuery { limit: Some(1), count: true, ..ListQuery::default() };
    assert_eq!(repository.summaries(&query).await.unwrap().total, Some(500));
}
