//! Metrics of the PostgreSQL backend: connections, outages, and the lag of the change feed.

use std::sync::Arc;
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use futures::StreamExt;
use futures::future::join_all;
use sqlx::PgConnection;
use strom_server::clock;
use strom_server::metrics::Metrics;
use strom_store::FlowRepository;
use strom_store::internals::samples::{create_all, flow, id};
use strom_store::postgres::{DatabaseUrl, PostgresRepository};
use strom_store::repository::FeedLag;

use strom_test_support::eventually::eventually;
use strom_test_support::exposition::Exposition;
use strom_test_support::postgres::{Database, run, wait_for_count};
use strom_test_support::proxy::Proxy;

/// Returns the measurement with this name and this label value.
fn measured(repository: &dyn FlowRepository, name: &str, state: Option<&str>) -> f64 {
    let all = repository.measurements();
    let mut found = all.iter().filter(|one| one.name == name && one.label.map(|(_, value)| value) == state);
    found.next().unwrap_or_else(|| panic!("no {name} in {all:?}")).value
}

#[tokio::test]
async fn an_exhausted_pool_is_visible_and_does_not_delay_a_scrape() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, (0..100).map(|number| flow(number, "a"))).await;
    let in_use = |state| measured(&*repository, "postgres_pool_connections", Some(state));
    let waiting = || measured(&*repository, "postgres_pool_waiting", None);
    // There may be two idle connections: one is for notifications.
    eventually("all connections are returned", async || in_use("in_use") == 0.0 && in_use("idle") >= 1.0).await;
    assert_eq!(measured(&*repository, "postgres_pool_connections_max", None), 5.0);

    // Unread streams keep their connections.
    let mut streams: Vec<_> = (0..5).map(|_| repository.snapshot()).collect();
    join_all(streams.iter_mut().map(StreamExt::next)).await;
    assert_eq!((in_use("in_use"), in_use("idle")), (5.0, 0.0));
    // The task that creates indexes may also wait for a connection. Only callers count.
    eventually("no call waits", async || waiting() == 0.0).await;
    let caller = tokio::spawn({
        let repository = Arc::clone(&repository);
        async move {
            loop {
                repository.get(id(1)).await.unwrap_err();
            }
        }
    });
    eventually("a call waits", async || waiting() == 1.0).await;
    caller.abort();
    eventually("the aborted call does not wait", async || waiting() == 0.0).await;

    let metrics = Metrics::of(Arc::clone(&repository));
    // Each scrape returns although the pool stays exhausted.
    let texts = join_all((0..10).map(|_| metrics.text(0))).await;
    for text in texts {
        let shown = Exposition::parse(&text);
        assert_eq!(shown.get("strom_storage_ready"), Some(0.0));
        assert_eq!(shown.get(r#"strom_postgres_pool_connections{state="in_use"}"#), Some(5.0));
        for unknown in ["strom_feed_lag_seconds", "strom_feed_held_back_changes", "strom_storage_state_seconds"] {
            assert_eq!(shown.get(unknown), None, "{unknown} cannot be known");
        }
    }
    drop(streams);
    eventually("the storage answers again", async || {
        Exposition::parse(&metrics.text(0).await).get("strom_storage_ready") == Some(1.0)
    })
    .await;
}

#[tokio::test]
async fn an_outage_is_counted_once() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let url = DatabaseUrl::parse(&proxy.url()).unwrap();
    let repository: Arc<dyn FlowRepository> = Arc::new(PostgresRepository::open(&url).await.unwrap());
    let metrics = Metrics::of(Arc::clone(&repository));
    let breaker = || {
        let one = |name| measured(&*repository, name, None);
        (one("postgres_breaker_open"), one("postgres_outages_total"))
    };
    assert_eq!(breaker(), (0.0, 0.0));
    proxy.cut();
    eventually("the database is unreachable", async || repository.get(id(1)).await.is_err() && breaker() == (1.0, 1.0))
        .await;
    for _ in 0..5 {
        repository.get(id(1)).await.unwrap_err();
    }
    let shown = Exposition::parse(&metrics.text(0).await);
    assert_eq!(shown.get("strom_storage_ready"), Some(0.0));
    assert_eq!(shown.get("strom_postgres_breaker_open"), Some(1.0));
    assert_eq!(shown.get("strom_feed_lag_seconds"), None, "the lag is unknown during an outage");
    assert!(shown.get("strom_storage_state_seconds").is_some_and(|seconds| seconds < 60.0));
    proxy.restore();
    eventually("the database is reachable", async || breaker() == (0.0, 1.0)).await;
    eventually("the lag is known", async || {
        Exposition::parse(&metrics.text(0).await).get("strom_feed_lag_seconds").is_some()
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_delays_the_feed_is_visible_with_its_age() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let (mut psql, mut observer) = (database.connect().await, database.connect().await);
    let insert = |number| format!("INSERT INTO flows (id, name, data) VALUES ('{}', 'slow', '{{}}')", id(number));
    run(&mut psql, &format!("BEGIN; {}", insert(1))).await;
    let process = become_oldest(&mut psql, &mut observer).await;
    // The changes have old timestamps. The lag is measured from the transaction all the same.
    create_all(&*repository, [flow(2, "a"), flow(3, "b")]).await;
    let least = age(&mut observer, process).await;
    let lag = repository.feed_lag().await.unwrap();
    let most = age(&mut observer, process).await;
    let transaction = lag.oldest_transaction.expect("the age of the transaction is visible");
    assert_eq!(lag.held_back, 2);
    assert!((least..=most).contains(&transaction.as_secs_f64()), "{lag:?}, {least} s to {most} s");
    assert!(lag.behind > Duration::ZERO && lag.behind <= transaction, "{lag:?}");
    run(&mut psql, "COMMIT").await;
    eventually("the feed holds back no change", async || {
        let FeedLag { behind, held_back, .. } = repository.feed_lag().await.unwrap();
        (behind, held_back) == (Duration::ZERO, 0)
    })
    .await;

    run(&mut psql, &format!("BEGIN; {}", insert(4))).await;
    let stamp = strom_store::repository::Stamp::new(clock::now(), strom_store::repository::Author::new("test"));
    repository.apply_all(vec![strom_store::repository::Change::delete(id(2))], stamp).await.unwrap();
    let lag = repository.feed_lag().await.unwrap();
    assert_eq!(lag.held_back, 1);
    let most = age(&mut observer, process).await;
    assert!(lag.behind.as_secs_f64() <= most, "{lag:?}, {most} s");
}

/// Waits until the transaction of `psql` is the oldest one on the server. Transactions of other tests may be older. Returns
/// the server process of `psql`.
async fn become_oldest(psql: &mut PgConnection, observer: &mut PgConnection) -> i32 {
    let own = "SELECT pg_current_xact_id()::TEXT, pg_backend_pid()";
    let (transaction, process): (String, i32) = sqlx::query_as(own).fetch_one(psql).await.unwrap();
    let oldest = format!("SELECT (pg_snapshot_xmin(pg_current_snapshot()) = '{transaction}'::xid8)::INT::BIGINT");
    wait_for_count(observer, &oldest, 1).await;
    process
}

/// Returns the age of the transaction of a server process in seconds.
async fn age(observer: &mut PgConnection, process: i32) -> f64 {
    let age = "SELECT extract(EPOCH FROM clock_timestamp() - xact_start)::FLOAT8 FROM pg_stat_activity WHERE pid = $1";
    sqlx::query_scalar(age).bind(process).fetch_one(observer).await.unwrap()
}

/// A transaction that ends during the query must not count as a hidden transaction.
#[tokio::test]
async fn the_oldest_transaction_has_an_age_while_transactions_start_and_end() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let transactions = async || {
        let mut psql = database.connect().await;
        loop {
            run(&mut psql, "SELECT pg_current_xact_id()").await;
        }
    };
    let reads = async {
        for read in 0..300 {
            let lag = repository.feed_lag().await.unwrap();
            assert!(lag.oldest_transaction.is_some(), "read {read}");
        }
    };
    tokio::select! {
        never = join_all([transactions(), transactions(), transactions()]) => drop::<Vec<()>>(never),
        () = reads => {}
    }
}

#[tokio::test]
async fn a_hidden_transaction_has_no_age() {
    let database = Database::migrated().await;
    let (mut psql, mut observer) = (database.connect().await, database.connect().await);
    let role = format!("strom_test_{}", clock::new_id().as_uuid().simple());
    let name = database.name();
    let grants = format!(
        "CREATE ROLE {role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
         GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}; GRANT ALL ON SCHEMA public TO {role};
         GRANT ALL ON DATABASE {name} TO {role}"
    );
    run(&mut psql, &grants).await;
    let url = database.url();
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = DatabaseUrl::parse(&format!("{url}{separator}options=-c%20role%3D{role}")).unwrap();
    let repository = PostgresRepository::open(&url).await.unwrap();
    run(&mut psql, "BEGIN").await;
    become_oldest(&mut psql, &mut observer).await;
    create_all(&repository, [flow(1, "a")]).await;
    let lag = repository.feed_lag().await.unwrap();
    repository.close().await.unwrap();
    run(&mut psql, &format!("ROLLBACK; DROP OWNED BY {role}; DROP ROLE {role}")).await;
    assert_eq!((lag.held_back, lag.oldest_transaction), (1, None));
    assert!(lag.behind > Duration::ZERO, "the lag follows from the time of the change");
}
