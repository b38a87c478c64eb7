//! `GET /metrics`: the metrics of requests and of calls to the storage.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::Request;
use futures::StreamExt;
use strom_server::http::{Access, ApiKey};
use strom_server::metrics::Metrics;
use strom_store::FlowRepository;
use strom_store::internals::samples::{create_all, flow};

use super::client::{Client, ID, OTHER_ID};
use strom_test_support::eventually::eventually;
use strom_test_support::exposition::Exposition;

type Repository = Arc<dyn FlowRepository>;

async fn metrics(client: &Client) -> Exposition {
    let answer = client.send("GET /metrics", &[], "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(answer.headers["cache-control"], "no-store");
    Exposition::parse(&answer.body)
}

pub(super) async fn requests_and_calls_are_counted(repository: Repository) {
    let client = Client::new(repository.clone());
    let begin = Instant::now();
    let before = metrics(&client).await;
    assert_eq!(before.get(r#"strom_repository_operations_total{operation="get",outcome="ok"}"#), Some(0.0));
    let body = format!(r#"{{"id":"{ID}","name":"a"}}"#);
    for (line, body, status) in [
        ("POST /api/flows", body.as_str(), 201),
        ("POST /api/flows", &body, 409),
        (&format!("GET /api/flows/{ID}"), "", 200),
        (&format!("GET /api/flows/{OTHER_ID}"), "", 404),
        (&format!("HEAD /api/flows/{ID}"), "", 200),
        (&format!("BREW /api/flows/{ID}"), "", 405),
        ("GET /health", "", 200),
    ] {
        assert_eq!(client.send(line, &[], body).await.status, status, "{line}");
    }
    let after = metrics(&client).await;
    for (sample, count) in [
        (r#"strom_http_requests_total{method="POST",route="/api/flows",status="201"}"#, 1.0),
        (r#"strom_http_requests_total{method="POST",route="/api/flows",status="409"}"#, 1.0),
        (r#"strom_http_requests_total{method="GET",route="/api/flows/{id}",status="200"}"#, 1.0),
        (r#"strom_http_requests_total{method="GET",route="/api/flows/{id}",status="404"}"#, 1.0),
        (r#"strom_http_requests_total{method="HEAD",route="/api/flows/{id}",status="200"}"#, 1.0),
        (r#"strom_http_requests_total{method="other",route="/api/flows/{id}",status="405"}"#, 1.0),
        (r#"strom_http_requests_total{method="GET",route="/health",status="200"}"#, 1.0),
        (r#"strom_http_requests_total{method="GET",route="/metrics",status="200"}"#, 1.0),
        (r#"strom_http_request_duration_seconds_count{method="POST",route="/api/flows"}"#, 2.0),
        (r#"strom_repository_operations_total{operation="apply",outcome="ok"}"#, 1.0),
        (r#"strom_repository_operations_total{operation="apply",outcome="conflict"}"#, 1.0),
        (r#"strom_repository_operations_total{operation="get",outcome="ok"}"#, 3.0),
        (r#"strom_repository_operation_duration_seconds_count{operation="apply"}"#, 2.0),
        // `GET /metrics` calls `health` without the counter.
        (r#"strom_repository_operations_total{operation="health",outcome="ok"}"#, 0.0),
        // This request reads the metrics.
        ("strom_http_requests_in_flight", 1.0),
    ] {
        assert_eq!(after.get(sample), Some(count), "{sample} in {:#?}", after.samples);
    }
    eventually("the storage returns its measurements within a second", async || {
        let shown = metrics(&client).await;
        shown.get("strom_storage_ready") == Some(1.0) && shown.get("strom_feed_lag_seconds").is_some()
    })
    .await;
    // The sum is in seconds, so it is at most the elapsed time.
    let took = after.get(r#"strom_repository_operation_duration_seconds_sum{operation="apply"}"#).unwrap();
    assert!(took > 0.0 && took <= begin.elapsed().as_secs_f64(), "{took}");

    let other = metrics(&Client::new(repository)).await;
    assert_eq!(other.samples.keys().filter(|sample| sample.starts_with("strom_http_requests_total")).count(), 0);
    assert_eq!(other.get(r#"strom_repository_operations_total{operation="apply",outcome="ok"}"#), Some(0.0));
}

pub(super) async fn unknown_paths_and_methods_share_a_label(repository: Repository) {
    let client = Client::new(repository);
    client.send("GET /api/flows", &[], "").await;
    metrics(&client).await;
    // These samples are missing if the storage does not return its measurements within a second.
    let is_of_storage = |name: &String| name.starts_with("strom_storage_") || name.starts_with("strom_feed_");
    let counted = |shown: &Exposition| shown.samples.keys().filter(|name| !is_of_storage(name)).count();
    let samples = counted(&metrics(&client).await);
    for number in 0..20 {
        for line in [format!("GET /api/{number}"), format!("GET /{number}/secret"), format!("M{number} /{number}")] {
            client.send(&line, &[], "").await;
        }
    }
    let after = metrics(&client).await;
    for (sample, count) in [
        (r#"strom_http_requests_total{method="GET",route="unknown",status="404"}"#, 40.0),
        (r#"strom_http_requests_total{method="other",route="unknown",status="404"}"#, 20.0),
    ] {
        assert_eq!(after.get(sample), Some(count), "{sample} in {:#?}", after.samples);
    }
    // Two labels of the counter, and two histograms with twelve buckets, infinity, sum and count.
    assert_eq!(counted(&after), samples + 2 * (1 + 12 + 3));
}

pub(super) async fn metrics_need_no_key_and_contain_no_flows(repository: Repository) {
    let client = Client::with(repository.clone(), Access::Key(ApiKey::new("hunter2")));
    let key = [("x-api-key", "hunter2")];
    let body = format!(r#"{{"id":"{ID}","name":"confidential studio"}}"#);
    assert_eq!(client.send("POST /api/flows", &key, &body).await.status, 201);
    assert_eq!(client.send(&format!("GET /api/flows/{ID}"), &[], "").await.status, 401);
    let shown = client.send("GET /metrics", &[], "").await;
    assert_eq!(shown.status, 200);
    let location = repository.health().await.location;
    for secret in ["confidential", &ID[..8], "hunter2", "api_key", &location] {
        assert!(!shown.body.contains(secret), "`{secret}` is in {}", shown.body);
    }
    let refused = r#"strom_http_requests_total{method="GET",route="/api/flows/{id}",status="401"}"#;
    assert_eq!(Exposition::parse(&shown.body).get(refused), Some(1.0));
}

pub(super) async fn streams_are_counted_when_they_end(repository: Repository) {
    create_all(&*repository, (0..100).map(|number| flow(number, "a"))).await;
    let metrics = Metrics::of(repository.clone());
    let observed = metrics.observed();
    let outcomes = async || {
        let shown = Exposition::parse(&metrics.text(0).await);
        ["ok", "unavailable", "abandoned"].map(|outcome| {
            let sample = format!(r#"strom_repository_operations_total{{operation="snapshot",outcome="{outcome}"}}"#);
            shown.get(&sample).unwrap()
        })
    };
    let mut running = observed.snapshot();
    running.next().await.unwrap().unwrap();
    assert_eq!(outcomes().await, [0.0, 0.0, 0.0], "a running stream is not counted");
    assert_eq!(observed.snapshot().count().await, 100);
    assert_eq!(outcomes().await, [1.0, 0.0, 0.0]);
    drop(running);
    assert_eq!(outcomes().await, [1.0, 0.0, 1.0]);
    repository.close().await.unwrap();
    assert!(observed.snapshot().next().await.unwrap().is_err());
    assert_eq!(outcomes().await, [1.0, 1.0, 1.0]);
}

/// A request whose client disconnects before the response is counted as `abandoned`.
pub(super) async fn abandoned_requests_are_counted(repository: Repository) {
    let client = Client::new(repository);
    let (sender, body) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    let request = Request::post("/api/flows").header("content-type", "application/json");
    let request = request.body(Body::from_stream(body)).unwrap();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.request(request).await }
    });
    eventually("the request waits for its body", async || {
        metrics(&client).await.get("strom_http_requests_in_flight") == Some(2.0)
    })
    .await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled(), "the request waited until its client disconnected");
    drop(sender);
    let after = metrics(&client).await;
    let abandoned = r#"strom_http_requests_total{method="POST",route="/api/flows",status="abandoned"}"#;
    assert_eq!(after.get(abandoned), Some(1.0));
    assert_eq!(after.get("strom_http_requests_in_flight"), Some(1.0), "only the request that reads the metrics");
}
