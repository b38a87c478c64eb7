//! Through pgbouncer in transaction mode, with two connections to the server for everybody: the whole contract, and what
//! a pooler in particular could mix up. Not every machine has a pgbouncer, so `just test-pgbouncer` runs these tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use strom::FlowRepository;
use strom::postgres::{DatabaseUrl, PostgresRepository};
use strom::repository::{Change, RepositoryError, Since};
use strom::testkit::feed;
use strom::testkit::samples::{change, create_all, flow, flow_with, id, insist, stamp, stored};
use tokio::time::{sleep, timeout};

use crate::support::cluster::Cluster;
use crate::support::load::Load;
use crate::support::pgbouncer::{POOL_SIZE, PgBouncer, Pooled, open};
use crate::support::postgres::{Database, count};

strom::contract_tests!(open, ignore = "needs pgbouncer: just test-pgbouncer");

/// Nothing of ours stays in the sessions that others will have.
async fn assert_nothing_is_left(pooled: &Pooled) {
    let mut sessions = Vec::new();
    for _ in 0..POOL_SIZE {
        let mut session = pooled.pgbouncer.connect(&pooled.database.url()).await;
        // Open transactions have one session each, so all are looked at.
        sqlx::raw_sql("BEGIN").execute(&mut session).await.unwrap();
        // From 1.21 on pgbouncer prepares statements of its own, for whoever sends the same text.
        let left = "SELECT name FROM pg_prepared_statements WHERE name NOT LIKE 'PGBOUNCER_%'
                    UNION ALL SELECT name FROM pg_settings
                    WHERE name IN ('statement_timeout', 'lock_timeout') AND source = 'session'
                    UNION ALL SELECT 'author' WHERE current_setting('strom.author', TRUE) <> ''";
        let left = sqlx::raw_sql(left).fetch_all(&mut session).await.unwrap();
        assert_eq!(left.len(), 0, "a setting or a statement of Strom is left in the session");
        sessions.push(session);
    }
}

/// Two instances and their sixteen tasks count one flow up together.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pgbouncer: just test-pgbouncer"]
async fn two_instances_share_two_sessions_and_lose_nothing() {
    let pooled = Pooled::new().await;
    let repositories = [pooled.repository().await, pooled.repository().await];
    create_all(&*repositories[0], [flow_with(1, "counter", r#""n":0"#)]).await;
    let counters = (0..16).map(|task| {
        let repository = Arc::clone(&repositories[task % 2]);
        tokio::spawn(async move {
            let mut made = 0;
            while made < 10 {
                let current = stored(&*repository, 1).await;
                let n: serde_json::Value = current.item.decode().unwrap();
                let next = format!(r#""n":{}"#, n["n"].as_u64().unwrap() + 1);
                let next = Change::replace_at(flow_with(1, "counter", &next), current.version.revision);
                match insist(|| repository.apply(vec![next.clone()], stamp(1))).await {
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
    assert!(end.item.document().get().contains(r#""n": 160"#), "{:?}", end.item);
    assert_eq!(feed::read(&*repositories[0], Since::Oldest).await.len(), 161, "each change once");
    let ours = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name LIKE 'strom/%'
                AND datname = current_database()";
    let sessions = count(&mut pooled.database.connect().await, ours).await;
    assert!((1..=i64::from(POOL_SIZE)).contains(&sessions), "{sessions} sessions at the server");
    assert_nothing_is_left(&pooled).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pgbouncer: just test-pgbouncer"]
async fn callers_who_hang_up_leave_no_session_behind() {
    let pooled = Pooled::new().await;
    let repository = pooled.repository().await;
    for i in 0..400_u64 {
        let number = i as u32 * 2;
        let pair = vec![Change::create(flow(number + 1, "a")), Change::create(flow(number + 2, "b"))];
        let calls = async {
            let _ = repository.apply(pair, stamp(1)).await;
            let _ = repository.history(id(number), None, 5).await;
        };
        let _ = timeout(Duration::from_micros(i * 37 % 8_000), calls).await;
    }
    change(&*repository, Change::create(flow(1_000, "after")), stamp(2)).await;
    let mut observer = pooled.database.connect().await;
    let halves = "SELECT COUNT(*) FROM flows WHERE name IN ('a', 'b')";
    assert_eq!(count(&mut observer, "SELECT COUNT(*) FROM flows WHERE name = 'after'").await, 1);
    assert_eq!(count(&mut observer, halves).await % 2, 0, "both or none");
    assert_nothing_is_left(&pooled).await;
}

/// A schema that is up to date is only looked at, and that leaves nothing in anybody's session.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pgbouncer: just test-pgbouncer"]
async fn starts_through_the_pooler_alone_do_not_disturb_each_other() {
    let pooled = Pooled::new().await;
    // A copied database begins another log of changes, which is a change as well.
    pooled.database.repository().await.close().await;
    let url = DatabaseUrl::parse(&pooled.pgbouncer.url(&pooled.database.url())).unwrap();
    for _ in 0..3 {
        for started in join_all((0..4).map(|_| PostgresRepository::open(&url))).await {
            started.unwrap().close().await;
        }
    }
    assert_nothing_is_left(&pooled).await;
}

/// A lock that a migration takes would stay in a session that others have next, and no other start would get it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pgbouncer: just test-pgbouncer"]
async fn nothing_is_migrated_through_the_pooler() {
    let database = Database::empty().await;
    let pgbouncer = PgBouncer::before(&database.url(), "").await;
    let error =
        PostgresRepository::open(&DatabaseUrl::parse(&pgbouncer.url(&database.url())).unwrap()).await.unwrap_err();
    assert!(error.remedy.contains("--migrate-database-url"), "{error}");
    let mut observer = database.connect().await;
    assert_eq!(count(&mut observer, "SELECT COUNT(*) FROM pg_class WHERE relname = 'flows'").await, 0);
    pgbouncer.repository(&database.url()).await.close().await;
    assert_eq!(count(&mut observer, "SELECT COUNT(*) FROM flows").await, 0, "a direct address brings the schema");
}

/// With the settings that docs/pgbouncer.md asks for; without them pgbouncer makes its clients wait for minutes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pgbouncer: just test-pgbouncer"]
async fn no_restart_behind_the_pooler_loses_a_write() {
    let cluster = Cluster::start(&[]).await;
    let pgbouncer = PgBouncer::before(&cluster.url(), "server_login_retry = 1\nquery_wait_timeout = 3").await;
    let repository = pgbouncer.repository(&cluster.url()).await;
    let load = Load::start(Arc::clone(&repository), 21).await;
    assert!(load.run(Duration::from_secs(1)).await.made > 0);
    cluster.crash_and_restart().await;
    let recovered = load.recovery(Instant::now()).await;
    eprintln!("behind pgbouncer, after `pg_ctl restart -m immediate`: back in {recovered:?}; {:?}", load.tally());
    sleep(Duration::from_millis(500)).await;
    load.end(&*cluster.repository().await).await;
}
