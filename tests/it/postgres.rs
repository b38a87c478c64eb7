//! Properties of the PostgreSQL backend beyond the contract: other writers, connections, outages.

use std::sync::Arc;
use strom_store::repository::FlowRepositoryExt as _;

use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use strom_store::internals::samples::retry_while_busy;
use strom_store::postgres::testing::leave_transactions_open;
use strom_store::postgres::{DatabaseUrl, PostgresRepository};
use strom_store::repository::{
    Author, Change, Containment, Filter, FlowRepository, ListQuery, NamePart, RepositoryError, Revision, Stamp, Status,
};
use strom_store::{Flow, FlowId, GstState};
use strom_test_support::clock;
use url::Url;

use strom_test_support::blocked::Blocked;
use strom_test_support::eventually::eventually;
use strom_test_support::postgres::{Database, count, run, wait_for_count};
use strom_test_support::proxy::Proxy;

fn stamp() -> Stamp {
    Stamp::new(clock::now(), Author::new("test"))
}

fn flow(name: &str) -> Flow {
    Flow::parse(&format!(r#"{{"id": "{}", "name": "{name}"}}"#, clock::new_id())).unwrap()
}

/// Returns document, state, automatic restart, revision and author of a flow.
async fn seen(repository: &Arc<dyn FlowRepository>, id: FlowId) -> (String, GstState, bool, u64, String) {
    let flow = repository.get(id).await.unwrap().unwrap();
    let head = flow.item.head();
    let author = flow.version.author.as_str().to_owned();
    (flow.item.document().get().to_owned(), head.state, head.auto_restart, flow.version.revision.number(), author)
}

const ID: &str = "00000000-0000-4000-8000-0000000000a1";

#[tokio::test]
async fn columns_and_document_agree_after_writes_by_psql() {
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
    assert_eq!(seen(&repository, id).await.3, 3, "a report creates no revision");

    run(&mut psql, r#"UPDATE flows SET data = '{"name": "replaced"}'"#).await;
    let document = format!(r#"{{"id": "{ID}", "name": "replaced"}}"#);
    assert_eq!(seen(&repository, id).await, (document, GstState::Null, false, 4, "sql".to_owned()));

    let error = sqlx::query("UPDATE flows SET data = '[]'").execute(&mut psql).await.unwrap_err();
    assert!(error.to_string().contains("a flow is a JSON object"), "{error}");
}

#[tokio::test]
async fn older_version_can_write_to_the_same_table() {
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
    assert_eq!(repository.get(id).await.unwrap().unwrap().version, version, "saving equal content creates no revision");

    // An older version also saves by deleting and inserting all flows.
    run(&mut older, &format!("BEGIN; DELETE FROM flows; {}; COMMIT", upsert("three"))).await;
    let version = repository.get(id).await.unwrap().unwrap().version;
    assert_eq!((version.revision, version.created_at), (Revision::new(3), created_at), "the flow was not deleted");
    let stale = repository.apply_all(vec![Change::replace_at(flow_with_id("mine"), Revision::new(2))], stamp()).await;
    assert!(matches!(stale, Err(RepositoryError::Conflict(_))), "a client with revision 2 receives a conflict");
}

fn flow_with_id(name: &str) -> Flow {
    Flow::parse(&format!(r#"{{"id": "{ID}", "name": "{name}"}}"#)).unwrap()
}

#[tokio::test]
async fn names_are_folded_alike_in_sql_and_rust() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let letters: Vec<char> = ('!'..='\u{5ff}').chain('\u{1e00}'..='\u{1fff}').filter(|c| !c.is_control()).collect();
    let names: Vec<String> = letters.chunks(60).map(|chunk| chunk.iter().collect()).collect();
    let changes = names.iter().map(|name| {
        let text = serde_json::json!({"id": clock::new_id(), "name": name}).to_string();
        Change::create(Flow::parse(&text).unwrap())
    });
    repository.apply_all(changes.collect(), stamp()).await.unwrap();
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
    // The server notices with a delay that the start has closed its connection.
    wait_for_count(&mut observer, connections, 0).await;
    let clients = join_all((0..64).map(|_| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            for _ in 0..20 {
                let flow = flow("busy");
                let id = flow.id();
                retry_while_busy(|| repository.apply_all(vec![Change::create(flow.clone())], stamp())).await.unwrap();
                retry_while_busy(|| repository.get(id)).await.unwrap().unwrap();
            }
        })
    }));
    let mut highest = 0;
    let mut clients = tokio::spawn(clients);
    while !clients.is_finished() {
        highest = highest.max(count(&mut observer, connections).await);
    }
    (&mut clients).await.unwrap().into_iter().for_each(|result| result.unwrap());
    // Counts at least once, even if the clients were faster than the loop.
    highest = highest.max(count(&mut observer, connections).await);
    assert!((1..=5).contains(&highest), "{highest} connections");
}

/// A `pool.begin()` that is cancelled after it has sent `BEGIN` leaves a transaction open.
#[tokio::test]
async fn calls_do_not_run_inside_an_abandoned_transaction() {
    let database = Database::migrated().await;
    let url = DatabaseUrl::parse(&database.url()).unwrap();
    let repository = PostgresRepository::open(&url).await.unwrap();
    leave_transactions_open(&repository).await.unwrap();
    // Connections return to the pool in the background.
    eventually("all connections are idle", async || {
        let connections = repository.measurements().into_iter().filter(|one| one.name == "postgres_pool_connections");
        let idle = connections.filter(|one| one.label == Some(("state", "idle"))).map(|one| one.value);
        idle.sum::<f64>() == 5.0
    })
    .await;
    let flows: Vec<_> = (0..10).map(|_| flow("committed")).collect();
    for flow in &flows {
        repository.apply_all(vec![Change::create(flow.clone())], stamp()).await.unwrap();
    }
    let second = database.repository().await;
    for flow in flows {
        assert!(second.get(flow.id()).await.unwrap().is_some(), "an acknowledged change is visible to other instances");
    }
}

#[tokio::test]
async fn change_of_the_table_fails_no_call() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let flow = flow("stored");
    repository.apply_all(vec![Change::create(flow.clone())], stamp()).await.unwrap();
    repository.get(flow.id()).await.unwrap().unwrap();
    run(&mut database.connect().await, "ALTER TABLE flows ALTER COLUMN author TYPE VARCHAR(200)").await;
    for _ in 0..10 {
        repository.get(flow.id()).await.unwrap().unwrap();
        repository.apply_all(vec![Change::replace(flow.clone())], stamp()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_fail_fast_during_an_outage_and_recover() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let url = DatabaseUrl::parse(&proxy.url()).unwrap();
    let repository = PostgresRepository::open(&url).await.unwrap();
    let flow = flow("on air");
    repository.apply_all(vec![Change::create(flow.clone())], stamp()).await.unwrap();

    proxy.cut();
    let first = repository.get(flow.id()).await.unwrap_err();
    assert!(first.is_retryable(), "{first}");
    repository.get(flow.id()).await.unwrap_err();
    let immediate = repository.get(flow.id()).now_or_never().expect("the call does not wait for a connection");
    assert!(matches!(immediate, Err(RepositoryError::Unavailable { .. })), "{immediate:?}");
    let error = repository.apply_all(vec![Change::delete(flow.id())], stamp()).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Unavailable { .. }), "{error}");
    assert!(matches!(repository.health().await.status, Status::Unavailable(_)));

    proxy.restore();
    eventually("the repository recovers", async || repository.get(flow.id()).await.is_ok()).await;
    assert_eq!(repository.health().await.status, Status::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_pool_returns_busy_instead_of_unavailable() {
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

/// The operator sets the lock timeout: in the URL, as here, for the role or for the database.
#[tokio::test]
async fn save_returns_busy_after_the_lock_timeout_and_writes_nothing() {
    let database = Database::migrated().await;
    let mut url = Url::parse(&database.url()).unwrap();
    url.query_pairs_mut().append_pair("options", "-c lock_timeout=200ms");
    let url = DatabaseUrl::parse(url.as_str()).unwrap();
    let repository = PostgresRepository::open(&url).await.unwrap();
    let mut blocker = database.connect().await;
    run(&mut blocker, "BEGIN; LOCK TABLE flows IN EXCLUSIVE MODE").await;
    let late = flow("late");
    let error = repository.apply_all(vec![Change::create(late.clone())], stamp()).await.unwrap_err();
    assert!(matches!(&error, RepositoryError::Busy(why) if why.contains("lock timeout")), "{error:?}");
    run(&mut blocker, "ROLLBACK").await;
    assert!(repository.get(late.id()).await.unwrap().is_none());
    repository.apply_all(vec![Change::create(late)], stamp()).await.unwrap();
}

/// A late page must not read the rows before it, in any order, and a selective search must not read all documents. This
/// also holds after calls on the same connection that have read all flows.
#[tokio::test]
async fn pages_and_searches_use_an_index() {
    // More than the number of custom plans after which PostgreSQL considers a generic plan.
    const EXPENSIVE: i64 = 12;
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let flows = (0..3_000).map(|i| Change::create(flow(&format!("flow {i:05}"))));
    repository.apply_all(flows.collect(), stamp()).await.unwrap();
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
    repository.close().await.unwrap();
    // Sessions report their statistics when they end.
    let reported = "SELECT (idx_scan + seq_scan >= 45)::INT::BIGINT FROM pg_stat_user_tables WHERE relname = 'flows'";
    wait_for_count(&mut psql, reported, 1).await;
    let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'flows'";
    assert!(count(&mut psql, scans).await <= EXPENSIVE, "no other call scans the table");
}

#[tokio::test]
async fn dropped_snapshot_returns_its_connection() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let flows = (0..2_000).map(|i| Change::create(flow(&format!("flow {i:05}"))));
    repository.apply_all(flows.collect(), stamp()).await.unwrap();
    for _ in 0..12 {
        let mut snapshot = repository.snapshot();
        assert_eq!(snapshot.next().await.unwrap().unwrap().item.head().name, "flow 00000");
    }
    assert_eq!(repository.snapshot().count().await, 2_000);
}
