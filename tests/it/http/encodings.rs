//! Compression both ways, and the names of requests.

use std::io::{Read, Write};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::json;
use strom::FlowRepository;
use strom::http::{Access, router};
use tower::ServiceExt;

use super::client::{Client, ID, problem};

type Repository = Arc<dyn FlowRepository>;

fn gzipped(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    pieces.for_each(|piece| encoder.write_all(&piece).unwrap());
    encoder.finish().unwrap()
}

fn post(encoding: &str, body: Vec<u8>) -> Request<Body> {
    let request = Request::post("/api/flows").header("content-type", "application/json");
    request.header("content-encoding", encoding).body(Body::from(body)).unwrap()
}

pub(super) async fn answers_are_compressed_for_those_who_ask(repository: Repository) {
    let client = Client::new(repository.clone());
    let document = format!(r#"{{"id":"{ID}","name":"one","x":"{}"}}"#, "x".repeat(1_000));
    client.send("POST /api/flows", &[], &document).await;
    let request = Request::get(format!("/api/flows/{ID}")).header("accept-encoding", "gzip");
    let routes = router(repository, Access::Anonymous);
    let answer = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.headers()["etag"], "\"1\"");
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    assert!(body.len() < 500);
    let mut text = String::new();
    GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    let flow: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), json!({ "flow": flow }));
}

/// Of answers that are sent in pieces, also when there are so few that the end comes with the beginning.
pub(super) async fn pieces_are_compressed_to_their_end(repository: Repository) {
    Client::new(repository.clone()).send("POST /api/flows", &[], &format!(r#"{{"id":"{ID}","name":"one"}}"#)).await;
    for (path, accept) in [
        ("/api/flows", "application/json"),
        ("/api/flows/export", "application/json"),
        ("/api/flows/export", "application/x-ndjson"),
        ("/api/changes?since=0", "application/json"),
    ] {
        let request = Request::get(path).header("accept", accept).header("accept-encoding", "gzip");
        let routes = router(repository.clone(), Access::Anonymous);
        let answer = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], "gzip");
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let mut text = String::new();
        GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        assert!(text.contains(ID) && text.trim_end().ends_with('}'), "{text}");
    }
}

pub(super) async fn bodies_may_be_compressed_and_are_limited_as_what_they_hold(repository: Repository) {
    let client = Client::new(repository);
    let document = format!(r#"{{"id":"{ID}","name":"one"}}"#);
    let answer = client.request(post("gzip", gzipped([document.into_bytes()].into_iter()))).await;
    assert_eq!(answer.status, 201, "{}", answer.body);

    // A gigabyte of blanks in a megabyte.
    let bomb = gzipped((0..1_024).map(|_| vec![b' '; 1 << 20]));
    assert!(bomb.len() < 8 << 20);
    let answer = client.request(post("gzip", bomb)).await;
    assert_eq!(answer.shown(), problem(413, "too-large", "too large", "the body has over 16777216 bytes"));
    let answer = client.request(post("gzip", b"{}".to_vec())).await;
    assert_eq!(answer.shown(), problem(400, "invalid-body", "the body is not JSON", "the body broke off"));
    let answer = client.request(post("br", b"{}".to_vec())).await;
    let detail = "send the body as it is, or with `Content-Encoding: gzip`";
    assert_eq!(answer.shown(), problem(415, "unsupported-media-type", "unsupported media type", detail));
}

pub(super) async fn requests_have_a_name(repository: Repository) {
    let client = Client::new(repository);
    let answer = client.send("GET /health", &[("x-request-id", "show-7")], "").await;
    assert_eq!(answer.headers["x-request-id"], "show-7");
    let fresh = client.send("GET /api/nothing", &[], "").await.headers["x-request-id"].clone();
    assert_eq!(fresh.to_str().unwrap().len(), 36);
    let long = "x".repeat(129);
    for unfit in ["", "a b", long.as_str()] {
        let named = client.send("GET /health", &[("x-request-id", unfit)], "").await.headers["x-request-id"].clone();
        assert_eq!(named.to_str().unwrap().len(), 36, "{unfit}");
    }
}
