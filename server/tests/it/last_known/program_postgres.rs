//! The server program while its database is unreachable: it starts, serves reads from the copy, rejects writes, and recovers.

use std::path::Path;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use strom_store::internals::samples::id;
use tempfile::TempDir;

use crate::serve::Running;
use strom_test_support::eventually::eventually;
use strom_test_support::postgres::{Database, run};
use strom_test_support::proxy::Proxy;

/// A data directory, and a database that the test can make unreachable.
struct Environment {
    proxy: Proxy,
    directory: TempDir,
}

impl Environment {
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

/// Returns the age in seconds that the response reports.
fn reported_age(answer: &Response) -> Option<u64> {
    answer.headers().get("strom-stale").map(|value| value.to_str().unwrap().parse().unwrap())
}

/// The server rejects writes immediately while the database is unreachable.
async fn assert_writes_are_rejected(server: &Running) {
    for _ in 0..3 {
        let refused = post(server, &json!({ "name": "lost" })).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()[RETRY_AFTER], "2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_without_its_database_serves_the_stored_copy() {
    let database = Database::migrated().await;
    let environment =
        Environment { proxy: Proxy::before(&database.url()).await, directory: tempfile::tempdir().unwrap() };
    let path = format!("/api/flows/{}", id(1));
    let flow = json!({ "id": id(1).to_string(), "name": "on air", "properties": { "auto_restart": true } });
    let mut server = environment.start();
    assert_eq!(post(&server, &flow).await.status(), StatusCode::CREATED);
    eventually("the flow is in the copy", async || json_of(&server, "/ready").await["last_known"]["flows"] == 1).await;
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));

    environment.proxy.cut();
    let mut server = environment.start();
    let answer = get(&server, &path).await;
    assert!(reported_age(&answer).is_some_and(|age| age >= 1), "{:?}", answer.headers());
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["etag"], "\"1\"");
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "flow": flow }));
    assert_eq!(json_of(&server, "/api/flows").await, json!({ "flows": [flow] }));
    let unknown = get(&server, &format!("/api/flows/{}", id(2))).await;
    assert_eq!(unknown.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_writes_are_rejected(&server).await;
    let ready = get(&server, "/ready").await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready: Value = ready.json().await.unwrap();
    assert_eq!((&ready["reachable"], &ready["last_known"]["served"]), (&json!(false), &json!(true)));
    assert!(ready["since"].is_string() && ready["reason"].is_string(), "{ready}");

    let edit = format!("UPDATE flows SET data = data || '{{\"name\": \"edited\"}}' WHERE id = '{}'", id(1));
    run(&mut database.connect().await, &edit).await;
    environment.proxy.restore();
    eventually("the server reads from the database again", async || reported_age(&get(&server, &path).await).is_none())
        .await;
    let answer = get(&server, &path).await;
    assert_eq!(answer.headers()["etag"], "\"2\"");
    assert_eq!(answer.json::<Value>().await.unwrap()["flow"]["name"], "edited");
    assert_eq!(post(&server, &json!({ "name": "again" })).await.status(), StatusCode::CREATED);
    eventually("the copy contains the new flow", async || json_of(&server, "/ready").await["last_known"]["flows"] == 2)
        .await;
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_served_from_the_copy_during_an_outage() {
    let database = Database::migrated().await;
    let environment =
        Environment { proxy: Proxy::before(&database.url()).await, directory: tempfile::tempdir().unwrap() };
    let server = environment.start();
    for (number, name) in [(1, "a"), (2, "b")] {
        let created = post(&server, &json!({ "id": id(number).to_string(), "name": name })).await;
        assert_eq!(created.status(), StatusCode::CREATED);
    }
    eventually("the flows are in the copy", async || json_of(&server, "/ready").await["last_known"]["flows"] == 2)
        .await;
    let fresh = get(&server, "/api/flows").await;
    assert_eq!(reported_age(&fresh), None);
    let fresh: Value = fresh.json().await.unwrap();
    for _ in 0..2 {
        environment.proxy.cut();
        let known = get(&server, "/api/flows").await;
        assert_eq!((known.status(), reported_age(&known).is_some()), (StatusCode::OK, true));
        assert_eq!(known.json::<Value>().await.unwrap(), fresh);
        assert_writes_are_rejected(&server).await;
        environment.proxy.restore();
        eventually("the server reads from the database again", async || {
            reported_age(&get(&server, "/api/flows").await).is_none()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_copy_starts_and_returns_503() {
    let database = Database::migrated().await;
    let environment =
        Environment { proxy: Proxy::before(&database.url()).await, directory: tempfile::tempdir().unwrap() };
    environment.proxy.cut();
    let server = environment.start();
    assert_eq!(get(&server, "/api/flows").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_writes_are_rejected(&server).await;
    environment.proxy.restore();
    eventually("the server reads from the database", async || {
        get(&server, "/api/flows").await.status() == StatusCode::OK
    })
    .await;
}

/// The outage begins immediately after each response. Then the server is killed, and starts during the outage.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_survive_an_outage_and_a_kill() {
    let database = Database::migrated().await;
    let environment =
        Environment { proxy: Proxy::before(&database.url()).await, directory: tempfile::tempdir().unwrap() };
    let mut server = environment.start();
    eventually("the copy is complete", async || json_of(&server, "/ready").await["last_known"]["complete"] == true)
        .await;
    let path = |number: u32| format!("/api/flows/{}", id(number));
    for round in 1..=5 {
        let flow = json!({ "id": id(round).to_string(), "name": "on air" });
        assert_eq!(post(&server, &flow).await.status(), StatusCode::CREATED, "round {round}");
        let edited = json!({ "id": id(1).to_string(), "name": format!("edit {round}") });
        let saved = Client::new().put(server.url(&path(1))).header(CONTENT_TYPE, "application/json");
        let saved = saved.body(edited.to_string()).send().await.unwrap();
        assert_eq!(saved.status(), StatusCode::OK, "round {round}");
        let etag = saved.headers()["etag"].clone();
        if round == 3 {
            let deleted = Client::new().delete(server.url(&path(2))).send().await.unwrap();
            assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
        }
        environment.proxy.cut();
        let answer = get(&server, &path(1)).await;
        assert_eq!((answer.status(), &answer.headers()["etag"]), (StatusCode::OK, &etag), "round {round}");
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "flow": edited }));
        if round > 1 {
            assert_eq!(get(&server, &path(2)).await.status() == StatusCode::OK, round < 3, "round {round}");
            assert_eq!(get(&server, &path(round)).await.status(), StatusCode::OK, "round {round}");
        }
        if round < 5 {
            environment.proxy.restore();
            eventually("the server reads from the database again", async || {
                reported_age(&get(&server, &path(1)).await).is_none()
            })
            .await;
        }
    }
    eventually("the last edit is saved", async || is_saved(environment.directory.path(), "edit 5")).await;
    server.signal(Signal::KILL);
    server.wait();
    let server = environment.start();
    let answer = get(&server, &path(1)).await;
    assert!(reported_age(&answer).is_some());
    assert_eq!(answer.json::<Value>().await.unwrap()["flow"]["name"], "edit 5");
    assert_ne!(get(&server, &path(2)).await.status(), StatusCode::OK, "the flow was deleted");
    assert_eq!(json_of(&server, "/api/flows").await["flows"].as_array().unwrap().len(), 4);
}

/// Returns whether the file of the copy contains this text.
fn is_saved(directory: &Path, text: &str) -> bool {
    let mut paths = directory.read_dir().unwrap().map(|entry| entry.unwrap().path());
    paths.any(|path| path.extension().is_some_and(|ending| ending == "jsonl") && contains(&path, text))
}

fn contains(path: &Path, text: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|content| content.contains(text))
}
