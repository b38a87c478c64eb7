//! The server program: ephemeral flows are never written to the storage and do not survive a restart.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method};
use rustix::process::Signal;
use serde_json::{Value, json};
use strom_store::internals::samples::id;

use crate::serve::Running;
use strom_test_support::json::File;
use strom_test_support::postgres::{Database, count};

/// A word that occurs only in the documents of ephemeral flows.
const TRACE: &str = "ephemeral-trace-5713";

async fn send(server: &Running, method: Method, path: &str, body: Value) -> u16 {
    let request = Client::new().request(method, server.url(path)).header(CONTENT_TYPE, "application/json");
    request.body(body.to_string()).send().await.unwrap().status().as_u16()
}

/// Creates a stored flow, a stored flow that becomes ephemeral, and an ephemeral flow.
async fn fill(server: &Running) {
    let flow = |number: u32, ephemeral: bool| {
        let description = if ephemeral { TRACE } else { "stored" };
        let properties = json!({ "ephemeral": ephemeral, "description": description });
        json!({ "id": id(number).to_string(), "name": format!("flow {number}"), "properties": properties })
    };
    for (number, ephemeral) in [(1, false), (2, false), (3, true)] {
        assert_eq!(send(server, Method::POST, "/api/flows", flow(number, ephemeral)).await, 201);
    }
    assert_eq!(send(server, Method::PUT, &format!("/api/flows/{}", id(2)), flow(2, true)).await, 200);
    for number in [2, 3] {
        let state = format!("/api/flows/{}/state", id(number));
        assert_eq!(send(server, Method::PUT, &state, json!({ "state": "Playing" })).await, 200);
    }
    assert_eq!(names(server).await, ["flow 1", "flow 2", "flow 3"]);
}

async fn names(server: &Running) -> Vec<String> {
    let list: Value = reqwest::get(server.url("/api/flows?view=summary")).await.unwrap().json().await.unwrap();
    list["flows"].as_array().unwrap().iter().map(|flow| flow["name"].as_str().unwrap().to_owned()).collect()
}

/// Fills a server, stops it with this signal and starts it again. Only the stored flow remains.
async fn assert_only_stored_flows_survive_a_restart(arguments: &[&str], signal: Signal) {
    let mut server = Running::start(arguments, &[]);
    fill(&server).await;
    server.signal(signal);
    server.wait();
    let server = Running::start(arguments, &[]);
    assert_eq!(names(&server).await, ["flow 1"], "{signal:?}");
    let restore = format!("/api/flows/{}/restore", id(2));
    assert_eq!(
        send(&server, Method::POST, &restore, json!({ "revision": 1 })).await,
        201,
        "the revision before the flow became ephemeral can be restored"
    );
}

#[tokio::test]
async fn ephemeral_flows_are_in_no_file_and_are_lost_on_restart() {
    for signal in [Signal::TERM, Signal::KILL] {
        let file = File::new();
        let directory = file.directory().to_str().unwrap().to_owned();
        assert_only_stored_flows_survive_a_restart(&["--data-dir", &directory, "--port", "0"], signal).await;
        let contents = file.contents();
        assert!(contents.keys().any(|name| name.ends_with(".journal")), "{:?}", contents.keys());
        for (name, bytes) in contents {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(TRACE), "{name} after {signal:?}: {text}");
        }
    }
}

#[tokio::test]
async fn ephemeral_flows_are_in_no_table_of_postgres_and_are_lost_on_restart() {
    let database = Database::migrated().await;
    let directory = tempfile::tempdir().unwrap();
    let (url, directory) = (database.url(), directory.path().to_str().unwrap().to_owned());
    assert_only_stored_flows_survive_a_restart(
        &["--database-url", &url, "--data-dir", &directory, "--port", "0"],
        Signal::TERM,
    )
    .await;
    let mut connection = database.connect().await;
    let documents =
        "SELECT COUNT(*) FROM (SELECT data FROM flows UNION ALL SELECT document FROM flow_changes) AS documents";
    assert!(count(&mut connection, documents).await >= 3, "the query finds the stored documents");
    let with_trace = format!("{documents} WHERE data::TEXT LIKE '%{TRACE}%'");
    assert_eq!(count(&mut connection, &with_trace).await, 0);
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        assert!(!String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(TRACE), "{}", path.display());
    }
}

#[tokio::test]
async fn a_read_only_server_on_postgres_rejects_ephemeral_flows() {
    let database = Database::migrated().await;
    let directory = tempfile::tempdir().unwrap();
    let (url, directory) = (database.url(), directory.path().to_str().unwrap().to_owned());
    let arguments = ["--database-url", &url, "--data-dir", &directory, "--port", "0", "--read-only"];
    let server = Running::start(&arguments, &[]);
    let flow = json!({ "name": "scratch", "properties": { "ephemeral": true } });
    assert_eq!(send(&server, Method::POST, "/api/flows", flow).await, 403);
    assert_eq!(names(&server).await, [""; 0]);
}
