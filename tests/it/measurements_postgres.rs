//! What the PostgreSQL backend measures: connections, outages, and how far the feed is behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use strom::metrics::Metrics;
use strom::postgres::{DatabaseUrl, PostgresRepository};
use strom::repository::FeedLag;
use strom::testkit::samples::{create_all, flow, id};
use strom::{FlowRepository, clock};

use crate::support::exposition::Exposition;
use crate::support::json::until;
use crate::support::postgres::{Database, run};
use crate::support::proxy::Proxy;

fn measured(repository: &dyn FlowRepository, name: &str, state: Option<&str>) -> f64 {
    let all = repository.measurements();
    let mut found = all.iter().filter(|one| one.name == name && one.label.map(|(_, value)| value) == state);
    found.next().unwrap_or_else(|| panic!("no {name} in {all:?}")).value
}

#[tokio::test]
async fn a_saturated_pool_is_seen_and_does_not_keep_a_scrape() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, (0..100).map(|number| flow(number, "a"))).await;
    let in_use = |state| measured(&*repository, "postgres_pool_connections", Some(state));
    let waiting = || measured(&*repository, "postgres_pool_waiting", None);
    // Perhaps two: the other one has told of the changes.
    until("all connections are back", async || in_use("in_use") == 0.0 && in_use("idle") >= 1.0).await;
    assert_eq!(measured(&*repository, "postgres_pool_connections_max", None), 5.0);

    // Nobody reads on, so each of them keeps its connection.
    let mut streams: Vec<_> = (0..5).map(|_| repository.snapshot()).collect();
    join_all(streams.iter_mut().map(StreamExt::next)).await;
    assert_eq!((in_use("in_use"), in_use("idle")), (5.0, 0.0));
    // Whoever looks after the index may have come too late for one, and may yet: he gives up, and the caller does not.
    until("nobody waits", async || waiting() == 0.0).await;
    let caller = tokio::spawn({
        let repository = Arc::clone(&repository);
        async move {
            loop {
                repository.get(id(1)).await.unwrap_err();
            }
        }
    });
    until("somebody waits", async || waiting() == 1.0).await;
    caller.abort();
    until("he has gone away", async || waiting() == 0.0).await;

    let metrics = Metrics::of(Arc::clone(&repository));
    let begin = Instant::now();
    let texts = join_all((0..10).map(|_| metrics.text(0))).await;
    // One second of patience, whoever reads; the rest is the machine's.
    assert!(begin.elapsed() < Duration::from_secs(5), "it took {:?}", begin.elapsed());
    for text in texts {
        let shown = Exposition::parse(&text);
        assert_eq!(shown.get("strom_storage_ready"), Some(0.0));
        assert_eq!(shown.get(r#"strom_postgres_pool_connections{state="in_use"}"#), Some(5.0));
        for unknown in ["strom_feed_lag_seconds", "strom_feed_held_back_changes", "strom_storage_state_seconds"] {
            assert_eq!(shown.get(unknown), None, "{unknown} cannot be known");
        }
    }
    drop(streams);
    until("the storage answers again", async || {
        Exposition::parse(&metrics.text(0).await).get("strom_storage_ready") == Some(1.0)
    })
    .await;
}

#[tokio::test]
async fn an_outage_is_seen_and_counted_once() {
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
    until("the database is away", async || repository.get(id(1)).await.is_err() && breaker() == (1.0, 1.0)).await;
    for _ in 0..5 {
        repository.get(id(1)).await.unwrap_err();
    }
    let shown = Exposition::parse(&metrics.text(0).await);
    assert_eq!(shown.get("strom_storage_ready"), Some(0.0));
    assert_eq!(shown.get("strom_postgres_breaker_open"), Some(1.0));
    assert_eq!(shown.get("strom_feed_lag_seconds"), None, "nobody can tell");
    assert!(shown.get("strom_storage_state_seconds").is_some_and(|seconds| seconds < 60.0));
    proxy.restore();
    until("the database is back", async || breaker() == (0.0, 1.0)).await;
    until("its lag is known", async || {
        Exposition::parse(&metrics.text(0).await).get("strom_feed_lag_seconds").is_some()
    })
    .await;
}

#[tokio::test]
async fn who_holds_the_feed_back_is_seen_and_for_how_long() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut psql = database.connect().await;
    let insert = |number| format!("INSERT INTO flows (id, name, data) VALUES ('{}', 'slow', '{{}}')", id(number));
    run(&mut psql, &format!("BEGIN; {}", insert(1))).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Their stamps are of long ago, and nothing has been held back for longer than the transaction takes.
    create_all(&*repository, [flow(2, "a"), flow(3, "b")]).await;
    let lag = repository.feed_lag().await.unwrap();
    let transaction = lag.oldest_transaction.expect("we may see it");
    assert_eq!(lag.held_back, 2);
    assert!(transaction >= Duration::from_millis(300) && transaction < Duration::from_secs(600), "{lag:?}");
    assert!(lag.behind > Duration::ZERO && lag.behind <= transaction, "{lag:?}");
    run(&mut psql, "COMMIT").await;
    until("nothing is held back", async || {
        let FeedLag { behind, held_back, .. } = repository.feed_lag().await.unwrap();
        (behind, held_back) == (Duration::ZERO, 0)
    })
    .await;

    run(&mut psql, &format!("BEGIN; {}", insert(4))).await;
    let stamp = strom::repository::Stamp::new(clock::now(), strom::repository::Author::new("test"));
    repository.apply(vec![strom::repository::Change::delete(id(2))], stamp).await.unwrap();
    let lag = repository.feed_lag().await.unwrap();
    assert_eq!(lag.held_back, 1);
    assert!(lag.behind < Duration::from_secs(60), "{lag:?}");
}

/// One that ends while it is looked for is not one that may not be seen.
#[tokio::test]
async fn the_age_of_the_oldest_transaction_is_known_however_many_come_and_go() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let transactions = async || {
        let mut psql = database.connect().await;
        loop {
            run(&mut psql, "SELECT pg_current_xact_id()").await;
        }
    };
    let questions = async {
        for question in 0..300 {
            let lag = repository.feed_lag().await.unwrap();
            assert!(lag.oldest_transaction.is_some(), "question {question}");
        }
    };
    tokio::select! {
        never = join_all([transactions(), transactions(), transactions()]) => drop::<Vec<()>>(never),
        () = questions => {}
    }
}

#[tokio::test]
async fn a_transaction_that_the_server_does_not_show_has_no_age() {
    let database = Database::migrated().await;
    let mut psql = database.connect().await;
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
    run(&mut psql, "BEGIN; SELECT pg_current_xact_id()").await;
    create_all(&repository, [flow(1, "a")]).await;
    let lag = repository.feed_lag().await.unwrap();
    repository.close().await;
    run(&mut psql, &format!("ROLLBACK; DROP OWNED BY {role}; DROP ROLE {role}")).await;
    assert_eq!((lag.held_back, lag.oldest_transaction), (1, None));
    assert!(lag.behind > Duration::ZERO, "by the time of the change itself");
}
