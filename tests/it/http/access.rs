//! The key.

use std::sync::Arc;

use serde_json::json;
use strom::FlowRepository;
use strom::http::{Access, ApiKey};

use super::client::{Client, ID};

pub(super) async fn without_the_key_nothing_is_shown(repository: Arc<dyn FlowRepository>) {
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
    assert_eq!(client.send("GET /ready", &[], "").await.json().get("location"), None, "not for strangers");

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

pub(super) async fn a_key_in_the_address_opens_the_streams_alone(repository: Arc<dyn FlowRepository>) {
    let client = Client::with(repository, Access::Key(ApiKey::new("a key")));
    assert_eq!(client.send("GET /api/changes?auth_token=a%20key", &[], "").await.status, 200);
    for path in
        ["/api/changes?auth_token=b", "/api/changes", "/api/flows?auth_token=a%20key", "/api/trash?auth_token=a+key"]
    {
        assert_eq!(client.shown(&format!("GET {path}")).await, "401\nwww-authenticate: Bearer", "{path}");
    }
}
