//! Compression of requests and responses, and request ids.

use std::io::{Read, Write};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::json;
use strom_server::http::{Access, router};
use strom_store::FlowRepository;
use tower::ServiceExt;

use super::client::{Client, ID, problem};
use strom_test_support::eventually::eventually_some;

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

pub(super) async fn responses_are_compressed_on_request(repository: Repository) {
    let client = Client::new(repository.clone());
    let document = format!(r#"{{"id":"{ID}","name":"one","x":"{}"}}"#, "x".repeat(1_000));
    client.send("POST /api/flows", &[], &document).await;
    let request = Request::get(format!("/api/flows/{ID}")).header("accept-encoding", "gzip");
    let routes = router(repository, Access::Anonymous);
    let answer = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.headers()["etag"], "W/\"1\"", "the bytes differ from the uncompressed ones");
    assert_eq!(answer.headers()["vary"], "accept-encoding");
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    assert!(body.len() < 500);
    let mut text = String::new();
    GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    let flow: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), json!({ "flow": flow }));

    let path = format!("GET /api/flows/{ID}");
    for (accepted, etag) in [("gzip", "W/\"1\""), ("identity", "\"1\"")] {
        let answer = client.send(&path, &[("accept-encoding", accepted), ("if-none-match", etag)], "").await;
        assert_eq!((answer.status, answer.headers["etag"].to_str().unwrap()), (304, etag));
        assert_eq!(answer.headers["vary"], "accept-encoding");
    }
    let edited = document.replace("one", "two");
    let put = client.send(&format!("PUT /api/flows/{ID}"), &[("if-match", "W/\"1\"")], &edited).await;
    assert_eq!(put.status, 200);
}

pub(super) async fn excluding_every_encoding_does_not_fail_a_request(repository: Repository) {
    let client = Client::new(repository);
    let document = format!(r#"{{"id":"{ID}","name":"one"}}"#);
    for excluded in ["identity;q=0", "*;q=0", "gzip;q=0, identity;q=0", "br, *;q=0"] {
        let headers = [("accept-encoding", excluded)];
        assert_eq!(client.send("POST /api/flows", &headers, &document).await.status, 201, "{excluded}");
        assert_eq!(client.send(&format!("GET /api/flows/{ID}"), &headers, "").await.status, 200, "{excluded}");
        assert_eq!(client.send(&format!("DELETE /api/flows/{ID}"), &headers, "").await.status, 204, "{excluded}");
    }
}

/// Streamed responses must be complete, including short ones that consist of one chunk.
pub(super) async fn streamed_bodies_are_compressed_completely(repository: Repository) {
    Client::new(repository.clone()).send("POST /api/flows", &[], &format!(r#"{{"id":"{ID}","name":"one"}}"#)).await;
    for (path, accept) in [
        ("/api/flows", "application/json"),
        ("/api/flows/export", "application/json"),
        ("/api/flows/export", "application/x-ndjson"),
        ("/api/changes?since=0", "application/json"),
    ] {
        let read = async || {
            let request = Request::get(path).header("accept", accept).header("accept-encoding", "gzip");
            let routes = router(repository.clone(), Access::Anonymous);
            let answer = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.headers()["content-encoding"], "gzip");
            let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            let mut text = String::new();
            GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
            text.contains(ID).then_some(text)
        };
        // A transaction of another test may delay the change in the feed.
        let text = eventually_some("the flow is in the response", read).await;
        assert!(text.trim_end().ends_with('}'), "{text}");
    }
}

pub(super) async fn compressed_bodies_are_limited_by_their_decoded_size(repository: Repository) {
    let client = Client::new(repository);
    let document = format!(r#"{{"id":"{ID}","name":"one"}}"#);
    let answer = client.request(post("gzip", gzipped([document.into_bytes()].into_iter()))).await;
    assert_eq!(answer.status, 201, "{}", answer.body);

    // 1 GiB of spaces, compressed to about 1 MiB.
    let bomb = gzipped((0..1_024).map(|_| vec![b' '; 1 << 20]));
    assert!(bomb.len() < 8 << 20);
    let answer = client.request(post("gzip", bomb)).await;
    assert_eq!(answer.shown(), problem(413, "too-large", "too large", "the body has over 16777216 bytes"));
    let answer = client.request(post("gzip", b"{}".to_vec())).await;
    assert_eq!(answer.shown(), problem(400, "invalid-body", "invalid body", "the body ended early"));
    let answer = client.request(post("br", b"{}".to_vec())).await;
    let detail = "send the body uncompressed or with `Content-Encoding: gzip`";
    assert_eq!(answer.shown(), problem(415, "unsupported-media-type", "unsupported media type", detail));
}

pub(super) async fn every_response_has_a_request_id(repository: Repository) {
    let client = Client::new(repository);
    let answer = client.send("GET /health", &[("x-request-id", "show-7")], "").await;
    assert_eq!(answer.headers["x-request-id"], "show-7");
    let fresh = client.send("GET /api/nothing", &[], "").await.headers["x-request-id"].clone();
    assert_eq!(fresh.to_str().unwrap().len(), 36);
    let long = "x".repeat(129);
    for invalid in ["", "a b", long.as_str()] {
        let assigned =
            client.send("GET /health", &[("x-request-id", invalid)], "").await.headers["x-request-id"].clone();
        assert_eq!(assigned.to_str().unwrap().len(), 36, "{invalid}");
    }
}
