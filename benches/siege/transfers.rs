//! Imports and exports of all flows.

use std::time::Duration;

use futures::stream;
use reqwest::Body;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::document::document;
use crate::server::Server;

/// The number of flows in one piece of a body.
const PIECE: u64 = 100;

fn body(flows: u64) -> Body {
    let pieces = (0..flows.div_ceil(PIECE)).map(move |piece| {
        let numbers = piece * PIECE..flows.min((piece + 1) * PIECE);
        let lines = numbers.map(|number| document(number.into(), 2_000) + "\n");
        Ok::<_, std::io::Error>(lines.collect::<String>())
    });
    Body::wrap_stream(stream::iter(pieces))
}

async fn send(server: &Server, flows: u64) -> Value {
    let request = server.client.post(server.url("/api/flows/import?on_conflict=replace"));
    let request = request.header("content-type", "application/x-ndjson");
    let answer = request.body(body(flows)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

pub(crate) async fn import(server: &Server, flows: u64) -> String {
    let report = send(server, flows).await;
    assert_eq!(report["created"], flows);
    format!("{flows} created")
}

pub(crate) async fn import_again(server: &Server, flows: u64) -> String {
    let report = send(server, flows).await;
    assert_eq!(report["unchanged"], flows);
    format!("{flows} unchanged")
}

pub(crate) async fn export(server: &Server, flows: u64) -> String {
    let request = server.client.get(server.url("/api/flows/export")).header("accept", "application/x-ndjson");
    let mut answer = request.send().await.unwrap();
    let (mut lines, mut bytes) = (0, 0);
    while let Some(piece) = answer.chunk().await.unwrap() {
        lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        bytes += piece.len();
    }
    assert_eq!(lines, flows);
    format!("{lines} flows, {} MB", bytes >> 20)
}

/// Reads one piece per second, and then nothing. In the meantime, the server must serve other clients.
pub(crate) async fn slow_reader(server: &Server) -> String {
    let mut slow = server.get("/api/flows/export").await;
    let mut saved = 0;
    for _ in 0..5 {
        slow.chunk().await.unwrap().expect("a piece");
        let flow = format!(r#"{{"name":"saved {saved}"}}"#);
        let request = server.client.post(server.url("/api/flows")).header("content-type", "application/json");
        let answer = timeout(Duration::from_secs(2), request.body(flow).send()).await.expect("in time").unwrap();
        assert_eq!(answer.status(), 201);
        saved += 1;
        sleep(Duration::from_secs(1)).await;
    }
    // The server waits 30 s for a read, counted from the last byte that the kernels of both sides have taken.
    sleep(Duration::from_secs(45)).await;
    let mut pieces = 0;
    let end = loop {
        match slow.chunk().await {
            Ok(Some(_)) => pieces += 1,
            Ok(None) => break "ended like a complete body",
            Err(_) => break "aborted",
        }
    };
    assert_eq!(end, "aborted", "after {pieces} more pieces");
    format!("{saved} concurrent saves; {end} after 30 s without a read")
}
