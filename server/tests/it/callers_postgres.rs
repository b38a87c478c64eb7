//! Abandoned calls: 16 tasks drop their calls, and 16 clients close their connections during a request. Each of them does so 60
//! times, or `STROM_CALLS_EACH` times.

use std::sync::Arc;
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use futures::future::join_all;
use strom_server::clock;
use strom_server::http::{Access, router, serve};
use strom_store::internals::Chance;
use strom_store::repository::{Author, Change, FlowRepository, ListQuery, Precondition, Stamp};
use strom_store::{Flow, FlowId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use strom_test_support::eventually::{HANGS, eventually};
use strom_test_support::postgres::{Database, count, wait_for_count};

const CALLERS: u32 = 16;
const DEFAULT_CALLS_EACH: u64 = 60;

fn calls_each() -> u64 {
    std::env::var("STROM_CALLS_EACH").ok().and_then(|calls| calls.parse().ok()).unwrap_or(DEFAULT_CALLS_EACH)
}

fn stamp() -> Stamp {
    Stamp::new(clock::now(), Author::new("test"))
}

fn flow(name: &str) -> Flow {
    Flow::parse(&format!(r#"{{"id": "{}", "name": "{name}"}}"#, clock::new_id())).unwrap()
}

/// Returns how long a caller waits, which is usually too short for a response. Random times create interleavings.
fn waiting_time(chance: &mut Chance) -> Duration {
    if chance.below(8) == 0 { HANGS } else { Duration::from_micros(chance.below(10_000)) }
}

/// Saves a flow. Calls again after retryable errors: a slow machine may need more than the two seconds that a call waits.
async fn save(repository: &dyn FlowRepository, flow: &Flow) {
    let change = Change::Put(flow.clone(), Precondition::Any);
    eventually("the flow is stored", async || match repository.apply_all(vec![change.clone()], stamp()).await {
        Ok(_) => true,
        Err(error) if error.is_retryable() => {
            eprintln!("{error}");
            false
        }
        Err(error) => panic!("{error:?}"),
    })
    .await;
}

/// Checks the database after all callers have ended: no connection is broken, no acknowledged flow is lost, and no call was
/// stored in part.
async fn assert_store_is_intact(database: &Database, repository: &dyn FlowRepository, acknowledged: &[FlowId]) {
    // Abandoned calls continue in the background until they complete.
    eventually("no connection is in use and no call waits", async || {
        let measurements = repository.measurements().into_iter();
        let used = measurements
            .filter(|value| value.name == "postgres_pool_waiting" || value.label == Some(("state", "in_use")));
        used.map(|value| value.value).sum::<f64>() == 0.0
    })
    .await;
    let mut observer = database.connect().await;
    let open = "SELECT COUNT(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'
                AND datname = current_database()";
    wait_for_count(&mut observer, open, 0).await;
    // The number of flows exceeds the number of connections.
    let survivors: Vec<_> = (0..20).map(|_| flow("after")).collect();
    join_all(survivors.iter().map(|flow| save(repository, flow))).await;
    let other_instance = database.repository().await;
    assert!(!acknowledged.is_empty(), "some callers receive a response");
    for id in survivors.iter().map(Flow::id).chain(acknowledged.iter().copied()) {
        assert!(other_instance.get(id).await.unwrap().is_some(), "an acknowledged flow is visible to other instances");
    }
    let partial = count(&mut observer, "SELECT COUNT(*) FROM flows WHERE name IN ('a', 'b')").await;
    assert_eq!(partial % 2, 0, "each call stores both flows or none");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_calls_do_not_break_pooled_connections() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let callers = (0..CALLERS).map(|caller| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            let mut chance = Chance::new(caller.into());
            let mut acknowledged = Vec::new();
            for _ in 0..calls_each() {
                let pair = [flow("a"), flow("b")];
                let calls = async {
                    let changes = pair.iter().cloned().map(Change::create).collect();
                    let result = repository.apply_all(changes, stamp()).await;
                    if result.is_ok() {
                        acknowledged.extend(pair.iter().map(Flow::id));
                    }
                    let _ = repository.list(&ListQuery { limit: Some(5), ..ListQuery::default() }).await;
                };
                let _ = timeout(waiting_time(&mut chance), calls).await;
            }
            acknowledged
        })
    });
    let acknowledged: Vec<FlowId> =
        join_all(callers.collect::<Vec<_>>()).await.into_iter().flat_map(Result::unwrap).collect();
    assert_store_is_intact(&database, &*repository, &acknowledged).await;
    eprintln!("{} of {} calls were answered", acknowledged.len() / 2, u64::from(CALLERS) * calls_each());
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_client_connections_do_not_break_pooled_connections() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let server = tokio::spawn(serve(listener, router(repository.clone(), Access::Anonymous), stopped));
    let clients = (0..CALLERS).map(|client| {
        tokio::spawn(async move {
            let mut chance = Chance::new(client.into());
            let mut acknowledged = Vec::new();
            for _ in 0..calls_each() {
                let flow = flow("over HTTP");
                let body = flow.document().get();
                let (line, body) =
                    if chance.below(4) == 0 { ("GET /api/flows?limit=3", "") } else { ("POST /api/flows", body) };
                let mut stream = TcpStream::connect(address).await.unwrap();
                let head = format!(
                    "{line} HTTP/1.1\r\nHost: strom\r\nConnection: close\r\n\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                let mut status = [0; 12];
                let reading = timeout(waiting_time(&mut chance), stream.read_exact(&mut status));
                if matches!(reading.await, Ok(Ok(_))) && &status == b"HTTP/1.1 201" {
                    acknowledged.push(flow.id());
                }
            }
            acknowledged
        })
    });
    let acknowledged: Vec<FlowId> =
        join_all(clients.collect::<Vec<_>>()).await.into_iter().flat_map(Result::unwrap).collect();
    // The server completes requests that it has received before it stops.
    drop(stop);
    timeout(HANGS, server).await.expect("the server stops").unwrap();
    assert_store_is_intact(&database, &*repository, &acknowledged).await;
    eprintln!("{} of {} requests were answered by 201", acknowledged.len(), u64::from(CALLERS) * calls_each());
}
