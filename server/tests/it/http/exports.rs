//! `GET /api/flows/export`: a consistent snapshot of all flows.

use std::sync::Arc;
use strom_store::repository::FlowRepositoryExt as _;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use strom_server::clock;
use strom_server::http::{Access, router};
use strom_store::repository::{Author, Change, Stamp};
use strom_store::{Flow, FlowRepository};
use tower::ServiceExt;

use super::client::{Client, ID, OTHER_ID, problem};

type Repository = Arc<dyn FlowRepository>;

async fn client(repository: Repository) -> Client {
    let client = Client::new(repository);
    for (id, name) in [(OTHER_ID, "a"), (ID, "b")] {
        let document = json!({ "id": id, "name": name, "x": { "uri": format!("srt://:1?passphrase={name}") } });
        client.send("POST /api/flows", &[], &document.to_string()).await;
    }
    client
}

pub(super) async fn an_export_has_the_format_of_flows_json(repository: Repository) {
    let client = client(repository).await;
    let answer = client.send("GET /api/flows/export", &[], "").await;
    assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    assert_eq!(answer.headers["content-disposition"], "attachment; filename=\"flows.json\"");
    let listed = client.send("GET /api/flows", &[], "").await.json();
    assert_eq!(answer.json(), json!({ "version": 1, "flows": listed["flows"] }));

    let lines = client.send("GET /api/flows/export", &[("accept", "application/x-ndjson")], "").await;
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    assert!(lines.body.ends_with('\n'));
    let flows: Vec<Value> = lines.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(flows), listed["flows"]);
}

pub(super) async fn an_export_of_an_empty_store_contains_no_flows(repository: Repository) {
    let client = Client::new(repository);
    assert_eq!(client.send("GET /api/flows/export", &[], "").await.json(), json!({ "version": 1, "flows": [] }));
    let lines = client.send("GET /api/flows/export", &[("accept", "application/x-ndjson")], "").await;
    assert_eq!((lines.status, lines.body.as_str()), (200, ""));
}

pub(super) async fn an_export_applies_filters_and_redacts_secrets(repository: Repository) {
    let client = client(repository).await;
    let answer = client.send("GET /api/flows/export?name=B&secrets=redacted&_=1", &[], "").await;
    let flow = json!({ "id": ID, "name": "b", "x": { "uri": "srt://:1?passphrase=REDACTED" } });
    assert_eq!(answer.json(), json!({ "version": 1, "flows": [flow] }));
    let none = client.send("GET /api/flows/export?auto_restart=true", &[], "").await;
    assert_eq!(none.json(), json!({ "version": 1, "flows": [] }));
    let none = client.send("GET /api/flows/export?state=Playing", &[("accept", "application/x-ndjson")], "").await;
    assert_eq!(none.body, "");
    for (query, detail) in [
        ("limit=1", "`limit`: unknown parameter; did you mean `name`?"),
        ("secrets=x", "`secrets`: must be `kept` or `redacted`"),
        ("name=a&name=b", "`name`: the parameter occurs twice"),
    ] {
        let expected = problem(400, "invalid-parameter", "invalid query parameter", detail);
        assert_eq!(client.shown(&format!("GET /api/flows/export?{query}")).await, expected);
    }
}

/// At most two exports run at the same time. A third one returns 503 until a client disconnects.
pub(super) async fn exports_of_stalled_clients_are_limited(repository: Repository) {
    let stamp = || Stamp::new(clock::now(), Author::new("test"));
    let text = "x".repeat(20_000);
    let flows = (0..100).map(|i| format!(r#"{{"id":"{}","name":"{i}","x":"{text}"}}"#, clock::new_id()));
    let changes = flows.map(|flow| Change::create(Flow::parse(&flow).unwrap())).collect();
    repository.apply_all(changes, stamp()).await.unwrap();

    let routes = router(repository, Access::Anonymous);
    let export = || {
        let request = Request::get("/api/flows/export").body(Body::empty()).unwrap();
        let routes = routes.clone();
        async move { routes.oneshot(request).await.unwrap() }
    };
    let (first, second) = (export().await, export().await);
    let third = export().await;
    assert_eq!((third.status().as_u16(), &third.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    drop(first);
    let complete = loop {
        let answer = export().await;
        if answer.status() == 200 {
            break axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        }
        tokio::task::yield_now().await;
    };
    drop(second);
    let complete: Value = serde_json::from_slice(&complete).unwrap();
    assert_eq!(complete["flows"].as_array().unwrap().len(), 100);
}
