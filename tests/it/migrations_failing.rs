//! Migrations that cannot be made: what is said, what stays, and that the next start is fine.

use std::time::{Duration, Instant};

use sqlx::PgConnection;
use strom::FlowRepository;
use strom::repository::{ListQuery, OpenError};

use crate::migrations::{GIVEN_TABLE, LOCKS, fill_given_table, objects, open};
use crate::support::postgres::{Database, run, wait_for_count};

/// The rows of the given table, and a connection to look at them.
async fn adopted_soon(database: &Database) -> (PgConnection, Vec<String>) {
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

/// All rows are there, all migrations are applied.
async fn starts(database: &Database, connection: &mut PgConnection, rows: &[String]) {
    let repository = open(database).await.expect("the next start is fine");
    assert_eq!(repository.list(&ListQuery::default()).await.unwrap().items.len(), rows.len());
    repository.close().await;
    assert_eq!(given_rows(connection).await, rows);
    assert_eq!(applied(connection).await, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
}

fn said(error: OpenError) -> (String, String) {
    (error.problem, error.remedy)
}

#[tokio::test]
async fn an_object_in_the_way_is_named_and_nothing_of_the_migration_stays() {
    let database = Database::empty().await;
    let (mut connection, rows) = adopted_soon(&database).await;
    run(&mut connection, "CREATE TABLE flow_tombstones (epitaph TEXT)").await;
    let expected = (
        "migration 0003 revisions failed: relation \"flow_tombstones\" already exists".to_owned(),
        "Nothing of this migration was kept. Mend the cause, then start again.".to_owned(),
    );
    assert_eq!(said(open(&database).await.unwrap_err()), expected);
    wait_for_count(&mut connection, LOCKS, 0).await;
    assert_eq!(applied(&mut connection).await, [1, 2], "those before it stay");
    assert_eq!(given_rows(&mut connection).await, rows);
    let before = objects(&mut connection).await;
    assert!(!before.iter().any(|name| name == "strom_content"), "nothing of the third stays: {before:?}");
    run(&mut connection, "INSERT INTO flows (id, name, data) VALUES (gen_random_uuid(), 'x', '{}')").await;
    run(&mut connection, "DELETE FROM flows WHERE name = 'x'").await;

    assert_eq!(said(open(&database).await.unwrap_err()), expected, "again the same");
    assert_eq!(objects(&mut connection).await, before);
    run(&mut connection, "DROP TABLE flow_tombstones").await;
    starts(&database, &mut connection, &rows).await;
}

#[tokio::test]
async fn a_failure_of_the_first_leaves_an_empty_database_empty() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    run(&mut connection, "CREATE TYPE flows AS ENUM ('in the way')").await;
    let error = open(&database).await.unwrap_err();
    assert_eq!(error.problem, "migration 0001 flows failed: type \"flows\" already exists");
    assert!(objects(&mut connection).await.is_empty());
    wait_for_count(&mut connection, LOCKS, 0).await;
    run(&mut connection, "DROP TYPE flows").await;
    open(&database).await.expect("the next start is fine");
}

#[tokio::test]
async fn a_lock_that_is_not_to_be_had_blocks_others_for_moments_only() {
    let database = Database::empty().await;
    let (mut connection, rows) = adopted_soon(&database).await;
    let (mut holder, mut other) = (database.connect().await, database.connect().await);
    run(&mut holder, "BEGIN; SELECT FROM flows").await;
    let reading = async {
        let mut longest = Duration::ZERO;
        for _ in 0..40 {
            let begin = Instant::now();
            run(&mut other, "SELECT FROM flows").await;
            longest = longest.max(begin.elapsed());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        longest
    };
    let (opened, longest) = tokio::join!(open(&database), reading);
    let expected = (
        "migration 0002 lists failed: canceling statement due to lock timeout".to_owned(),
        "Another session holds a lock on the table; `pg_stat_activity` shows it. Nothing of this migration was kept: end \
         that session, then start again."
            .to_owned(),
    );
    assert_eq!(said(opened.unwrap_err()), expected);
    assert!(longest < Duration::from_secs(8), "a reader waited for {longest:?}");
    wait_for_count(&mut connection, LOCKS, 0).await;
    assert_eq!(applied(&mut connection).await, [1]);
    run(&mut holder, "COMMIT").await;
    starts(&database, &mut connection, &rows).await;
}

#[tokio::test]
async fn a_lock_that_is_held_for_a_moment_is_waited_for() {
    let database = Database::empty().await;
    let (mut connection, rows) = adopted_soon(&database).await;
    let mut holder = database.connect().await;
    run(&mut holder, "BEGIN; SELECT FROM flows").await;
    let letting_go = async {
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        run(&mut holder, "COMMIT").await;
    };
    let (opened, ()) = tokio::join!(open(&database), letting_go);
    opened.unwrap().close().await;
    starts(&database, &mut connection, &rows).await;
}

#[tokio::test]
async fn a_session_that_is_ended_in_the_middle_leaves_nothing() {
    let database = Database::empty().await;
    let (mut connection, rows) = adopted_soon(&database).await;
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
    starts(&database, &mut connection, &rows).await;
}

#[tokio::test]
async fn timeouts_of_the_user_do_not_stop_a_migration() {
    let database = Database::empty().await;
    let (mut connection, rows) = adopted_soon(&database).await;
    let name = database.name();
    let slow = "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); END'";
    run(&mut connection, slow).await;
    run(&mut connection, "CREATE EVENT TRIGGER slow ON ddl_command_start EXECUTE FUNCTION slow()").await;
    run(&mut connection, &format!("ALTER DATABASE {name} SET statement_timeout = '100ms'")).await;
    starts(&database, &mut connection, &rows).await;
    run(&mut connection, "DROP EVENT TRIGGER slow").await;
}
