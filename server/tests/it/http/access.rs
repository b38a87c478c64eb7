//! API keys: authentication, authors, read-only keys and streams.

use std::sync::Arc;

use futures::SinkExt;
use serde_json::json;
use strom_server::http::{Access, ApiKey, Keys, router};
use strom_store::FlowRepository;
use strom_store::internals::samples::{create_all, flow};
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use super::HANGS;
use super::client::{Client, ID, document, problem};
use super::sockets;

pub(super) async fn requests_without_a_key_return_401(repository: Arc<dyn FlowRepository>) {
    let client = Client::with(repository.clone(), Access::Key(ApiKey::new("secret")));
    let document = format!(r#"{{"id":"{ID}","name":"a"}}"#);
    let wrong: [&[(&str, &str)]; 7] = [
        &[],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer wrong")],
        &[("authorization", "Basic secret")],
        &[("authorization", "secret")],
        &[("x-api-key", "secre")],
        &[("x-api-key", "")],
    ];
    for headers in wrong {
        for line in ["GET /api/flows", "POST /api/flows", "GET /api/nothing", "GET /api/flows?auth_token=secret"] {
            let body = if line.starts_with("POST") { document.as_str() } else { "" };
            let answer = client.send(line, headers, body).await;
            assert_eq!(answer.shown(), "401\nwww-authenticate: Bearer", "{line} {headers:?}");
        }
        let status = client.send("GET /api/auth/status", headers, "").await.json();
        assert_eq!(status, json!({ "authenticated": false, "auth_required": true, "methods": ["api_key"] }));
    }
    for open in ["/health", "/ready", "/api/version"] {
        assert_eq!(client.send(&format!("GET {open}"), &[], "").await.status, 200);
    }
    assert_eq!(client.send("GET /ready", &[], "").await.json().get("location"), None, "`location` requires a key");

    let right: [&[(&str, &str)]; 3] = [
        &[("authorization", "Bearer secret")],
        &[("authorization", "bearer  secret ")],
        &[("authorization", "Bearer wrong"), ("x-api-key", "secret")],
    ];
    for headers in right {
        assert_eq!(client.send("GET /api/flows", headers, "").await.status, 200, "{headers:?}");
        let status = client.send("GET /api/auth/status", headers, "").await.json();
        assert_eq!(status["authenticated"], true);
        assert!(client.send("GET /ready", headers, "").await.json()["location"].is_string());
    }
    assert_eq!(client.send("POST /api/flows", right[0], &document).await.status, 201);
    let stored = repository.get(ID.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.version.author.as_str(), "api");
}

pub(super) async fn a_key_in_the_query_is_accepted_only_for_streams(repository: Arc<dyn FlowRepository>) {
    let client = Client::with(repository, Access::Key(ApiKey::new("a key")));
    assert_eq!(client.send("GET /api/changes?auth_token=a%20key", &[], "").await.status, 200);
    for line in ["POST /api/changes", "HEAD /api/changes", "GET /api/changes/"] {
        let answer = client.send(&format!("{line}?auth_token=a%20key"), &[], "").await;
        assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{line}");
    }
    for path in
        ["/api/changes?auth_token=b", "/api/changes", "/api/flows?auth_token=a%20key", "/api/trash?auth_token=a+key"]
    {
        assert_eq!(client.shown(&format!("GET {path}")).await, "401\nwww-authenticate: Bearer", "{path}");
    }
}

/// Returns two keys. The second one is read-only.
pub(super) fn keys() -> Keys {
    [ApiKey::named("Studio A", "of studio a"), ApiKey::named("wall", "of the wall").read_only()].into_iter().collect()
}

pub(super) async fn changes_record_the_name_of_the_key_as_author(repository: Arc<dyn FlowRepository>) {
    let keys = keys();
    let client = Client::with(repository, Access::Keys(keys.clone()));
    let path = format!("/api/flows/{ID}");
    let studio = [("x-api-key", "of studio a")];
    assert_eq!(client.send("POST /api/flows", &studio, &document("one")).await.status, 201);
    let status = client.send("GET /api/auth/status", &studio, "").await.json();
    let expected = json!({
        "authenticated": true, "auth_required": true, "methods": ["api_key"], "name": "Studio A", "read_only": false,
    });
    assert_eq!(status, expected);

    keys.replace([ApiKey::named("b", "of b")]);
    let removed = client.send(&format!("DELETE {path}"), &studio, "").await;
    assert_eq!(removed.shown(), "401\nwww-authenticate: Bearer");
    let b = [("authorization", "Bearer of b")];
    assert_eq!(client.send(&format!("PUT {path}"), &b, &document("two")).await.status, 200);
    let history = client.send(&format!("GET {path}/history"), &b, "").await.json();
    let authors: Vec<_> = history["history"].as_array().unwrap().iter().map(|record| &record["author"]).collect();
    assert_eq!(authors, ["b", "Studio A"]);
}

pub(super) async fn a_read_only_key_cannot_write(repository: Arc<dyn FlowRepository>) {
    let client = Client::with(repository.clone(), Access::Keys(keys()));
    let wall = [("x-api-key", "of the wall")];
    client.send("POST /api/flows", &[("x-api-key", "of studio a")], &document("one")).await;
    let flow = format!("/api/flows/{ID}");
    for path in ["/api/flows", &flow, &format!("{flow}/history"), "/api/changes", "/api/flows/export"] {
        assert_eq!(client.send(&format!("GET {path}"), &wall, "").await.status, 200, "{path}");
        assert_eq!(client.send(&format!("HEAD {path}"), &wall, "").await.status, 200, "{path}");
    }
    let detail = "the API key `wall` is read-only; send changes with another key";
    let refused = problem(403, "read-only-key", "the API key is read-only", detail);
    let changes = [
        "POST /api/flows".to_owned(),
        format!("PUT {flow}"),
        format!("POST {flow}"),
        format!("PATCH {flow}"),
        format!("PATCH {flow}/properties"),
        format!("PUT {flow}/state"),
        format!("POST {flow}/restore"),
        format!("POST {flow}/start"),
        format!("DELETE {flow}"),
        "FROB /api/nothing".to_owned(),
    ];
    for line in changes {
        assert_eq!(client.send(&line, &wall, &document("two")).await.shown(), refused, "{line}");
    }
    let status = client.send("GET /api/auth/status", &wall, "").await.json();
    assert_eq!((&status["name"], &status["read_only"]), (&json!("wall"), &json!(true)));
    let stored = repository.get(ID.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((stored.version.revision.number(), stored.item.head().name.as_str()), (1, "one"));
}

pub(super) async fn streams_of_a_removed_key_end(repository: Arc<dyn FlowRepository>) {
    let keys = keys();
    let address = sockets::listening(router(repository.clone(), Access::Keys(keys.clone()))).await;
    let events = async |secret: &str| {
        let request = reqwest::Client::new().get(format!("http://{address}/api/changes")).bearer_auth(secret);
        request.header("accept", "text/event-stream").send().await.unwrap()
    };
    let socket = async |secret: &str| {
        let url = format!("ws://{address}/api/ws?auth_token={}", secret.replace(' ', "+"));
        let mut socket = connect_async(url).await.unwrap().0;
        assert_eq!(sockets::next(&mut socket).await, json!({ "type": "Ping" }));
        socket
    };
    let (removed, mut stays_open) = (events("of studio a").await, events("of the wall").await);
    let (closing, mut open) = (socket("of studio a").await, socket("of the wall").await);
    assert!(stays_open.chunk().await.unwrap().is_some());

    keys.replace([ApiKey::named("wall", "of the wall").read_only()]);
    timeout(HANGS, removed.bytes()).await.expect("the stream of the removed key ends").unwrap();
    assert_eq!(sockets::closed(closing).await, 1008);

    open.send(Message::text("ping")).await.unwrap();
    assert_eq!(sockets::next(&mut open).await, json!("pong"), "the socket of the other key stays open");
    create_all(&*repository, [flow(1, "later")]).await;
    let next_event = async {
        loop {
            let piece = stays_open.chunk().await.unwrap().expect("the stream stays open");
            // The server sends comments to keep the connection alive.
            if piece != ":\n\n" {
                return piece;
            }
        }
    };
    let piece = timeout(HANGS, next_event).await.expect("an event arrives");
    assert!(piece.starts_with(b"id: "), "the stream receives the change: {piece:?}");
}
