//! Exports: all flows as of one moment.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use strom::http::{Access, router};
use strom::repository::{Author, Change, Stamp};
use strom::{Flow, FlowRepository, clock};
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

pub(super) async fn an_export_is_the_file_of_a_json_store(repository: Repository) {
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

pub(super) async fn an_export_of_nothing_is_an_empty_file(repository: Repository) {
    let client = Client::new(repository);
    assert_eq!(client.send("GET /api/flows/export", &[], "").await.json(), json!({ "version": 1, "flows": [] }));
    let lines = client.send("GET /api/flows/export", &[("accept", "application/x-ndjson")], "").await;
    assert_eq!((lines.status, lines.body.as_str()), (200, ""));
}

pub(super) async fn an_export_takes_filters_and_hides_secrets(repository: Repository) {
    let client = client(repository).await;
    let answer = client.send("GET /api/flows/export?name=B&secrets=redacted&_=1", &[], "").await;
    let flow = json!({ "id": ID, "name": "b", "x": { "uri": "srt://:1?passphrase=REDACTED" } });
    assert_eq!(answer.json(), json!({ "version": 1, "flows": [flow] }));
    let none = client.send("GET /api/flows/export?auto_restart=true", &[], "").await;
    assert_eq!(none.json(), json!({ "version": 1, "flows": [] }));
    let none = client.send("GET /api/flows/export?state=Playing", &[("accept", "application/x-ndjson")], "").await;
    assert_eq!(none.body, "");
    for (query, detail) in [
        ("limit=1", "`limit`: there is no such parameter"),
        ("secrets=x", "`secrets`: secrets are `kept` or `redacted`"),
        ("name=a&name=b", "`name`: given twice"),
    ] {
        let expected = problem(400, "invalid-parameter", "a query parameter is wrong", detail);
        assert_eq!(client.shown(&format!("GET /api/flows/export?{query}")).await, expected);
    }
}

/// Two readers that take nothing are all that there may be; the third is told to come again, and when one has left there
/// is room.
pub(super) async fn readers_that_take_nothing_are_few(repository: Repository) {
    let stamp = || Stamp::new(clock::now(), Author::new("test"));
    let text = "x".repeat(20_000);
    let flows = (0..100).map(|i| format!(r#"{{"id":"{}","name":"{i}","x":"{text}"}}"#, clock::new_id()));
    let changes = flows.map(|flow| Change::create(Flow::parse(&flow).unwrap())).collect();
    repository.apply(changes, stamp()).await.unwrap();

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
