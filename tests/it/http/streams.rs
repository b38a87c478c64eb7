//! Many who follow the changes at once: events, WebSockets, pages that wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures::future::join_all;
use serde_json::{Value, json};
use strom::http::{Access, Settings, Streams, router, router_with};
use strom::repository::{Change, Since};
use strom::testkit::feed;
use strom::testkit::samples::{change, create_all, flow, flow_with, id, stamp};
use strom::{FlowRepository, repository::Precondition};
use tower::ServiceExt;

use super::changes::Events;
use super::client::Client;
use super::sockets::{closed, listening, next, open};
use crate::support::cable::Cable;
use crate::support::exposition::Exposition;

type Repository = Arc<dyn FlowRepository>;

const STREAMS: usize = 200;
const WRITERS: u32 = 4;
const EACH: u32 = 25;

async fn get(routes: &Router, path: &str) -> (u16, String) {
    let answer = routes.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn metric(routes: &Router, sample: &str) -> f64 {
    Exposition::parse(&get(routes, "/metrics").await.1).get(sample).unwrap_or_else(|| panic!("no {sample}"))
}

/// How often the feed was read.
async fn reads(routes: &Router) -> f64 {
    let of = |operation| format!(r#"strom_repository_operations_total{{operation="{operation}",outcome="ok"}}"#);
    metric(routes, &of("change_summaries")).await + metric(routes, &of("changes")).await
}

/// Creates, edits and deletes flows of its own.
async fn write(repository: Repository, writer: u32) {
    for step in 0..EACH {
        let number = writer * EACH + step / 3 + 1;
        let flow = |name: &str| Change::Put(flow(number, name), Precondition::Any);
        let made = match step % 3 {
            0 => flow("created"),
            1 => flow("edited"),
            _ => Change::delete(id(number)),
        };
        change(&*repository, made, stamp(i64::from(step))).await;
    }
}

/// The cursors of all events of a stream, up to the change of a flow of this name.
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

/// A stream that is there from the beginning; some with documents, some go on as if they had been cut off.
async fn opened(routes: &Router, begin: &str, number: usize) -> Events {
    let documents = number.is_multiple_of(5);
    let path = format!("/api/changes?since={begin}&documents={documents}");
    match number % 2 {
        0 => Events::open(routes, &path, &[]).await,
        _ => Events::open(routes, "/api/changes", &[("last-event-id", begin)]).await,
    }
}

pub(super) async fn many_streams_see_each_change_once_and_cost_what_one_costs(repository: Repository) {
    let routes = router(repository.clone(), Access::Anonymous);
    let address = listening(routes.clone()).await;
    let begin = feed::now(&*repository).await;
    let place = begin.to_string();
    let streams = join_all((0..STREAMS).map(|number| opened(&routes, &place, number))).await;
    let sockets = join_all((0..10).map(|_| open(address))).await;
    let mut slow = opened(&routes, &place, 1).await;
    let leaving = join_all((0..20).map(|number| opened(&routes, &place, number))).await;
    let before = reads(&routes).await;

    let leaving = leaving.into_iter().enumerate().map(async |(number, mut events)| {
        for _ in 0..number {
            events.next().await;
        }
    });
    let following = join_all(streams.into_iter().map(|events| tokio::spawn(cursors(events, "end"))));
    let told = join_all(sockets.into_iter().map(async |mut socket| {
        let mut told = Vec::new();
        let end = json!(id(1_000_000));
        while told.last().is_none_or(|event: &Value| event["data"]["flow_id"] != end) {
            told.push(next(&mut socket).await);
        }
        told
    }));
    let writing = async {
        join_all((0..WRITERS).map(|writer| write(repository.clone(), writer))).await;
        create_all(&*repository, [flow(1_000_000, "end")]).await;
    };
    let (following, told, ..) = tokio::join!(following, told, writing, join_all(leaving));

    let is_end = |record: &strom::repository::Record<strom::Flow>| record.item.head().name == "end";
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
    for told in told {
        assert_eq!(told, expected_events);
    }
    let (first, ..) = slow.next().await;
    assert_eq!(first, expected[0], "it has read nothing up to now");
    assert_eq!(cursors(slow, "end").await, expected[1..]);
    // Two per page with documents, none per stream; each change may have come alone.
    let read = reads(&routes).await - before;
    assert!(read <= f64::from(2 * WRITERS * EACH + 20), "{read} reads of the feed");
}

/// 36 MiB of documents, of which less than 32 stay in memory.
pub(super) async fn who_is_too_slow_for_memory_goes_on_from_the_storage(repository: Repository) {
    let routes = router(repository.clone(), Access::Anonymous);
    let place = feed::now(&*repository).await.to_string();
    let path = format!("/api/changes?since={place}&documents=true");
    let (mut fast, mut slow) = (Events::open(&routes, &path, &[]).await, Events::open(&routes, &path, &[]).await);
    let text = "x".repeat(1 << 20);
    let document = |number: u32| flow_with(number, &format!("{number}"), &format!(r#""x":"{text}""#));
    let writing = async {
        for number in 1..=36 {
            create_all(&*repository, [document(number)]).await;
        }
    };
    let is_right = |change: &Value, number: u32| {
        assert_eq!(change["flow"]["id"], json!(id(number)));
        assert!(change["flow"]["x"].as_str() == Some(&text), "{number}: its document is whole");
    };
    let reading = async {
        for number in 1..=36 {
            is_right(&fast.next().await.2, number);
        }
    };
    tokio::join!(writing, reading);
    let before = reads(&routes).await;
    for number in 1..=36 {
        is_right(&slow.next().await.2, number);
    }
    let read = reads(&routes).await - before;
    assert!((4.0..100.0).contains(&read), "{read} reads of the feed");
}

pub(super) async fn streams_go_on_when_the_storage_is_back(repository: Repository) {
    let cable = Cable::to(repository.clone());
    let routes = router(cable.clone() as Repository, Access::Anonymous);
    let place = feed::now(&*repository).await.to_string();
    let path = format!("/api/changes?since={place}&wait=20");
    let mut events = Events::open(&routes, &path, &[]).await;
    let mut socket = open(listening(routes.clone()).await).await;
    create_all(&*repository, [flow(1, "before")]).await;
    assert_eq!(events.next().await.2["name"], "before");
    assert_eq!(next(&mut socket).await["type"], "FlowCreated");

    cable.cut();
    create_all(&*repository, [flow(2, "meanwhile")]).await;
    let unread = Request::get(&path).header("accept", "text/event-stream").header("last-event-id", "1.1.1");
    let refused = routes.clone().oneshot(unread.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(refused.status(), 503, "a new one that has to ask the storage is told");
    while cable.refused() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cable.restore();
    create_all(&*repository, [flow(3, "after")]).await;
    for name in ["meanwhile", "after"] {
        assert_eq!(events.next().await.2["name"], name);
        assert_eq!(next(&mut socket).await["type"], "FlowCreated");
    }
}

pub(super) async fn streams_are_told_that_changes_are_gone(repository: Repository) {
    let cable = Cable::to(repository.clone());
    let routes = router(cable.clone() as Repository, Access::Anonymous);
    let place = feed::now(&*repository).await.to_string();
    let path = format!("/api/changes?since={place}&wait=30");
    let mut events = Events::open(&routes, &path, &[]).await;
    let socket = open(listening(routes.clone()).await).await;
    let waiting = tokio::spawn({
        let (routes, path) = (routes.clone(), path.clone());
        async move { get(&routes, &path).await }
    });
    while metric(&routes, r#"strom_http_streams{kind="poll"}"#).await < 1.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cable.forget();
    // Wakes who follows the feed.
    create_all(&*repository, [flow(1, "unknown")]).await;
    let remedy = "ask without `since` for a new place, list the flows, then go on from that place";
    assert_eq!(events.next_or_end().await, Some((String::new(), "gone".into(), json!(remedy))));
    assert_eq!(events.next_or_end().await, None);
    assert_eq!(closed(socket).await, 1013, "try again later");
    let (status, body) = waiting.await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["type"].as_str()), (410, Some("urn:strom:problem:gone")));
    assert!(body["detail"].as_str().unwrap().ends_with(remedy), "{body}");
}

pub(super) async fn streams_end_when_they_are_told_to(repository: Repository) {
    let streams = Streams::default();
    let routes = router_with(
        repository.clone(),
        Access::Anonymous,
        Settings { streams: streams.clone(), ..Settings::default() },
    );
    let place = feed::now(&*repository).await.to_string();
    let path = format!("/api/changes?since={place}&wait=30");
    let mut events = Events::open(&routes, &path, &[]).await;
    let socket = open(listening(routes.clone()).await).await;
    let begin = Instant::now();
    let ending = async {
        while metric(&routes, r#"strom_http_streams{kind="poll"}"#).await < 1.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        streams.end();
        streams.ended().await;
    };
    let ((status, page), end, code, ()) =
        tokio::join!(get(&routes, &path), events.next_or_end(), closed(socket), ending);
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!((status, page), (200, json!({ "changes": [], "next": place })));
    assert_eq!((end, code), (None, 1001));
    assert!(begin.elapsed() < Duration::from_secs(20), "nobody has waited for the 30 s");
    assert_eq!(Events::open(&routes, &path, &[]).await.next_or_end().await, None, "a new one ends at once");
    for kind in ["events", "socket", "poll"] {
        assert_eq!(metric(&routes, &format!(r#"strom_http_streams{{kind="{kind}"}}"#)).await, 0.0, "{kind}");
    }
}

pub(super) async fn streams_are_limited_and_counted(repository: Repository) {
    let routes = router(repository.clone(), Access::Anonymous);
    let place = feed::now(&*repository).await.to_string();
    let path = format!("/api/changes?since={place}");
    let mut all = Vec::new();
    for _ in 0..2_000 {
        all.push(Events::open(&routes, &path, &[]).await);
    }
    assert_eq!(metric(&routes, r#"strom_http_streams{kind="events"}"#).await, 2_000.0);
    for (one_more, status) in [(format!("{path}&wait=1"), 503), (path.clone(), 200)] {
        assert_eq!(get(&routes, &one_more).await.0, status, "{one_more}");
    }
    let client = Client::new(repository.clone());
    assert_eq!(client.send(&format!("GET {path}&wait=1"), &[], "").await.status, 200, "each router has its own");
    let request = Request::get(&path).header("accept", "text/event-stream").body(Body::empty()).unwrap();
    let refused = routes.clone().oneshot(request).await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    let body = axum::body::to_bytes(refused.into_body(), usize::MAX).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["type"], "urn:strom:problem:too-many-streams");

    all.truncate(1_000);
    while metric(&routes, r#"strom_http_streams{kind="events"}"#).await > 1_000.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    create_all(&*repository, [flow(1, "one")]).await;
    all.push(Events::open(&routes, &path, &[]).await);
    for events in &mut all {
        assert_eq!(events.next().await.2["name"], "one");
    }
}
