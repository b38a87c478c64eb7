//! Failing migrations: the error, the state of the database, and that the next start succeeds.

use sqlx::PgConnection;
use strom_store::FlowRepository;
use strom_store::repository::{ListQuery, OpenError};

use strom_test_support::eventually::eventually_some;
use strom_test_support::given_table::{GIVEN_TABLE, LOCKS, fill_given_table, objects, open};
use strom_test_support::postgres::{Database, count, run, wait_for_count};

/// Creates a table of an older version. Returns a connection and its rows.
async fn create_given_table(database: &Database) -> (PgConnection, Vec<String>) {
    let mut connection = database.connect().await;
    run(&mut connection, GIVEN_TABLE).await;
    fill_given_table(&mut connection, 20).await;
    let rows = given_rows(&mut connection).await;
    (connection, rows)
}

async fn given_rows(connection: &mut PgConnection) -> Vec<String> {
    let rows = "SELECT (id, name, state, auto_restart, data, created_at, updated_at)::TEXT FROM flows ORDER BY id";
    sqlx::query_scalar(rows).fetch_all(connection).await.unwrap()
}

async fn applied(connection: &mut PgConnection) -> Vec<i64> {
    sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version").fetch_all(connection).await.unwrap()
}

/// Opens the database, and checks that all rows exist and all migrations are applied.
async fn check_start(database: &Database, connection: &mut PgConnection, rows: &[String]) {
    let repository = open(database).await.expect("the next start succeeds");
    assert_eq!(repository.list(&ListQuery::default()).await.unwrap().items.len(), rows.len());
    repository.close().await.unwrap();
    assert_eq!(given_rows(connection).await, rows);
    assert_eq!(applied(connection).await, (1..=15).collect::<Vec<_>>());
}

fn problem_and_remedy(error: OpenError) -> (String, String) {
    (error.problem, error.remedy)
}

#[tokio::test]
async fn conflicting_object_is_named_and_the_migration_rolled_back() {
    let database = Database::empty().await;
    let (mut connection, rows) = create_given_table(&database).await;
    run(&mut connection, "CREATE TABLE flow_tombstones (epitaph TEXT)").await;
    let expected = (
        "migration 0003 revisions failed: relation \"flow_tombstones\" already exists".to_owned(),
        "The migration was rolled back. Check the PostgreSQL log, correct the cause, then start again.".to_owned(),
    );
    assert_eq!(problem_and_remedy(open(&database).await.unwrap_err()), expected);
    wait_for_count(&mut connection, LOCKS, 0).await;
    assert_eq!(applied(&mut connection).await, [1, 2], "earlier migrations stay applied");
    assert_eq!(given_rows(&mut connection).await, rows);
    let before = objects(&mut connection).await;
    assert!(!before.iter().any(|name| name == "strom_content"), "the failed migration is rolled back: {before:?}");
    run(&mut connection, "INSERT INTO flows (id, name, data) VALUES (gen_random_uuid(), 'x', '{}')").await;
    run(&mut connection, "DELETE FROM flows WHERE name = 'x'").await;

    assert_eq!(
        problem_and_remedy(open(&database).await.unwrap_err()),
        expected,
        "the next start fails in the same way"
    );
    assert_eq!(objects(&mut connection).await, before);
    run(&mut connection, "DROP TABLE flow_tombstones").await;
    check_start(&database, &mut connection, &rows).await;
}

#[tokio::test]
async fn failure_of_the_first_migration_leaves_the_database_empty() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    run(&mut connection, "CREATE TYPE flows AS ENUM ('in the way')").await;
    let error = open(&database).await.unwrap_err();
    assert_eq!(error.problem, "migration 0001 flows failed: type \"flows\" already exists");
    assert!(objects(&mut connection).await.is_empty());
    wait_for_count(&mut connection, LOCKS, 0).await;
    run(&mut connection, "DROP TYPE flows").await;
    open(&database).await.expect("the next start succeeds");
}

/// Waits until a migration waits for its table lock in another attempt than `last`. Returns the start of the attempt.
async fn next_attempt(connection: &mut PgConnection, last: &str) -> String {
    let waiting = "SELECT waitstart::TEXT FROM pg_locks JOIN pg_database AS here ON here.oid = pg_locks.database
                   WHERE here.datname = current_database() AND relation = 'flows'::regclass AND NOT granted
                       AND mode = 'AccessExclusiveLock' AND waitstart::TEXT <> $1";
    eventually_some("a migration waits for its lock", async || {
        sqlx::query_scalar(waiting).bind(last).fetch_optional(&mut *connection).await.unwrap()
    })
    .await
}

#[tokio::test]
async fn unavailable_lock_blocks_other_sessions_only_briefly() {
    let database = Database::empty().await;
    let (mut connection, rows) = create_given_table(&database).await;
    let (mut holder, mut other) = (database.connect().await, database.connect().await);
    run(&mut holder, "BEGIN; SELECT FROM flows").await;
    // The reader waits behind the first attempt, and passes before the second one begins to wait.
    let reading = async {
        let first = next_attempt(&mut connection, "").await;
        run(&mut other, "SELECT FROM flows").await;
        next_attempt(&mut connection, &first).await;
    };
    let (opened, ()) = tokio::join!(open(&database), reading);
    let expected = (
        "migration 0002 lists failed: canceling statement due to lock timeout".to_owned(),
        "The migration was rolled back: another session holds a lock on the table. `SELECT pid, xact_start, query FROM \
         pg_stat_activity ORDER BY xact_start` shows the oldest transactions: end the session that holds the lock with \
         `pg_terminate_backend(pid)`, then start again."
            .to_owned(),
    );
    assert_eq!(problem_and_remedy(opened.unwrap_err()), expected);
    wait_for_count(&mut connection, LOCKS, 0).await;
    assert_eq!(applied(&mut connection).await, [1]);
    run(&mut holder, "COMMIT").await;
    check_start(&database, &mut connection, &rows).await;
}

#[tokio::test]
async fn migration_waits_for_a_short_lock() {
    let database = Database::empty().await;
    let (mut connection, rows) = create_given_table(&database).await;
    let mut holder = database.connect().await;
    run(&mut holder, "BEGIN; SELECT FROM flows").await;
    let releasing = async {
        let first = next_attempt(&mut connection, "").await;
        next_attempt(&mut connection, &first).await;
        run(&mut holder, "COMMIT").await;
    };
    let (opened, ()) = tokio::join!(open(&database), releasing);
    opened.unwrap().close().await.unwrap();
    check_start(&database, &mut connection, &rows).await;
}

#[tokio::test]
async fn terminated_session_leaves_no_part_of_the_migration() {
    let database = Database::empty().await;
    let (mut connection, rows) = create_given_table(&database).await;
    let mut holder = database.connect().await;
    run(&mut holder, "BEGIN; SELECT FROM flows").await;
    let ending = async {
        let end = "SELECT COUNT(*) FROM (
                       SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'flows'::regclass AND NOT granted
                   ) AS ended";
        wait_for_count(&mut connection, end, 1).await;
    };
    let (opened, ()) = tokio::join!(open(&database), ending);
    let error = opened.unwrap_err();
    let expected = "migration 0002 lists failed: terminating connection due to administrator command";
    assert_eq!(error.problem, expected);
    wait_for_count(&mut connection, LOCKS, 0).await;
    assert_eq!(applied(&mut connection).await, [1]);
    run(&mut holder, "COMMIT").await;
    check_start(&database, &mut connection, &rows).await;
}

#[tokio::test]
async fn statement_timeout_of_the_database_does_not_stop_a_migration() {
    let database = Database::empty().await;
    let (mut connection, rows) = create_given_table(&database).await;
    let name = database.name();
    // One statement of the migrations takes longer than the timeout, which is long enough for all others.
    let slow = "CREATE TABLE slept ();
                CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
                    PERFORM pg_sleep(1.2);
                    INSERT INTO slept DEFAULT VALUES;
                END $$;
                CREATE EVENT TRIGGER slow ON table_rewrite EXECUTE FUNCTION slow()";
    run(&mut connection, slow).await;
    run(&mut connection, &format!("ALTER DATABASE {name} SET statement_timeout = '1s'")).await;
    open(&database).await.expect("no timeout stops a migration").close().await.unwrap();
    assert_eq!(count(&mut connection, "SELECT COUNT(*) FROM slept").await, 1);
    run(&mut connection, &format!("ALTER DATABASE {name} RESET statement_timeout; DROP EVENT TRIGGER slow")).await;
    check_start(&database, &mut connection, &rows).await;
}
