//! The change feed as pages and as server-sent events.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures::StreamExt;
use serde_json::{Value, json};
use strom_server::http::{Access, router};
use strom_store::FlowRepository;
use strom_store::internals::feed;
use strom_store::internals::samples::{create_all, flow_with, id};
use strom_test_support::eventually::eventually_some;
use tower::ServiceExt;

use super::HANGS;
use super::client::{Client, ID, OTHER_ID, problem};

type Repository = Arc<dyn FlowRepository>;

fn document(id: &str, name: &str) -> String {
    format!(r#"{{"id":"{id}","name":"{name}"}}"#)
}

/// Returns the members of a change that the tests compare.
fn short(change: &Value) -> Value {
    json!([change["op"], change["flow_id"], change["name"], change["revision"], change["author"]])
}

/// Polls until `count` changes follow this cursor. Other transactions on the server may delay them.
async fn changes(client: &Client, since: &str, further: &str, count: usize) -> (Vec<Value>, String) {
    let (mut found, mut next) = (Vec::new(), since.to_owned());
    while found.len() < count {
        let page = client.send(&format!("GET /api/changes?since={next}&wait=20{further}"), &[], "").await.json();
        found.extend(page["changes"].as_array().unwrap().iter().cloned());
        next = page["next"].as_str().unwrap().to_owned();
    }
    (found, next)
}

pub(super) async fn pages_of_changes_have_no_gaps_or_duplicates(repository: Repository) {
    let client = Client::new(repository);
    client.send("POST /api/flows", &[], &document(ID, "one")).await;
    client.send(&format!("PUT /api/flows/{ID}/state"), &[], r#"{"state":"Playing"}"#).await;
    client.send(&format!("PUT /api/flows/{ID}"), &[], &document(ID, "two")).await;
    client.send(&format!("DELETE /api/flows/{ID}"), &[], "").await;

    let (all, end) = changes(&client, "0", "&limit=2", 3).await;
    let all: Vec<_> = all.iter().filter(|change| change["op"] != "state").map(short).collect();
    let expected = [
        json!(["create", ID, "one", 1, "anonymous"]),
        json!(["update", ID, "two", 2, "anonymous"]),
        json!(["delete", ID, "two", 3, "anonymous"]),
    ];
    // The page may end before the last change if the feed still contains a report.
    assert_eq!(all, expected[..all.len()]);
    let (rest, end) = if all.len() == 3 { (Vec::new(), end) } else { changes(&client, &end, "", 1).await };
    assert_eq!(all.len() + rest.len(), 3);

    client.send("POST /api/flows", &[], &document(OTHER_ID, "x")).await;
    let (one, _) = changes(&client, &end, "&documents=true", 1).await;
    let flow: Value = serde_json::from_str(&document(OTHER_ID, "x")).unwrap();
    assert_eq!((one.len(), &one[0]["flow"]), (1, &flow));
}

pub(super) async fn a_waiting_client_receives_a_change_or_an_empty_page(repository: Repository) {
    let client = Client::new(repository.clone());
    let now = feed::now(&*repository).await;
    let now = now.to_string();
    let waiting = changes(&client, &now, "", 1);
    let create = client.send("POST /api/flows", &[], r#"{"name":"one"}"#);
    let ((found, next), _) = futures::join!(waiting, create);
    assert_eq!((found.len(), &found[0]["op"]), (1, &json!("create")));
    let nothing = client.send(&format!("GET /api/changes?since={next}&wait=0"), &[], "").await.json();
    assert_eq!(nothing["changes"], json!([]));
}

pub(super) async fn invalid_cursors_are_rejected(repository: Repository) {
    let client = Client::new(repository);
    let parameter = |detail: &str| problem(400, "invalid-parameter", "invalid query parameter", detail);
    for (query, detail) in [
        ("since=x", "`since`: not a cursor of the change feed; start with `0` or without a cursor"),
        ("wait=61", "`wait`: must be a number from 0 to 60"),
        ("limit=0", "`limit`: must be a number from 1 to 1000"),
        ("documents=1", "`documents`: must be `true` or `false`"),
        ("sinc=0", "`sinc`: unknown parameter; did you mean `since`?"),
    ] {
        assert_eq!(client.shown(&format!("GET /api/changes?{query}")).await, parameter(detail));
    }
    for accept in ["application/json", "text/event-stream"] {
        for cursor in ["7.7.7", "0.0.0", "0.0.1", "0.9.9", "9223372036854775807.0.0"] {
            let line = format!("GET /api/changes?since={cursor}");
            let foreign = client.send(&line, &[("accept", accept)], "").await;
            let expected = (410, &json!("urn:strom:problem:gone"));
            assert_eq!((foreign.status, &foreign.json()["type"]), expected, "{accept} {cursor}");
        }
    }
}

/// An open stream of server-sent events, and the received text that is not parsed yet.
pub(super) struct Events(futures::stream::BoxStream<'static, String>, String);

impl Events {
    /// Opens a stream. Requests it again while all connections of the pool are in use.
    pub(super) async fn open(routes: &Router, path: &str, headers: &[(&str, &str)]) -> Self {
        let answer = eventually_some("the server opens the stream", async || {
            let mut request = Request::get(path).header("accept", "text/event-stream");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            (answer.status() != 503).then_some(answer)
        })
        .await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        assert_eq!(answer.headers().get("content-encoding"), None, "compression would delay events");
        let pieces = answer.into_body().into_data_stream();
        Self(pieces.map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap()).boxed(), String::new())
    }

    /// Returns the id, name and data of the next change.
    pub(super) async fn next(&mut self) -> (String, String, Value) {
        self.next_or_end().await.expect("the stream stays open")
    }

    /// Reads one chunk of the stream. Returns `None` at the end of the stream.
    pub(super) async fn read_chunk(&mut self) -> Option<()> {
        let piece = tokio::time::timeout(HANGS, self.0.next()).await.expect("the stream sends a chunk");
        self.1.push_str(&piece?);
        Some(())
    }

    /// Returns the next change, or `None` at the end of the stream. The last event may contain the reason for the end.
    pub(super) async fn next_or_end(&mut self) -> Option<(String, String, Value)> {
        loop {
            let mut searched = 0;
            while !self.1[searched..].contains("\n\n") {
                searched = self.1.len().saturating_sub(1);
                self.read_chunk().await?;
            }
            let (event, rest) = self.1.split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            self.1 = rest;
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            match (field("id: "), field("event: "), field("data: ")) {
                (Some(id), Some(op), Some(data)) => return Some((id, op, serde_json::from_str(&data).unwrap())),
                (None, Some(op), Some(data)) if op == "gone" => return Some((String::new(), op, data.into())),
                _ => {}
            }
        }
    }
}

pub(super) async fn event_streams_resume_after_the_last_event(repository: Repository) {
    let client = Client::new(repository.clone());
    let routes = router(repository.clone(), Access::Anonymous);
    let now = feed::now(&*repository).await;
    let path = format!("/api/changes?since={now}");
    // An `EventSource` sends a blank id before its first event.
    let unreadable = [("accept", "text/event-stream"), ("last-event-id", "\u{e9}")];
    let answer = Client::new(repository.clone()).send(&format!("GET {path}"), &unreadable, "").await;
    assert_eq!((answer.status, &answer.json()["type"]), (400, &json!("urn:strom:problem:invalid-header")));
    let headers = [("last-event-id", " "), ("accept-encoding", "gzip")];
    let mut events = Events::open(&routes, &path, &headers).await;
    client.send("POST /api/flows", &[], &document(ID, "one")).await;
    let (id, op, change) = events.next().await;
    assert_eq!((op.as_str(), short(&change)), ("create", json!(["create", ID, "one", 1, "anonymous"])));
    assert_eq!(change["cursor"], id);
    client.send(&format!("PUT /api/flows/{ID}"), &[], &document(ID, "two")).await;
    let (_, op, _) = events.next().await;
    assert_eq!(op, "update");
    drop(events);

    client.send(&format!("DELETE /api/flows/{ID}"), &[], "").await;
    let mut events = Events::open(&routes, &format!("{path}&documents=true"), &[("last-event-id", &id)]).await;
    let (_, op, change) = events.next().await;
    assert_eq!(
        (op.as_str(), &change["flow"]["name"]),
        ("update", &json!("two")),
        "the stream starts after the last event"
    );
    assert_eq!(events.next().await.1, "delete");
}

/// The changes contain five flows of 1 MiB, one that is larger than a page (8 MiB), and one more.
pub(super) async fn pages_with_documents_are_bounded_and_complete(repository: Repository) {
    let client = Client::new(repository.clone());
    let begin = feed::now(&*repository).await;
    let text = |mib: usize| format!(r#""x":"{}""#, "x".repeat(mib << 20));
    for (number, mib) in (1..=7).map(|number| (number, if number == 6 { 8 } else { 1 })) {
        create_all(&*repository, [flow_with(number, "a", &text(mib))]).await;
    }
    // On a slow machine a read may take longer than a request waits, so the client retries.
    let get = async |path: String| loop {
        let answer = client.send(&format!("GET {path}"), &[], "").await;
        if answer.status != 503 {
            return answer;
        }
    };
    let (mut since, mut found, mut pages) = (begin.to_string(), Vec::new(), Vec::new());
    while found.len() < 7 {
        let answer = get(format!("/api/changes?since={since}&documents=true&limit=1000&wait=20")).await;
        let page = answer.json();
        let changes = page["changes"].as_array().unwrap();
        assert!(!changes.is_empty() && (changes.len() == 1 || answer.body.len() < 9 << 20), "{}", answer.body.len());
        found.extend(changes.iter().map(|change| change["flow"]["id"].as_str().unwrap().to_owned()));
        pages.push(changes.len());
        since = page["next"].as_str().unwrap().to_owned();
    }
    assert_eq!(found, (1..=7).map(|number| id(number).to_string()).collect::<Vec<_>>());
    assert!(pages.len() >= 3, "{pages:?}");
    let summaries = get(format!("/api/changes?since={begin}&limit=1000")).await.json();
    assert_eq!(summaries["changes"].as_array().unwrap().len(), 7);
}
