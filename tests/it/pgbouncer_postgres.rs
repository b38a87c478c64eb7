//! The contract through pgbouncer in transaction mode with two connections to the server, and tests for errors that a
//! pooler may cause. `just test-pgbouncer` runs these tests, because some machines have no pgbouncer.

use std::sync::Arc;
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use futures::future::join_all;
use strom_store::FlowRepository;
use strom_store::internals::feed;
use strom_store::internals::samples::{change, create_all, flow, flow_with, id, retry_while_busy, stamp, stored};
use strom_store::postgres::{DatabaseUrl, PostgresRepository, Settings};
use strom_store::repository::{Change, RepositoryError, Since};
use tokio::time::timeout;

use strom_test_support::cluster::Cluster;
use strom_test_support::load::Load;
use strom_test_support::pgbouncer::{POOL_SIZE, PgBouncer, Pooled, open};
use strom_test_support::postgres::{Database, count};

strom_store::contract_tests!(open, ignore = "needs pgbouncer: just test-pgbouncer");

/// Panics if Strom has left a setting or a statement in a session, which other clients will use.
async fn assert_clean_sessions(pooled: &Pooled) {
    let mut sessions = Vec::new();
    for _ in 0..POOL_SIZE {
        let mut session = pooled.pgbouncer.connect(&pooled.database.url()).await;
        // Each open transaction occupies a session, so this checks all sessions.
        sqlx::raw_sql("BEGIN").execute(&mut session).await.unwrap();
        // Since 1.21, pgbouncer prepares statements of its own and shares them between clients.
        let leftovers = "SELECT name FROM pg_prepared_statements WHERE name NOT LIKE 'PGBOUNCER_%'
                    UNION ALL SELECT name FROM pg_settings
                    WHERE name IN ('statement_timeout', 'lock_timeout') AND source = 'session'
                    UNION ALL SELECT 'author' WHERE current_setting('strom.author', TRUE) <> ''";
        let leftovers = sqlx::raw_sql(leftovers).fetch_all(&mut session).await.unwrap();
        assert_eq!(leftovers.len(), 0, "a setting or a statement of Strom is left in the session");
        sessions.push(session);
    }
}

/// Sixteen tasks of two instances increment a counter in one flow.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pgbouncer: just test-pgbouncer"]
async fn two_instances_share_two_sessions_without_lost_updates() {
    let pooled = Pooled::new().await;
    let repositories = [pooled.repository().await, pooled.repository().await];
    create_all(&*repositories[0], [flow_with(1, "counter", r#""n":0"#)]).await;
    let counters = (0..16).map(|task| {
        let repository = Arc::clone(&repositories[task % 2]);
        tokio::spawn(async move {
            let mut made = 0;
            while made < 4 {
                let current = stored(&*repository, 1).await;
                let n: serde_json::Value = current.item.decode().unwrap();
                let next = format!(r#""n":{}"#, n["n"].as_u64().unwrap() + 1);
                let next = Change::replace_at(flow_with(1, "counter", &next), current.version.revision);
                match retry_while_busy(|| repository.apply_all(vec![next.clone()], stamp(1))).await {
                    Ok(_) => made += 1,
                    Err(RepositoryError::Conflict(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    });
    for counter in join_all(counters.collect::<Vec<_>>()).await {
        counter.unwrap();
    }
    let end = stored(&*repositories[1], 1).await;
    assert!(end.item.document().get().contains(r#""n": 64"#), "{:?}", end.item);
    assert_eq!(feed::read(&*repositories[0], Since::Oldest).await.len(), 65, "each change is in the feed once");
    let strom_sessions = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name LIKE 'strom/%'
                AND datname = current_database()";
    let sessions = count(&mut pooled.database.connect().await, strom_sessions).await;
    assert!((1..=i64::from(POOL_SIZE)).contains(&sessions), "{sessions} sessions at the server");
    assert_clean_sessions(&pooled).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pgbouncer: just test-pgbouncer"]
async fn cancelled_calls_leave_no_state_in_sessions() {
    let pooled = Pooled::new().await;
    let repository = pooled.repository().await;
    for i in 0..400_u64 {
        let number = i as u32 * 2;
        let pair = vec![Change::create(flow(number + 1, "a")), Change::create(flow(number + 2, "b"))];
        let calls = async {
            let _ = repository.apply_all(pair, stamp(1)).await;
            let _ = repository.history(id(number), None, 5).await;
        };
        let _ = timeout(Duration::from_micros(i * 37 % 8_000), calls).await;
    }
    change(&*repository, Change::create(flow(1_000, "after")), stamp(2)).await;
    let mut observer = pooled.database.connect().await;
    let halves = "SELECT COUNT(*) FROM flows WHERE name IN ('a', 'b')";
    assert_eq!(count(&mut observer, "SELECT COUNT(*) FROM flows WHERE name = 'after'").await, 1);
    assert_eq!(count(&mut observer, halves).await % 2, 0, "both changes of a call are applied or none");
    assert_clean_sessions(&pooled).await;
}

/// A start only reads an up-to-date schema, and leaves no state in sessions.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pgbouncer: just test-pgbouncer"]
async fn concurrent_starts_through_the_pooler_succeed() {
    let pooled = Pooled::new().await;
    // A copied database starts another log, which is a write as well.
    pooled.database.repository().await.close().await.unwrap();
    let url = DatabaseUrl::parse(&pooled.pgbouncer.url(&pooled.database.url())).unwrap();
    for _ in 0..3 {
        for started in join_all((0..4).map(|_| PostgresRepository::open(&url))).await {
            started.unwrap().close().await.unwrap();
        }
    }
    assert_clean_sessions(&pooled).await;
}

/// The lock of a migration would stay in a session that another client uses next, and would block every other start.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pgbouncer: just test-pgbouncer"]
async fn migrations_through_the_pooler_are_rejected() {
    let database = Database::empty().await;
    let pgbouncer = PgBouncer::before(&database.url(), "").await;
    let error =
        PostgresRepository::open(&DatabaseUrl::parse(&pgbouncer.url(&database.url())).unwrap()).await.unwrap_err();
    assert!(error.remedy.contains("--migrate-database-url"), "{error}");
    let mut observer = database.connect().await;
    assert_eq!(count(&mut observer, "SELECT COUNT(*) FROM pg_class WHERE relname = 'flows'").await, 0);
    pgbouncer.repository(&database.url()).await.close().await.unwrap();
    assert_eq!(count(&mut observer, "SELECT COUNT(*) FROM flows").await, 0, "migrations use the direct URL");
}

/// An endless outage would hide that the operator has to act.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pgbouncer: just test-pgbouncer"]
async fn rejected_startup_parameter_is_a_final_error_with_a_hint() {
    let pooled = Pooled::new().await;
    let url = pooled.pgbouncer.url(&pooled.database.url());
    let without = url.replace("?pgbouncer=true", "");
    for (url, parameter, hint) in [
        (without, "extra_float_digits", "pgbouncer=true"),
        (format!("{url}&options=-c%20work_mem%3D8MB"), "options", "ignore_startup_parameters"),
        (format!("{url}&options[statement_timeout]=5s"), "options", "ALTER ROLE"),
    ] {
        let settings = Settings::default().with_open_unreachable(true);
        let opened = PostgresRepository::open_with(&DatabaseUrl::parse(&url).unwrap(), settings).await;
        let error = opened.expect_err(&url);
        assert!(error.problem.contains(parameter) && error.problem.contains("pooler"), "{error}");
        assert!(error.remedy.contains(hint), "{error}");
    }
}

/// Uses the settings of docs/pgbouncer.md. Without them, clients of pgbouncer wait for minutes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pgbouncer: just test-pgbouncer"]
async fn restart_behind_the_pooler_loses_no_write() {
    let cluster = Cluster::start(&[]).await;
    let pgbouncer = PgBouncer::before(&cluster.url(), "server_login_retry = 1\nquery_wait_timeout = 3").await;
    let repository = pgbouncer.repository(&cluster.url()).await;
    let load = Load::start(Arc::clone(&repository), 21).await;
    load.recovery().await;
    cluster.crash_and_restart().await;
    load.recovery().await;
    eprintln!("behind pgbouncer, after `pg_ctl restart -m immediate`: {:?}", load.tally());
    load.end_behind_pooler(&cluster.url()).await;
}
