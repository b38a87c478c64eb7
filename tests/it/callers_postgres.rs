//! Callers who go away in the middle: 4,000 whose calls are dropped, and 4,000 clients of the server who hang up.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use strom::http::{Access, router, serve};
use strom::repository::{Author, Change, FlowRepository, ListQuery, Stamp};
use strom::testkit::chance::Chance;
use strom::{Flow, FlowId, clock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::postgres::{Database, count, wait_for_count};

const CALLERS: u32 = 16;
const CALLS_EACH: u64 = 250;

fn stamp() -> Stamp {
    Stamp::new(clock::now(), Author::new("test"))
}

fn flow(name: &str) -> Flow {
    Flow::parse(&format!(r#"{{"id": "{}", "name": "{name}"}}"#, clock::new_id())).unwrap()
}

/// How long a caller waits: mostly too short, now and then long enough.
fn patience(chance: &mut Chance) -> Duration {
    Duration::from_micros(if chance.below(8) == 0 { 1_000_000 } else { chance.below(10_000) })
}

/// What is left in the database when everybody has gone.
async fn assert_nothing_is_poisoned_or_lost(
    database: &Database,
    repository: &dyn FlowRepository,
    acknowledged: &[FlowId],
) {
    let mut observer = database.connect().await;
    let open = "SELECT COUNT(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'
                AND datname = current_database()";
    wait_for_count(&mut observer, open, 0).await;
    // More than there are connections.
    let survivors: Vec<_> = (0..20).map(|_| flow("after")).collect();
    join_all(survivors.iter().map(|flow| repository.apply(vec![Change::create(flow.clone())], stamp())))
        .await
        .into_iter()
        .for_each(|saved| drop(saved.unwrap()));
    let others = database.repository().await;
    assert!(!acknowledged.is_empty(), "some wait long enough");
    for id in survivors.iter().map(Flow::id).chain(acknowledged.iter().copied()) {
        assert!(others.get(id).await.unwrap().is_some(), "what is acknowledged is there for everybody");
    }
    let halves = count(&mut observer, "SELECT COUNT(*) FROM flows WHERE name IN ('a', 'b')").await;
    assert_eq!(halves % 2, 0, "both or none");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_dropped_poison_no_connection() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let callers = (0..CALLERS).map(|caller| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            let mut chance = Chance::new(caller.into());
            let mut acknowledged = Vec::new();
            for _ in 0..CALLS_EACH {
                let pair = [flow("a"), flow("b")];
                let calls = async {
                    let changes = pair.iter().cloned().map(Change::create).collect();
                    let result = repository.apply(changes, stamp()).await;
                    if result.is_ok() {
                        acknowledged.extend(pair.iter().map(Flow::id));
                    }
                    let _ = repository.list(&ListQuery { limit: Some(5), ..ListQuery::default() }).await;
                };
                let _ = timeout(patience(&mut chance), calls).await;
            }
            acknowledged
        })
    });
    let acknowledged: Vec<FlowId> =
        join_all(callers.collect::<Vec<_>>()).await.into_iter().flat_map(Result::unwrap).collect();
    assert_nothing_is_poisoned_or_lost(&database, &*repository, &acknowledged).await;
    eprintln!("{} of {} calls were answered", acknowledged.len() / 2, u64::from(CALLERS) * CALLS_EACH);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_who_hang_up_poison_no_connection() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, router(repository.clone(), Access::Anonymous), std::future::pending()));
    let clients = (0..CALLERS).map(|client| {
        tokio::spawn(async move {
            let mut chance = Chance::new(client.into());
            let mut acknowledged = Vec::new();
            for _ in 0..CALLS_EACH {
                let flow = flow("over HTTP");
                let body = flow.document().get();
                let (method, body) = if chance.below(4) == 0 { ("GET", "") } else { ("POST", body) };
                let mut stream = TcpStream::connect(address).await.unwrap();
                let head = format!(
                    "{method} /api/flows?limit=3 HTTP/1.1\r\nHost: strom\r\nConnection: close\r\n\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                let mut status = [0; 12];
                let reading = timeout(patience(&mut chance), stream.read_exact(&mut status));
                if matches!(reading.await, Ok(Ok(_))) && &status == b"HTTP/1.1 201" {
                    acknowledged.push(flow.id());
                }
            }
            acknowledged
        })
    });
    let acknowledged: Vec<FlowId> =
        join_all(clients.collect::<Vec<_>>()).await.into_iter().flat_map(Result::unwrap).collect();
    // Those whose clients have gone are still at work.
    sleep(Duration::from_millis(200)).await;
    assert_nothing_is_poisoned_or_lost(&database, &*repository, &acknowledged).await;
    eprintln!("{} of {} requests were answered by 201", acknowledged.len(), u64::from(CALLERS) * CALLS_EACH);
    server.abort();
}
