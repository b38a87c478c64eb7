//! Promises of the PostgreSQL backend beyond the contract: other writers, connections, outages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use strom::postgres::{DatabaseUrl, PostgresRepository};
use strom::repository::{
    Author, Change, Containment, Filter, FlowRepository, ListQuery, NamePart, RepositoryError, Revision, Stamp, Status,
};
use strom::testkit::samples::insist;
use strom::{Flow, FlowId, GstState, clock};

use crate::support::blocked::Blocked;
use crate::support::postgres::{Database, count, run, wait_for_count};
use crate::support::proxy::Proxy;

fn stamp() -> Stamp {
    Stamp::new(clock::now(), Author::new("test"))
}

fn flow(name: &str) -> Flow {
    Flow::parse(&format!(r#"{{"id": "{}", "name": "{name}"}}"#, clock::new_id())).unwrap()
}

/// The document, state, revision and author that the repository gives for a flow.
async fn seen(repository: &Arc<dyn FlowRepository>, id: FlowId) -> (String, GstState, bool, u64, String) {
    let flow = repository.get(id).await.unwrap().unwrap();
    let head = flow.item.head();
    let author = flow.version.author.as_str().to_owned();
    (flow.item.document().get().to_owned(), head.state, head.auto_restart, flow.version.revision.number(), author)
}

const ID: &str = "00000000-0000-4000-8000-0000000000a1";

#[tokio::test]
async fn columns_and_document_agree_whatever_psql_writes() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut psql = database.connect().await;
    let id = ID.parse().unwrap();

    run(
        &mut psql,
        &format!(r#"INSERT INTO flows (id, name, data) VALUES ('{ID}', 'by hand', '{{"gst_state": "Ready"}}')"#),
    )
    .await;
    let document = format!(r#"{{"id": "{ID}", "name": "by hand", "gst_state": "Ready"}}"#);
    assert_eq!(seen(&repository, id).await, (document, GstState::Ready, false, 1, "sql".to_owned()));

    run(&mut psql, "UPDATE flows SET name = 'renamed'").await;
    let document = format!(r#"{{"id": "{ID}", "name": "renamed", "gst_state": "Ready"}}"#);
    assert_eq!(seen(&repository, id).await, (document, GstState::Ready, false, 2, "sql".to_owned()));

    run(&mut psql, "UPDATE flows SET state = 'Playing', auto_restart = TRUE").await;
    let document = format!(
        r#"{{"id": "{ID}", "name": "renamed", "gst_state": "Playing", "properties": {{"auto_restart": true}}}}"#
    );
    assert_eq!(seen(&repository, id).await, (document, GstState::Playing, true, 3, "sql".to_owned()));

    run(&mut psql, r#"UPDATE flows SET data = data || '{"gst_state": "Paused", "running": true}'"#).await;
    assert_eq!(seen(&repository, id).await.3, 3, "a report of the engine is no edit");

    run(&mut psql, r#"UPDATE flows SET data = '{"name": "whole"}'"#).await;
    let document = format!(r#"{{"id": "{ID}", "name": "whole"}}"#);
    assert_eq!(seen(&repository, id).await, (document, GstState::Null, false, 4, "sql".to_owned()));

    let error = sqlx::query("UPDATE flows SET data = '[]'").execute(&mut psql).await.unwrap_err();
    assert!(error.to_string().contains("a flow is a JSON object"), "{error}");
}

#[tokio::test]
async fn an_older_strom_may_write_to_the_same_table() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut older = database.connect().await;
    let id = ID.parse().unwrap();
    let upsert = |name: &str| {
        format!(
            r#"INSERT INTO flows (id, name, state, auto_restart, data, created_at, updated_at)
               VALUES ('{ID}', '{name}', 'Null', false, '{{"id": "{ID}", "name": "{name}"}}', NOW(), NOW())
               ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, state = EXCLUDED.state, data = EXCLUDED.data,
                   auto_restart = EXCLUDED.auto_restart, created_at = EXCLUDED.created_at, updated_at = NOW()"#
        )
    };
    run(&mut older, &upsert("one")).await;
    let created_at = repository.get(id).await.unwrap().unwrap().version.created_at;
    run(&mut older, &upsert("two")).await;
    let version = repository.get(id).await.unwrap().unwrap().version;
    assert_eq!((version.revision, version.created_at), (Revision::new(2), created_at));
    run(&mut older, &upsert("two")).await;
    assert_eq!(repository.get(id).await.unwrap().unwrap().version, version, "the same again is no edit");

    // Its other way: everything out and in again.
    run(&mut older, &format!("BEGIN; DELETE FROM flows; {}; COMMIT", upsert("three"))).await;
    let version = repository.get(id).await.unwrap().unwrap().version;
    assert_eq!((version.revision, version.created_at), (Revision::new(3), created_at), "it was never gone");
    let stale = repository.apply(vec![Change::replace_at(flow_with_id("mine"), Revision::new(2))], stamp()).await;
    assert!(matches!(stale, Err(RepositoryError::Conflict(_))), "an editor that saw revision 2 overwrites nothing");
}

fn flow_with_id(name: &str) -> Flow {
    Flow::parse(&format!(r#"{{"id": "{ID}", "name": "{name}"}}"#)).unwrap()
}

#[tokio::test]
async fn names_fold_in_sql_as_they_do_in_rust() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let letters: Vec<char> = ('!'..='\u{5ff}').chain('\u{1e00}'..='\u{1fff}').filter(|c| !c.is_control()).collect();
    let names: Vec<String> = letters.chunks(60).map(|chunk| chunk.iter().collect()).collect();
    let changes = names.iter().map(|name| {
        let text = serde_json::json!({"id": clock::new_id(), "name": name}).to_string();
        Change::create(Flow::parse(&text).unwrap())
    });
    repository.apply(changes.collect(), stamp()).await.unwrap();
    for name in &names {
        let filter = Filter { name: Some(NamePart::parse(name).unwrap()), ..Filter::default() };
        let found = repository.summaries(&ListQuery { filter, ..ListQuery::default() }).await.unwrap().items;
        assert!(found.iter().any(|flow| flow.item.name == *name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_clients_share_five_connections() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut observer = database.connect().await;
    let connections = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name LIKE 'strom/%' AND
                 datname = current_database() AND pid <> pg_backend_pid()";
    // The server takes a moment to notice that the start has closed its connection.
    wait_for_count(&mut observer, connections, 0).await;
    let clients = join_all((0..64).map(|_| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            for _ in 0..20 {
                let flow = flow("busy");
                let id = flow.id();
                insist(|| repository.apply(vec![Change::create(flow.clone())], stamp())).await.unwrap();
                insist(|| repository.get(id)).await.unwrap().unwrap();
            }
        })
    }));
    let mut most = 0;
    tokio::pin!(clients);
    loop {
        tokio::select! {
            results = &mut clients => break results.into_iter().for_each(|result| result.unwrap()),
            () = tokio::time::sleep(Duration::from_millis(5)) => {
                let now = count(&mut observer, connections).await;
                most = most.max(now);
            }
        }
    }
    assert!((1..=5).contains(&most), "{most} connections");
}

/// What a `pool.begin()` leaves behind that is cancelled between sending `BEGIN` and noting it.
#[tokio::test]
async fn no_call_works_inside_a_transaction_that_somebody_left_open() {
    let database = Database::migrated().await;
    let url = DatabaseUrl::parse(&database.url()).unwrap();
    let repository = PostgresRepository::open(&url).await.unwrap();
    repository.leave_transactions_open().await.unwrap();
    // A connection goes back to the pool in the background.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let flows: Vec<_> = (0..10).map(|_| flow("committed")).collect();
    for flow in &flows {
        repository.apply(vec![Change::create(flow.clone())], stamp()).await.unwrap();
    }
    let others = database.repository().await;
    for flow in flows {
        assert!(others.get(flow.id()).await.unwrap().is_some(), "what is acknowledged is there for everybody");
    }
}

#[tokio::test]
async fn a_change_of_the_table_costs_no_call() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let flow = flow("kept");
    repository.apply(vec![Change::create(flow.clone())], stamp()).await.unwrap();
    repository.get(flow.id()).await.unwrap().unwrap();
    run(&mut database.connect().await, "ALTER TABLE flows ALTER COLUMN author TYPE VARCHAR(200)").await;
    for _ in 0..10 {
        repository.get(flow.id()).await.unwrap().unwrap();
        repository.apply(vec![Change::replace(flow.clone())], stamp()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_at_once_and_ends_by_itself() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let url = DatabaseUrl::parse(&proxy.url()).unwrap();
    let repository = PostgresRepository::open(&url).await.unwrap();
    let flow = flow("on air");
    repository.apply(vec![Change::create(flow.clone())], stamp()).await.unwrap();

    proxy.cut();
    let first = repository.get(flow.id()).await.unwrap_err();
    assert!(first.is_retryable(), "{first}");
    repository.get(flow.id()).await.unwrap_err();
    let asked = Instant::now();
    let error = repository.apply(vec![Change::delete(flow.id())], stamp()).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Unavailable { .. }), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(1), "it does not wait for a connection again");
    assert!(matches!(repository.health().await.status, Status::Unavailable(_)));

    proxy.restore();
    let restored = Instant::now();
    while repository.get(flow.id()).await.is_err() {
        assert!(restored.elapsed() < Duration::from_secs(5), "it comes back by itself");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(repository.health().await.status, Status::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_pool_is_not_taken_for_an_outage() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut blocked = Blocked::behind_a_lock(&database, &repository, 5).await;
    let error = repository.get(ID.parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Busy(_)), "{error}");
    blocked.release().await;
    for call in blocked.calls {
        assert!(call.await.unwrap().unwrap().is_none());
    }
    assert!(repository.get(ID.parse().unwrap()).await.unwrap().is_none());
}

/// How long a lock is waited for is the operator's to say: here in the URL, as well for the role or the database.
#[tokio::test]
async fn who_waits_for_a_lock_gives_up_in_time_and_has_written_nothing() {
    let database = Database::migrated().await;
    let url = DatabaseUrl::parse(&format!("{}?options=-c%20lock_timeout%3D200ms", database.url())).unwrap();
    let repository = PostgresRepository::open(&url).await.unwrap();
    let mut blocker = database.connect().await;
    run(&mut blocker, "BEGIN; LOCK TABLE flows IN EXCLUSIVE MODE").await;
    let late = flow("late");
    let error = repository.apply(vec![Change::create(late.clone())], stamp()).await.unwrap_err();
    assert!(matches!(&error, RepositoryError::Busy(why) if why.contains("lock timeout")), "{error:?}");
    run(&mut blocker, "ROLLBACK").await;
    assert!(repository.get(late.id()).await.unwrap().is_none());
    repository.apply(vec![Change::create(late)], stamp()).await.unwrap();
}

/// A page far behind must not read what is before it, in any order, nor a search for something rare all documents; not
/// even where calls before it, on the same connection, had to read everything.
#[tokio::test]
async fn pages_and_searches_use_an_index() {
    // More than the plans that PostgreSQL makes before it thinks of keeping one.
    const EXPENSIVE: i64 = 12;
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let flows = (0..3_000).map(|i| Change::create(flow(&format!("flow {i:05}"))));
    repository.apply(flows.collect(), stamp()).await.unwrap();
    let mut psql = database.connect().await;
    // Also empties the pending list of the index over documents, as autovacuum does in time.
    run(&mut psql, "VACUUM ANALYZE flows").await;
    run(&mut psql, "SELECT pg_stat_reset()").await;
    let everything = ListQuery { sort: "updated_at,-name".parse().unwrap(), ..ListQuery::default() };
    for _ in 0..EXPENSIVE {
        assert_eq!(repository.summaries(&everything).await.unwrap().items.len(), 3_000);
    }
    for sort in ["name", "-name", "created_at", "-updated_at"] {
        let mut query = ListQuery { sort: sort.parse().unwrap(), limit: Some(100), ..ListQuery::default() };
        for _ in 0..8 {
            query.after = repository.summaries(&query).await.unwrap().next;
        }
    }
    let contains = Some(Containment::parse(r#"{"name": "flow 01234"}"#).unwrap());
    let rare = ListQuery { filter: Filter { contains, ..Filter::default() }, ..ListQuery::default() };
    assert_eq!(repository.summaries(&rare).await.unwrap().items.len(), 1);
    repository.close().await;
    // Sessions report what they have done when they end.
    let reported = "SELECT (idx_scan + seq_scan >= 45)::INT::BIGINT FROM pg_stat_user_tables WHERE relname = 'flows'";
    wait_for_count(&mut psql, reported, 1).await;
    let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'flows'";
    assert!(count(&mut psql, scans).await <= EXPENSIVE, "nothing else read the whole table");
}

#[tokio::test]
async fn a_snapshot_that_is_dropped_half_way_gives_its_connection_back() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let flows = (0..2_000).map(|i| Change::create(flow(&format!("flow {i:05}"))));
    repository.apply(flows.collect(), stamp()).await.unwrap();
    for _ in 0..12 {
        let mut snapshot = repository.snapshot();
        assert_eq!(snapshot.next().await.unwrap().unwrap().item.head().name, "flow 00000");
    }
    assert_eq!(repository.snapshot().count().await, 2_000);
}
