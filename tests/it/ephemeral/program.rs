//! The real program: what is ephemeral goes with it and was nowhere else.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method};
use rustix::process::Signal;
use serde_json::{Value, json};
use strom::testkit::samples::id;

use crate::serve::Running;
use crate::support::json::File;
use crate::support::postgres::{Database, count};

/// A word that only ephemeral documents have.
const TRACE: &str = "nobody-finds-this";

async fn send(server: &Running, method: Method, path: &str, body: Value) -> u16 {
    let request = Client::new().request(method, server.url(path)).header(CONTENT_TYPE, "application/json");
    request.body(body.to_string()).send().await.unwrap().status().as_u16()
}

/// A flow that was stored and one that is new, both ephemeral by now, beside one that is stored.
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

/// Starts the program twice, and tells what the second has.
async fn outlives(arguments: &[&str], signal: Signal) {
    let mut server = Running::start(arguments, &[]);
    fill(&server).await;
    server.signal(signal);
    server.wait();
    let server = Running::start(arguments, &[]);
    assert_eq!(names(&server).await, ["flow 1"], "{signal:?}");
    let back = format!("/api/flows/{}/restore", id(2));
    assert_eq!(send(&server, Method::POST, &back, json!({ "revision": 1 })).await, 201, "what was stored is kept");
}

#[tokio::test]
async fn ephemeral_flows_are_in_no_file_and_gone_after_a_restart() {
    for signal in [Signal::TERM, Signal::KILL] {
        let file = File::new();
        let directory = file.directory().to_str().unwrap().to_owned();
        outlives(&["--data-dir", &directory, "--port", "0"], signal).await;
        let contents = file.contents();
        assert!(contents.keys().any(|name| name.ends_with(".journal")), "{:?}", contents.keys());
        for (name, bytes) in contents {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(TRACE), "{name} after {signal:?}: {text}");
        }
    }
}

#[tokio::test]
async fn ephemeral_flows_are_in_no_table_of_postgres_and_gone_after_a_restart() {
    let database = Database::migrated().await;
    let directory = tempfile::tempdir().unwrap();
    let (url, directory) = (database.url(), directory.path().to_str().unwrap().to_owned());
    outlives(&["--database-url", &url, "--data-dir", &directory, "--port", "0"], Signal::TERM).await;
    let mut connection = database.connect().await;
    let documents =
        "SELECT COUNT(*) FROM (SELECT data FROM flows UNION ALL SELECT document FROM flow_changes) AS all_of_them";
    assert!(count(&mut connection, documents).await >= 3, "it looks at something");
    let with_trace = format!("{documents} WHERE data::TEXT LIKE '%{TRACE}%'");
    assert_eq!(count(&mut connection, &with_trace).await, 0);
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        assert!(!String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(TRACE), "{}", path.display());
    }
}

#[tokio::test]
async fn a_server_that_only_reads_postgres_takes_no_ephemeral_flows() {
    let database = Database::migrated().await;
    let directory = tempfile::tempdir().unwrap();
    let (url, directory) = (database.url(), directory.path().to_str().unwrap().to_owned());
    let arguments = ["--database-url", &url, "--data-dir", &directory, "--port", "0", "--read-only"];
    let server = Running::start(&arguments, &[]);
    let flow = json!({ "name": "scratch", "properties": { "ephemeral": true } });
    assert_eq!(send(&server, Method::POST, "/api/flows", flow).await, 403);
    assert_eq!(names(&server).await, [""; 0]);
}
