//! Opening a database in any initial state: empty, of an older or newer version, or with foreign tables.

use std::fs;
use std::path::Path;

use futures::future::join_all;
use sqlx::migrate::Migrator;
use sqlx::{Connection, Row};
use strom_store::postgres::{DatabaseUrl, PostgresRepository};
use strom_store::repository::ListQuery;
use strom_store::{FlowRepository, GstState};

use strom_test_support::given_table::{GIVEN_TABLE, LOCKS, fill_given_table, objects, open};
use strom_test_support::postgres::{Database, count, run, wait_for_count};

#[tokio::test]
async fn table_of_an_older_version_is_adopted_with_every_row() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    run(&mut connection, GIVEN_TABLE).await;
    run(
        &mut connection,
        r#"
        INSERT INTO flows (id, name, state, auto_restart, data, created_at, updated_at) VALUES
            ('00000000-0000-4000-8000-0000000000b1', 'one', 'Playing', true,
             '{"id": "00000000-0000-4000-8000-0000000000b1", "name": "one", "gst_state": "Playing",
               "properties": {"auto_restart": true}, "n": 18446744073709551617}',
             '2025-11-14 10:00:00+00', '2025-11-15 11:00:00+00'),
            ('00000000-0000-4000-8000-0000000000b2', 'two', NULL, NULL,
             '{"id": "00000000-0000-4000-8000-0000000000b2", "name": "two", "state": "Paused"}',
             '2025-12-14 10:00:00.123456+01', '2025-12-14 10:00:00.123456+01'),
            ('00000000-0000-4000-8000-0000000000b3', 'three', NULL, false, '{"made": "by hand"}',
             '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');"#,
    )
    .await;
    let repository = open(&database).await.unwrap();
    let flows = repository.list(&ListQuery::default()).await.unwrap().items;
    let found: Vec<_> = flows
        .iter()
        .map(|flow| {
            let head = flow.item.head();
            let version = &flow.version;
            (head.name.as_str(), head.state, version.created_at.to_rfc3339(), version.revision.number())
        })
        .collect();
    let expected = [
        ("one", GstState::Playing, "2025-11-14T10:00:00+00:00", 1),
        ("three", GstState::Null, "2026-01-01T00:00:00+00:00", 1),
        ("two", GstState::Paused, "2025-12-14T09:00:00.123456+00:00", 1),
    ];
    assert_eq!(found, expected.map(|(name, state, at, revision)| (name, state, at.to_owned(), revision)));
    assert!(flows[0].item.document().get().contains("18446744073709551617"));
    let documents =
        "SELECT data->>'id' = id::text AND data->>'name' = name AND data ? 'made' = (name = 'three') FROM flows";
    let agree: Vec<bool> = sqlx::query_scalar(documents).fetch_all(&mut connection).await.unwrap();
    assert_eq!(agree, [true, true, true]);
    let updated: Vec<String> =
        sqlx::query_scalar("SELECT extract(year from updated_at)::text FROM flows ORDER BY name")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(updated, ["2025", "2026", "2025"], "adoption does not change the time of the last edit");
}

#[tokio::test]
async fn eight_instances_start_concurrently_on_an_empty_database() {
    let database = Database::empty().await;
    let opened = join_all((0..8).map(|_| open(&database))).await;
    for repository in opened {
        assert!(repository.unwrap().list(&ListQuery::default()).await.unwrap().items.is_empty());
    }
}

#[tokio::test]
async fn eight_concurrent_instances_adopt_each_flow_once() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    run(&mut connection, GIVEN_TABLE).await;
    fill_given_table(&mut connection, 1_000).await;
    for repository in join_all((0..8).map(|_| open(&database))).await {
        let query = ListQuery { count: true, ..ListQuery::default() };
        assert_eq!(repository.unwrap().summaries(&query).await.unwrap().total, Some(1_000));
    }
    let records = "SELECT COUNT(*) FROM flow_changes WHERE operation = 'create' AND at = '2025-11-14 10:00:00+00'";
    assert_eq!(count(&mut connection, records).await, 1_000, "each flow is adopted once");
}

#[tokio::test]
async fn foreign_table_is_rejected_and_the_database_unchanged() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    run(&mut connection, "CREATE TABLE flows (id BIGINT, litres NUMERIC); INSERT INTO flows VALUES (1, 2.5)").await;
    let error = open(&database).await.unwrap_err();
    assert_eq!(
        error.problem,
        "migration 0001 flows failed: this database has a table \"flows\" that is not Strom's: it lacks auto_restart boolean, created_at timestamp \
         with time zone, data jsonb, id uuid, name text, state text, updated_at timestamp with time zone"
    );
    assert_eq!(error.remedy, "Give Strom a database of its own.");
    let row = sqlx::query("SELECT id, litres::TEXT FROM flows").fetch_one(&mut connection).await.unwrap();
    assert_eq!((row.get::<i64, _>(0), row.get::<String, _>(1)), (1, "2.5".to_owned()));
    assert_eq!(objects(&mut connection).await, ["flows"]);
    wait_for_count(&mut connection, LOCKS, 0).await;
    run(&mut connection, "DROP TABLE flows").await;
    open(&database).await.expect("the next start succeeds");
}

#[tokio::test]
async fn older_version_works_on_a_newer_schema() {
    let database = Database::migrated().await;
    let mut connection = database.connect().await;
    run(
        &mut connection,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, '\\x00', 1);
         ALTER TABLE flows ADD COLUMN colour TEXT",
    )
    .await;
    let repository = open(&database).await.unwrap();
    assert!(repository.list(&ListQuery::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn migration_with_another_checksum_is_rejected() {
    let database = Database::migrated().await;
    let mut connection = database.connect().await;
    run(&mut connection, "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1").await;
    let error = open(&database).await.unwrap_err();
    assert_eq!(error.problem, "migration 0001 flows was applied with different content than in this version");
    assert!(error.remedy.contains("another database"), "{error}");
}

#[tokio::test]
async fn database_with_another_encoding_than_utf8_is_rejected() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    let name = format!("strom_test_latin_{}", std::process::id());
    run(&mut connection, &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")).await;
    let url = database.url().replace(database.name(), &name);
    let error = PostgresRepository::open(&DatabaseUrl::parse(&url).unwrap()).await.unwrap_err();
    run(&mut connection, &format!("DROP DATABASE {name}")).await;
    assert_eq!(error.problem, "the database is encoded in LATIN1, not in UTF8");
}

#[tokio::test]
async fn missing_database_and_unreachable_server_have_specific_errors() {
    let database = Database::empty().await;
    let missing = database.url().replace(database.name(), "strom_test_missing");
    let error = PostgresRepository::open(&DatabaseUrl::parse(&missing).unwrap()).await.unwrap_err();
    assert_eq!(error.problem, "database \"strom_test_missing\" does not exist");
    assert_eq!(error.remedy, "Create it with `createdb --encoding UTF8 --template template0 strom_test_missing`.");

    let unreachable = DatabaseUrl::parse("postgresql://strom:s3cret@127.0.0.1:1/flows").unwrap();
    let error = PostgresRepository::open(&unreachable).await.unwrap_err();
    assert_eq!(error.location, "postgresql://strom@127.0.0.1:1/flows");
    assert_eq!(error.remedy, "Check host and port in the URL, and that PostgreSQL is running there.");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

/// A released migration never changes. Add a line for a new one; never alter one.
#[tokio::test]
async fn released_migrations_do_not_change() {
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let migrator = Migrator::new(migrations.as_path()).await.unwrap();
    let checksums: Vec<_> = migrator
        .iter()
        .map(|migration| {
            let start: String = migration.checksum.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
            (migration.version, start)
        })
        .collect();
    let pinned = [
        (1, "d2bbe60e8944"),
        (2, "3dd0ef6cc00c"),
        (3, "a93f3655fc84"),
        (4, "2ef7226b0bfb"),
        (5, "fd936ee95761"),
        (6, "40cb71769afe"),
        (7, "8920fea470b9"),
        (8, "9e7b45314157"),
        (9, "3d1bd5cdf832"),
        (10, "68b6c4c93a33"),
        (11, "7bac89e5ea16"),
        (12, "a14c42961584"),
        (13, "04b1967d4930"),
        (14, "378fc03a61e4"),
        (15, "07d5714352f8"),
    ];
    assert_eq!(checksums, pinned.map(|(version, start)| (version, start.to_owned())));
    for file in fs::read_dir(migrations).unwrap() {
        let text = fs::read(file.unwrap().path()).unwrap();
        assert!(!text.contains(&b'\r'), "checksums are of raw bytes, so line ends must be LF");
    }
}

#[tokio::test]
async fn open_leaves_no_lock_or_session_behind() {
    let database = Database::empty().await;
    let repository = open(&database).await.unwrap();
    let mut connection = database.connect().await;
    let others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    wait_for_count(&mut connection, others, 0).await;
    repository.close().await.unwrap();
    connection.close().await.unwrap();
}
