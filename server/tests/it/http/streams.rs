//! Many concurrent readers of the change feed: server-sent events, WebSockets and long polling.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures::future::join_all;
use serde_json::{Value, json};
use strom_server::http::{Access, Settings, Streams, router, router_with};
use strom_store::internals::feed;
use strom_store::internals::samples::{change, create_all, flow, flow_with, id, stamp};
use strom_store::repository::{Change, Since};
use strom_store::{FlowRepository, repository::Precondition};
use tower::ServiceExt;

use super::changes::Events;
use super::client::Client;
use super::sockets::{closed, listening, next, open};
use strom_test_support::cable::Cable;
use strom_test_support::eventually::eventually;
use strom_test_support::exposition::Exposition;

type Repository = Arc<dyn FlowRepository>;

const STREAMS: usize = 200;
const WRITERS: u32 = 4;
const EACH: u32 = 25;
/// The maximum wait of a long poll.
const WAIT: Duration = Duration::from_secs(60);

async fn get(routes: &Router, path: &str) -> (u16, String) {
    let answer = routes.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn metric(routes: &Router, sample: &str) -> f64 {
    Exposition::parse(&get(routes, "/metrics").await.1).get(sample).unwrap_or_else(|| panic!("no {sample}"))
}

/// Returns the number of times that the server has read the feed from the storage.
async fn reads(routes: &Router) -> f64 {
    let of = |operation| format!(r#"strom_repository_operations_total{{operation="{operation}",outcome="ok"}}"#);
    metric(routes, &of("change_summaries")).await + metric(routes, &of("changes")).await
}

/// Creates, edits and deletes flows that no other writer uses.
async fn write(repository: Repository, writer: u32) {
    for step in 0..EACH {
        let number = writer * EACH + step / 3 + 1;
        let flow = |name: &str| Change::Put(flow(number, name), Precondition::Any);
        let operation = match step % 3 {
            0 => flow("created"),
            1 => flow("edited"),
            _ => Change::delete(id(number)),
        };
        change(&*repository, operation, stamp(i64::from(step))).await;
    }
}

/// Reads events up to the change of a flow with this name. Returns their cursors.
async fn cursors(mut events: Events, end: &str) -> Vec<String> {
    let mut cursors = Vec::new();
    loop {
        let (cursor, _, change) = events.next().await;
        cursors.push(cursor);
        if change["name"] == end {
            return cursors;
        }
    }
}

/// Opens a stream at this cursor. Every fifth stream receives documents, and every second one sends `Last-Event-ID`.
async fn open_events(routes: &Router, begin: &str, number: usize) -> Events {
    let documents = number.is_multiple_of(5);
    let path = format!("/api/changes?since={begin}&documents={documents}");
    match number % 2 {
        0 => Events::open(routes, &path, &[]).await,
        _ => Events::open(routes, "/api/changes", &[("last-event-id", begin)]).await,
    }
}

pub(super) async fn many_streams_receive_each_change_once_and_share_reads(repository: Repository) {
    let routes = router(repository.clone(), Access::Anonymous);
    let address = listening(routes.clone()).await;
    let begin = feed::now(&*repository).await;
    let start = begin.to_string();
    let streams = join_all((0..STREAMS).map(|number| open_events(&routes, &start, number))).await;
    let sockets = join_all((0..10).map(|_| open(address))).await;
    let mut slow = open_events(&routes, &start, 1).await;
    let disconnecting = join_all((0..20).map(|number| open_events(&routes, &start, number))).await;
    let before = reads(&routes).await;

    let disconnecting = disconnecting.into_iter().enumerate().map(async |(number, mut events)| {
        for _ in 0..number {
            events.next().await;
        }
    });
    let following = join_all(streams.into_iter().map(|events| tokio::spawn(cursors(events, "end"))));
    let received = join_all(sockets.into_iter().map(async |mut socket| {
        let mut received = Vec::new();
        let end = json!(id(1_000_000));
        while received.last().is_none_or(|event: &Value| event["data"]["flow_id"] != end) {
            received.push(next(&mut socket).await);
        }
        received
    }));
    let writing = async {
        join_all((0..WRITERS).map(|writer| write(repository.clone(), writer))).await;
        create_all(&*repository, [flow(1_000_000, "end")]).await;
    };
    let (following, received, ..) = tokio::join!(following, received, writing, join_all(disconnecting));

    let is_end = |record: &strom_store::repository::Record<strom_store::Flow>| record.item.head().name == "end";
    let feed = feed::read_until(&*repository, Since::After(begin), 100, is_end).await;
    let expected: Vec<_> = feed.iter().map(|record| record.cursor.to_string()).collect();
    assert_eq!(expected.len(), (WRITERS * EACH) as usize + 1);
    for seen in following {
        assert_eq!(seen.unwrap(), expected);
    }
    let expected_events: Vec<_> = feed
        .iter()
        .map(|record| {
            let name = match record.operation.as_str() {
                "create" => "FlowCreated",
                "delete" => "FlowDeleted",
                _ => "FlowUpdated",
            };
            json!({ "type": name, "data": { "flow_id": record.item.id() } })
        })
        .collect();
    for received in received {
        assert_eq!(received, expected_events);
    }
    let (first, ..) = slow.next().await;
    assert_eq!(first, expected[0], "a stream that reads late starts with the first change");
    assert_eq!(cursors(slow, "end").await, expected[1..]);
    // Streams share reads: one or two per page, and none per stream. Each change may have been a page.
    let read = reads(&routes).await - before;
    assert!(read <= f64::from(2 * WRITERS * EACH + 20), "{read} reads of the feed");
}

/// The documents have 34 MiB in total, of which the server buffers at most 32 MiB.
pub(super) async fn a_slow_stream_reads_discarded_changes_from_the_storage(repository: Repository) {
    let routes = router(repository.clone(), Access::Anonymous);
    let start = feed::now(&*repository).await.to_string();
    let path = format!("/api/changes?since={start}&documents=true");
    let (mut fast, mut slow) = (Events::open(&routes, &path, &[]).await, Events::open(&routes, &path, &[]).await);
    let text = "x".repeat(1 << 20);
    let document = |number: u32| flow_with(number, &format!("{number}"), &format!(r#""x":"{text}""#));
    let writing = async {
        for number in 1..=34 {
            create_all(&*repository, [document(number)]).await;
        }
    };
    let is_right = |change: &Value, number: u32| {
        assert_eq!(change["flow"]["id"], json!(id(number)));
        assert!(change["flow"]["x"].as_str() == Some(&text), "{number}: the document is complete");
    };
    let reading = async {
        for number in 1..=34 {
            is_right(&fast.next().await.2, number);
        }
    };
    // The server ends a stream whose client reads nothing for 30 s. All these chunks belong to the first event.
    let lagging = async {
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            slow.read_chunk().await.expect("the stream stays open");
        }
    };
    tokio::select! {
        _ = futures::future::join(writing, reading) => {}
        () = lagging => {}
    }
    let before = reads(&routes).await;
    for number in 1..=34 {
        is_right(&slow.next().await.2, number);
    }
    let read = reads(&routes).await - before;
    assert!((4.0..100.0).contains(&read), "{read} reads of the feed");
}

pub(super) async fn streams_continue_after_an_outage(repository: Repository) {
    let cable = Cable::to(repository.clone());
    let routes = router(cable.clone() as Repository, Access::Anonymous);
    let start = feed::now(&*repository).await.to_string();
    let path = format!("/api/changes?since={start}&wait=20");
    let mut events = Events::open(&routes, &path, &[]).await;
    let mut socket = open(listening(routes.clone()).await).await;
    create_all(&*repository, [flow(1, "before")]).await;
    assert_eq!(events.next().await.2["name"], "before");
    assert_eq!(next(&mut socket).await["type"], "FlowCreated");

    cable.cut();
    create_all(&*repository, [flow(2, "during the outage")]).await;
    let unread = Request::get(&path).header("accept", "text/event-stream").header("last-event-id", "1.1.1");
    let refused = routes.clone().oneshot(unread.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(refused.status(), 503, "a new stream that needs the storage is rejected");
    eventually("the calls of open streams fail", async || cable.refused() >= 2).await;
    cable.restore();
    create_all(&*repository, [flow(3, "after")]).await;
    for name in ["during the outage", "after"] {
        assert_eq!(events.next().await.2["name"], name);
        assert_eq!(next(&mut socket).await["type"], "FlowCreated");
    }
}

pub(super) async fn streams_report_expired_changes(repository: Repository) {
    let cable = Cable::to(repository.clone());
    let routes = router(cable.clone() as Repository, Access::Anonymous);
    let start = feed::now(&*repository).await.to_string();
    let path = format!("/api/changes?since={start}&wait=30");
    let mut events = Events::open(&routes, &path, &[]).await;
    let socket = open(listening(routes.clone()).await).await;
    let waiting = tokio::spawn({
        let (routes, path) = (routes.clone(), path.clone());
        async move { get(&routes, &path).await }
    });
    eventually("the poll waits", async || metric(&routes, r#"strom_http_streams{kind="poll"}"#).await == 1.0).await;
    cable.forget();
    // A change wakes the followers of the feed.
    create_all(&*repository, [flow(1, "unknown")]).await;
    let remedy = "request `/api/changes` without `since` for a new cursor, list all flows, then continue from that \
                  cursor";
    assert_eq!(events.next_or_end().await, Some((String::new(), "gone".into(), json!(remedy))));
    assert_eq!(events.next_or_end().await, None);
    assert_eq!(closed(socket).await, 1013, "1013 means `try again later`");
    let (status, body) = waiting.await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["type"].as_str()), (410, Some("urn:strom:problem:gone")));
    assert!(body["detail"].as_str().unwrap().ends_with(remedy), "{body}");
}

pub(super) async fn open_and_new_streams_end_after_shutdown(repository: Repository) {
    let streams = Streams::default();
    let routes = router_with(
        repository.clone(),
        Access::Anonymous,
        Settings { streams: streams.clone(), ..Settings::default() },
    );
    let start = feed::now(&*repository).await.to_string();
    let path = format!("/api/changes?since={start}&wait={}", WAIT.as_secs());
    let mut events = Events::open(&routes, &path, &[]).await;
    let socket = open(listening(routes.clone()).await).await;
    let begin = Instant::now();
    let ending = async {
        eventually("the poll waits", async || metric(&routes, r#"strom_http_streams{kind="poll"}"#).await == 1.0).await;
        streams.end();
        streams.ended().await;
    };
    let ((status, page), end, code, ()) =
        tokio::join!(get(&routes, &path), events.next_or_end(), closed(socket), ending);
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!((status, page), (200, json!({ "changes": [], "next": start })));
    assert_eq!((end, code), (None, 1001));
    assert!(begin.elapsed() < WAIT, "the poll ends before its wait is over");
    assert_eq!(Events::open(&routes, &path, &[]).await.next_or_end().await, None, "a new stream ends immediately");
    for kind in ["events", "socket", "poll"] {
        let name = format!(r#"strom_http_streams{{kind="{kind}"}}"#);
        eventually(&format!("no stream is counted: {kind}"), async || metric(&routes, &name).await == 0.0).await;
    }
}

pub(super) async fn more_than_2000_event_streams_return_503(repository: Repository) {
    let routes = router(repository.clone(), Access::Anonymous);
    let start = feed::now(&*repository).await.to_string();
    let path = format!("/api/changes?since={start}");
    let mut all = Vec::new();
    for _ in 0..2_000 {
        all.push(Events::open(&routes, &path, &[]).await);
    }
    assert_eq!(metric(&routes, r#"strom_http_streams{kind="events"}"#).await, 2_000.0);
    for (further, status) in [(format!("{path}&wait=1"), 503), (path.clone(), 200)] {
        assert_eq!(get(&routes, &further).await.0, status, "{further}");
    }
    let client = Client::new(repository.clone());
    assert_eq!(client.send(&format!("GET {path}&wait=1"), &[], "").await.status, 200, "each router has its own limit");
    let request = Request::get(&path).header("accept", "text/event-stream").body(Body::empty()).unwrap();
    let refused = routes.clone().oneshot(request).await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    let body = axum::body::to_bytes(refused.into_body(), usize::MAX).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["type"], "urn:strom:problem:too-many-streams");

    all.truncate(1_000);
    eventually("half of the streams end", async || {
        metric(&routes, r#"strom_http_streams{kind="events"}"#).await <= 1_000.0
    })
    .await;
    create_all(&*repository, [flow(1, "one")]).await;
    all.push(Events::open(&routes, &path, &[]).await);
    for events in &mut all {
        assert_eq!(events.next().await.2["name"], "one");
    }
}
