//! Concurrent saves over HTTP reach the group commit of the PostgreSQL backend.

use futures::future::join_all;
use strom_server::clock;
use strom_server::http::Access;
use strom_server::stack::Stack;
use strom_store::internals::samples::flow;
use strom_test_support::eventually::eventually;
use strom_test_support::exposition::Exposition;
use strom_test_support::postgres::{Database, count, run};

use crate::http::client::Client;

const CLIENTS: u32 = 64;
/// Counts the transactions that saved flows: all rows that a transaction wrote have the same `xmin`.
const COMMITS: &str = "SELECT COUNT(DISTINCT xmin::TEXT) FROM flow_changes";
const SAVES: &str = "SELECT COUNT(*) FROM flow_changes";

/// A lock on the table delays the first statements until all saves wait. Then the number of commits does not depend on timing.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_saves_share_commits() {
    let database = Database::migrated().await;
    let backend = database.repository().await;
    let stack = Stack::over(backend.clone()).ephemeral(clock::now()).build();
    let client = Client::with(stack, Access::Anonymous);
    let mut connection = database.connect().await;
    run(&mut connection, "BEGIN; LOCK TABLE flows IN EXCLUSIVE MODE").await;
    let saves = join_all((0..CLIENTS).map(|number| {
        let client = client.clone();
        async move { client.send("POST /api/flows", &[], flow(number, "new").document().get()).await.status }
    }));
    let saves = tokio::spawn(saves);
    eventually("all saves are in flight", async || {
        let metrics = Exposition::parse(&client.send("GET /metrics", &[], "").await.body);
        metrics.get("strom_http_requests_in_flight") == Some(f64::from(CLIENTS + 1))
    })
    .await;
    run(&mut connection, "COMMIT").await;
    assert_eq!(saves.await.unwrap(), vec![201; CLIENTS as usize]);
    let (saves, commits) = (count(&mut connection, SAVES).await, count(&mut connection, COMMITS).await);
    assert_eq!(saves, i64::from(CLIENTS));
    assert!(commits * 3 <= saves, "{saves} saves took {commits} commits");
    backend.close().await.unwrap();
}
