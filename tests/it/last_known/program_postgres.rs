//! The real program while its database is away: it starts, serves what it knows, refuses the rest, and recovers.

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use strom::testkit::samples::id;
use tempfile::TempDir;

use crate::serve::Running;
use crate::support::json::until;
use crate::support::postgres::{Database, run};
use crate::support::proxy::Proxy;

/// The program, with a database that can be cut off and a data directory.
struct Place {
    proxy: Proxy,
    directory: TempDir,
}

impl Place {
    fn start(&self) -> Running {
        let (url, directory) = (self.proxy.url(), self.directory.path().to_str().unwrap());
        Running::start(&["--database-url", &url, "--data-dir", directory, "--port", "0"], &[])
    }
}

async fn get(server: &Running, path: &str) -> Response {
    reqwest::get(server.url(path)).await.unwrap()
}

async fn json_of(server: &Running, path: &str) -> Value {
    get(server, path).await.json().await.unwrap()
}

async fn post(server: &Running, flow: &Value) -> Response {
    let request = Client::new().post(server.url("/api/flows")).header(CONTENT_TYPE, "application/json");
    request.body(flow.to_string()).send().await.unwrap()
}

fn stale(answer: &Response) -> Option<u64> {
    answer.headers().get("strom-stale").map(|value| value.to_str().unwrap().parse().unwrap())
}

/// A write is refused within a tenth of a second, as the third of three at the latest: the machine may be busy.
async fn refuses_writes_soon(server: &Running) {
    let mut took = Vec::new();
    for _ in 0..3 {
        let begin = Instant::now();
        let refused = post(server, &json!({ "name": "lost" })).await;
        took.push(begin.elapsed());
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()[RETRY_AFTER], "2");
    }
    assert!(took.iter().any(|took| *took < Duration::from_millis(100)), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_without_its_database_serves_what_is_known() {
    let database = Database::migrated().await;
    let place = Place { proxy: Proxy::before(&database.url()).await, directory: tempfile::tempdir().unwrap() };
    let path = format!("/api/flows/{}", id(1));
    let flow = json!({ "id": id(1).to_string(), "name": "on air", "properties": { "auto_restart": true } });
    let mut server = place.start();
    assert_eq!(post(&server, &flow).await.status(), StatusCode::CREATED);
    until("the flow is in the copy", async || json_of(&server, "/ready").await["last_known"]["flows"] == 1).await;
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));

    place.proxy.cut();
    let mut server = place.start();
    let answer = get(&server, &path).await;
    assert!(stale(&answer).is_some_and(|age| age >= 1), "{:?}", answer.headers());
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["etag"], "\"1\"");
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "flow": flow }));
    assert_eq!(json_of(&server, "/api/flows").await, json!({ "flows": [flow] }));
    let unknown = get(&server, &format!("/api/flows/{}", id(2))).await;
    assert_eq!(unknown.status(), StatusCode::SERVICE_UNAVAILABLE);
    refuses_writes_soon(&server).await;
    let ready = get(&server, "/ready").await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready: Value = ready.json().await.unwrap();
    assert_eq!((&ready["reachable"], &ready["last_known"]["served"]), (&json!(false), &json!(true)));
    assert!(ready["since"].is_string() && ready["reason"].is_string(), "{ready}");

    let edit = format!("UPDATE flows SET data = data || '{{\"name\": \"edited\"}}' WHERE id = '{}'", id(1));
    run(&mut database.connect().await, &edit).await;
    place.proxy.restore();
    let begin = Instant::now();
    until("it answers for itself", async || stale(&get(&server, &path).await).is_none()).await;
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(10), "recovered after {took:?}");
    let answer = get(&server, &path).await;
    assert_eq!(answer.headers()["etag"], "\"2\"");
    assert_eq!(answer.json::<Value>().await.unwrap()["flow"]["name"], "edited");
    assert_eq!(post(&server, &json!({ "name": "again" })).await.status(), StatusCode::CREATED);
    until("the copy follows", async || json_of(&server, "/ready").await["last_known"]["flows"] == 2).await;
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_database_goes_serves_what_is_known_until_it_returns() {
    let database = Database::migrated().await;
    let place = Place { proxy: Proxy::before(&database.url()).await, directory: tempfile::tempdir().unwrap() };
    let server = place.start();
    for (number, name) in [(1, "a"), (2, "b")] {
        let created = post(&server, &json!({ "id": id(number).to_string(), "name": name })).await;
        assert_eq!(created.status(), StatusCode::CREATED);
    }
    until("the flows are in the copy", async || json_of(&server, "/ready").await["last_known"]["flows"] == 2).await;
    let fresh = get(&server, "/api/flows").await;
    assert_eq!(stale(&fresh), None);
    let fresh: Value = fresh.json().await.unwrap();
    for _ in 0..2 {
        place.proxy.cut();
        let known = get(&server, "/api/flows").await;
        assert_eq!((known.status(), stale(&known).is_some()), (StatusCode::OK, true));
        assert_eq!(known.json::<Value>().await.unwrap(), fresh);
        refuses_writes_soon(&server).await;
        place.proxy.restore();
        until("it answers for itself", async || stale(&get(&server, "/api/flows").await).is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_copy_starts_all_the_same() {
    let database = Database::migrated().await;
    let place = Place { proxy: Proxy::before(&database.url()).await, directory: tempfile::tempdir().unwrap() };
    place.proxy.cut();
    let server = place.start();
    assert_eq!(get(&server, "/api/flows").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    refuses_writes_soon(&server).await;
    place.proxy.restore();
    until("it answers", async || get(&server, "/api/flows").await.status() == StatusCode::OK).await;
}
