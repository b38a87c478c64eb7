//! Routes of the service and of single flows.

use std::sync::Arc;

use serde_json::json;
use strom_store::FlowRepository;

use super::client::{Client, ID, created, flow, no_such_flow, problem};

type Repository = Arc<dyn FlowRepository>;

pub(super) async fn service_routes_report_version_and_state(repository: Repository) {
    let client = Client::new(repository.clone());
    assert_eq!(client.shown("GET /health").await, "200\ncontent-type: text/plain; charset=utf-8\nOK");

    let ready = client.send("GET /ready", &[], "").await;
    let health = repository.health().await;
    let since = ready.json()["since"].clone();
    let expected = json!({
        "storage": health.kind, "location": health.location, "reachable": true, "migrated": true, "since": since,
        "read_only": false, "degraded": false,
    });
    assert_eq!((ready.status, ready.json()), (200, expected));
    chrono::DateTime::parse_from_rfc3339(since.as_str().unwrap()).unwrap();

    let version = client.send("GET /api/version", &[], "").await.json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    for text in ["git_hash", "git_tag", "git_branch", "build_timestamp"] {
        assert!(version[text].is_string(), "{version}");
    }
    assert!(version["git_dirty"].is_boolean());

    let status = r#"{"auth_required":false,"authenticated":true,"methods":[]}"#;
    assert_eq!(client.shown("GET /api/auth/status").await, format!("200\ncontent-type: application/json\n{status}"));
}

pub(super) async fn a_flow_can_be_created_read_replaced_and_deleted(repository: Repository) {
    let client = Client::new(repository.clone());
    let path = format!("/api/flows/{ID}");
    assert_eq!(client.shown("GET /api/flows").await, "200\ncontent-type: application/json\n{\"flows\":[]}");

    let one = format!(r#"{{"id":"{ID}","name":"one","unknown":[1,null]}}"#);
    assert_eq!(client.shown_with("POST /api/flows", &one).await, created(ID, 1, &one));
    let exists = format!("the flow {ID} already exists");
    let exists = problem(409, "flow-exists", "the flow already exists", &exists);
    assert_eq!(client.shown_with("POST /api/flows", &one).await, exists);

    assert_eq!(client.shown(&format!("GET {path}")).await, flow(200, 1, &one));
    let upper = format!("GET /api/flows/{}", ID.to_uppercase().replace('-', ""));
    assert_eq!(client.shown(&upper).await, flow(200, 1, &one));
    let list = format!("200\ncontent-type: application/json\n{{\"flows\":[{one}]}}");
    assert_eq!(client.shown("GET /api/flows").await, list);

    let two = one.replace("one", "two");
    assert_eq!(client.shown_with(&format!("PUT {path}"), &two).await, flow(200, 2, &two));
    let playing = two.replace("\"unknown\"", "\"gst_state\":\"Playing\",\"unknown\"");
    assert_eq!(
        client.shown_with(&format!("POST {path}"), &playing).await,
        flow(200, 2, &playing),
        "runtime members create no revision"
    );
    let stored = repository.get(ID.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.version.author.as_str(), "anonymous");

    assert_eq!(client.shown(&format!("DELETE {path}")).await, "204");
    for method in ["GET", "DELETE"] {
        assert_eq!(client.shown(&format!("{method} {path}")).await, no_such_flow(ID));
    }
    for method in ["PUT", "POST"] {
        assert_eq!(client.shown_with(&format!("{method} {path}"), &two).await, no_such_flow(ID));
    }
    let properties = format!("PATCH {path}/properties");
    assert_eq!(client.shown_with(&properties, r#"{"properties":{}}"#).await, no_such_flow(ID));
}

pub(super) async fn a_create_without_id_assigns_one(repository: Repository) {
    let client = Client::new(repository);
    let answer = client.send("POST /api/flows", &[], r#"{"name":"old","description":"d"}"#).await;
    let id = answer.json()["flow"]["id"].as_str().unwrap().to_owned();
    let document = format!(r#"{{"id":"{id}","name":"old","properties":{{"description":"d"}}}}"#);
    assert_eq!(answer.shown(), created(&id, 1, &document));

    let nil = r#"{"id":"00000000-0000-0000-0000-000000000000","name":"nil"}"#;
    let answer = client.send("POST /api/flows", &[], nil).await;
    let id = answer.json()["flow"]["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.shown(), created(&id, 1, &format!(r#"{{"id":"{id}","name":"nil"}}"#)));
    assert_ne!(id, "00000000-0000-0000-0000-000000000000");
}

pub(super) async fn replaced_properties_preserve_created_at_and_started_at(repository: Repository) {
    let client = Client::new(repository);
    let properties = r#"{"created_at":"c","started_at":"s","description":"d"}"#;
    let document = format!(r#"{{"id":"{ID}","name":"one","unknown":1,"properties":{properties}}}"#);
    client.send("POST /api/flows", &[], &document).await;

    let path = format!("PATCH /api/flows/{ID}/properties");
    let sent = r#"{"properties":{"created_at":"mine","ptp_domain":3}}"#;
    let changed = document.replace(properties, r#"{"created_at":"c","started_at":"s","ptp_domain":3}"#);
    assert_eq!(client.shown_with(&path, sent).await, flow(200, 2, &changed));
    assert_eq!(client.shown(&format!("GET /api/flows/{ID}")).await, flow(200, 2, &changed));
}

pub(super) async fn start_and_stop_return_501(repository: Repository) {
    let client = Client::new(repository);
    client.send("POST /api/flows", &[], &format!(r#"{{"id":"{ID}","name":"one"}}"#)).await;
    let detail = "this server only stores flows; an engine starts and stops them";
    for verb in ["start", "stop"] {
        let answer = client.shown(&format!("POST /api/flows/{ID}/{verb}")).await;
        assert_eq!(answer, problem(501, "no-engine", "this build has no engine", detail));
        let unknown = "57130000-0000-4000-8000-0000000000ff";
        assert_eq!(client.shown(&format!("POST /api/flows/{unknown}/{verb}")).await, no_such_flow(unknown));
    }
}

pub(super) async fn unknown_paths_return_json_404(repository: Repository) {
    let client = Client::new(repository);
    for path in ["/api/nothing", "/nothing", "/console", "/api/flows/", "/api"] {
        let expected = problem(404, "no-such-route", "no such route", &format!("no route at `{path}`"));
        assert_eq!(client.shown(&format!("GET {path}?auth_token=hidden")).await, expected);
    }
    for (line, allow) in
        [("DELETE /api/flows", "GET,HEAD,POST"), ("POST /health", "GET,HEAD"), ("GET /api/flows/x/start", "POST")]
    {
        let method = line.split_once(' ').unwrap().0;
        let detail = format!("this path does not support the method `{method}`");
        let answer = client.send(line, &[], "").await;
        assert_eq!(answer.headers["allow"], allow);
        let expected = problem(405, "method-not-allowed", "method not allowed", &detail);
        assert_eq!(answer.shown().replace(&format!("\nallow: {allow}"), ""), expected);
    }
    for (path, allow) in [("/api/flows", "GET,HEAD,POST"), ("/health", "GET,HEAD"), ("/api/flows/import", "POST")] {
        let answer = client.send(&format!("OPTIONS {path}"), &[], "").await;
        assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (204, allow), "{path}");
    }
    for path in ["/api/flows/7", "/api/flows/%ff", "/api/flows/57130000-0000-4000-8000-00000000000g"] {
        let expected = problem(400, "invalid-id", "invalid flow id", "the id in the path must be a UUID");
        assert_eq!(client.shown(&format!("GET {path}")).await, expected);
    }
}

pub(super) async fn numbers_are_returned_without_loss(repository: Repository) {
    let client = Client::new(repository);
    let document = format!(r#"{{"id":"{ID}","name":"one","n":[18446744073709551617,1.10,-0.1e-7]}}"#);
    client.send("POST /api/flows", &[], &document).await;
    for path in [format!("GET /api/flows/{ID}"), "GET /api/flows".to_owned()] {
        let answer = client.send(&path, &[], "").await;
        assert!(answer.body.contains("18446744073709551617") && answer.body.contains("1.1"), "{}", answer.body);
    }
}
