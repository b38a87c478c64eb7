//! Routes that read and write ephemeral flows.

use std::sync::Arc;

use serde_json::{Value, json};
use strom_server::clock;
use strom_server::http::Access;
use strom_server::stack::Stack;
use strom_store::FlowRepository;
use strom_store::ephemeral::Ephemeral;
use strom_store::repository::Since;

use super::client::{Answer, Client, ID, OTHER_ID, created, document, flow, no_such_flow, problem};

type Repository = Arc<dyn FlowRepository>;

fn client(repository: &Repository) -> Client {
    let source = Stack::over(Arc::clone(repository)).ephemeral(clock::now());
    Client::with(source, Access::Anonymous)
}

/// Returns the ephemeral flow [`ID`] with this name.
fn scratch(name: &str) -> String {
    format!(r#"{{"id":"{ID}","name":"{name}","properties":{{"ephemeral":true}}}}"#)
}

fn revision(answer: &Answer) -> u64 {
    answer.headers["etag"].to_str().unwrap().trim_matches('"').parse().unwrap()
}

async fn is_stored(repository: &Repository) -> bool {
    repository.get(ID.parse().unwrap()).await.unwrap().is_some()
}

pub(super) async fn every_route_works_with_an_ephemeral_flow(repository: Repository) {
    let client = client(&repository);
    let path = format!("/api/flows/{ID}");
    let one = scratch("one").replace("}}", r#"},"links":[{"from":"a:src","to":"b:sink"}]}"#);
    let answer = client.send("POST /api/flows", &[], &one).await;
    let first = revision(&answer);
    assert!((1 << 40..1 << 53).contains(&first), "{first}");
    assert_eq!((answer.status, answer.json()["flow"].clone()), (201, serde_json::from_str::<Value>(&one).unwrap()));
    let warnings = answer.json()["warnings"].clone();
    assert_eq!(warnings.as_array().unwrap().len(), 2, "{warnings}");
    assert_eq!(client.send(&format!("GET {path}/check"), &[], "").await.json(), json!({ "warnings": warnings }));
    assert_eq!(client.shown(&format!("GET {path}")).await, flow(200, first, &one));
    let exists = problem(409, "flow-exists", "the flow already exists", &format!("the flow {ID} already exists"));
    assert_eq!(client.shown_with("POST /api/flows", &document("stored")).await, exists);

    let two = scratch("two");
    assert_eq!(client.shown_with(&format!("PUT {path}"), &two).await, flow(200, first + 1, &two));
    let state = client.send(&format!("PUT {path}/state"), &[], r#"{"state":"Playing"}"#).await;
    assert_eq!(
        (state.status, revision(&state), &state.json()["flow"]["gst_state"]),
        (200, first + 1, &json!("Playing"))
    );
    let patched = client.request(patch(&path, "application/merge-patch+json", r#"{"name":"three"}"#)).await;
    assert_eq!((patched.status, revision(&patched)), (200, first + 2));
    let properties = r#"{"properties":{"ephemeral":true,"description":"d"}}"#;
    let replaced = client.send(&format!("PATCH {path}/properties"), &[], properties).await;
    assert_eq!((replaced.status, revision(&replaced)), (200, first + 3));
    assert_eq!(client.send(&format!("POST {path}/start"), &[], "").await.status, 501);

    let history = client.send(&format!("GET {path}/history"), &[], "").await.json();
    let history = history["history"].as_array().unwrap();
    assert_eq!((history.len(), &history[0]["revision"], &history[0]["op"]), (1, &json!(first + 3), &json!("update")));
    let one = client.send(&format!("GET {path}/history/{}", first + 3), &[], "").await.json();
    assert_eq!((&one["flow"]["name"], &one["author"]), (&json!("three"), &json!("anonymous")));
    let restored =
        client.send(&format!("POST {path}/restore"), &[], &json!({ "revision": first + 3 }).to_string()).await;
    assert_eq!((restored.status, revision(&restored)), (200, first + 3));

    assert!(!is_stored(&repository).await);
    assert_eq!(client.shown(&format!("DELETE {path}")).await, "204");
    assert_eq!(client.shown(&format!("GET {path}")).await, no_such_flow(ID));
    assert_eq!(client.shown(&format!("GET {path}/history")).await, no_such_flow(ID));
    assert_eq!(client.send("GET /api/trash", &[], "").await.json(), json!({ "flows": [] }));
    assert!(repository.changes(Since::Oldest, 9).await.unwrap().changes.is_empty(), "the storage contains no change");
}

fn patch(path: &str, kind: &str, body: &str) -> axum::http::Request<axum::body::Body> {
    let request = axum::http::Request::patch(path).header("content-type", kind);
    request.body(axum::body::Body::from(body.to_owned())).unwrap()
}

pub(super) async fn preconditions_apply_to_ephemeral_flows(repository: Repository) {
    let client = client(&repository);
    let path = format!("/api/flows/{ID}");
    let put = async |header: (&str, &str), body: &str| client.send(&format!("PUT {path}"), &[header], body).await;
    let created = put(("if-none-match", "*"), &scratch("one")).await;
    assert_eq!(created.status, 201);
    let first = revision(&created);
    assert_eq!(put(("if-none-match", "*"), &document("stored")).await.status, 412);
    assert_eq!(put(("if-match", "\"1\""), &scratch("late")).await.status, 412);
    let known = client.send(&format!("GET {path}"), &[("if-none-match", &format!("\"{first}\""))], "").await;
    assert_eq!(known.status, 304);

    let stored = put(("if-match", &format!("\"{first}\"")), &document("stored")).await;
    assert_eq!((stored.status, revision(&stored)), (200, 1));
    let late = put(("if-match", &format!("\"{first}\"")), &scratch("late")).await;
    assert_eq!((late.status, &late.json()["current"]["revision"]), (412, &json!(1)));
    let again = put(("if-match", &format!("\"{first}\", \"1\"")), &scratch("again")).await;
    assert_eq!(again.status, 200);
    assert!(revision(&again) > first);
    for outdated in [1, 2, first, first + 2] {
        let line = format!("DELETE {path}");
        assert_eq!(client.send(&line, &[("if-match", &format!("\"{outdated}\""))], "").await.status, 412, "{outdated}");
    }
    let last = format!("\"{}\"", revision(&again));
    assert_eq!(client.send(&format!("DELETE {path}"), &[("if-match", &last)], "").await.status, 204);
}

pub(super) async fn a_flow_can_become_ephemeral_and_stored_again(repository: Repository) {
    let client = client(&repository);
    let path = format!("/api/flows/{ID}");
    assert_eq!(client.shown_with("POST /api/flows", &document("one")).await, created(ID, 1, &document("one")));
    let properties = r#"{"properties":{"ephemeral":true}}"#;
    let moved = client.send(&format!("PATCH {path}/properties"), &[], properties).await;
    assert_eq!((moved.status, is_stored(&repository).await), (200, false));
    assert_eq!(client.send("GET /api/trash", &[], "").await.json(), json!({ "flows": [] }));
    let ops = async || {
        let history = client.send(&format!("GET {path}/history"), &[], "").await.json();
        Value::from_iter(history["history"].as_array().unwrap().iter().map(|entry| entry["op"].clone()))
    };
    assert_eq!(ops().await, json!(["update", "delete", "create"]));

    let restored = client.send(&format!("POST {path}/restore"), &[], r#"{"revision":1}"#).await;
    assert_eq!(restored.shown(), flow(200, 3, &document("one")));
    assert!(is_stored(&repository).await);
    assert_eq!(ops().await, json!(["restore", "delete", "create"]));
    let read = client.send(&format!("GET /api/flows/{ID}"), &[], "").await;
    assert_eq!(read.shown(), flow(200, 3, &document("one")));
}

pub(super) async fn lists_contain_ephemeral_flows_and_exports_do_not(repository: Repository) {
    let client = client(&repository);
    client.send("POST /api/flows", &[], &scratch("b").replace("}}", r#","auto_restart":true}}"#)).await;
    client.send("POST /api/flows", &[], &format!(r#"{{"id":"{OTHER_ID}","name":"a"}}"#)).await;
    let names = async |query: &str| {
        let list = client.send(&format!("GET /api/flows{query}"), &[], "").await.json();
        let names: Vec<_> = list["flows"].as_array().unwrap().iter().map(|flow| flow["name"].clone()).collect();
        (Value::from(names), list["total"].clone(), list["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(names("").await, (json!(["a", "b"]), Value::Null, None));
    assert_eq!(names("?view=summary&sort=-name&count=true").await, (json!(["b", "a"]), json!(2), None));
    assert_eq!(names("?auto_restart=true&count=true").await, (json!(["b"]), json!(1), None));
    let (page, total, next) = names("?limit=1&count=true").await;
    assert_eq!((page, total), (json!(["a"]), json!(2)));
    assert_eq!(names(&format!("?limit=1&cursor={}", next.unwrap())).await, (json!(["b"]), Value::Null, None));
    let export = client.send("GET /api/flows/export", &[], "").await.json();
    assert_eq!(export["flows"], json!([{ "id": OTHER_ID, "name": "a" }]));
}

pub(super) async fn an_import_does_not_store_ephemeral_flows(repository: Repository) {
    let client = client(&repository);
    let other = |name: &str| format!(r#"{{"id":"{OTHER_ID}","name":"{name}"}}"#);
    let import = async |flows: &str, how: &str| {
        let report = client.send(&format!("POST /api/flows/import{how}"), &[], flows).await;
        let counts = report.json();
        (report.status, json!([counts["created"], counts["replaced"], counts["unchanged"]]))
    };
    let file = format!("[{},{}]", scratch("one"), other("stored"));
    assert_eq!(import(&file, "").await, (200, json!([2, 0, 0])));
    assert!(!is_stored(&repository).await);
    assert_eq!(import(&file, "").await, (200, json!([0, 0, 2])));
    let file = format!("[{},{}]", scratch("two"), other("stored again"));
    assert_eq!(import(&file, "").await.0, 409);
    assert_eq!(import(&file, "?on_conflict=replace").await, (200, json!([0, 2, 0])));
    assert!(!is_stored(&repository).await);
    assert_eq!(client.send(&format!("GET /api/flows/{ID}"), &[], "").await.json()["flow"]["name"], "two");
    let swapped =
        format!("[{},{}]", document("stored"), other("x").replace("}", r#","properties":{"ephemeral":true}}"#));
    assert_eq!(import(&swapped, "?on_conflict=replace").await, (200, json!([0, 2, 0])));
    let export = client.send("GET /api/flows/export", &[], "").await.json();
    assert_eq!(export["flows"], json!([{ "id": ID, "name": "stored" }]));
}

pub(super) async fn a_repeated_create_of_a_deleted_ephemeral_flow_gets_a_higher_revision(repository: Repository) {
    let client = client(&repository);
    let put = format!("PUT /api/flows/{ID}");
    let create = async || client.send(&put, &[("if-none-match", "*")], &scratch("one")).await;
    let first = create().await;
    assert_eq!(first.status, 201);
    assert_eq!(create().await.status, 412);
    client.send(&format!("DELETE /api/flows/{ID}"), &[], "").await;
    let repeated = create().await;
    assert_eq!(repeated.status, 201);
    assert!(revision(&repeated) > revision(&first));
}

pub(super) async fn ephemeral_flows_over_the_memory_limit_return_507(repository: Repository) {
    let ephemeral = Ephemeral::with_budget(Arc::clone(&repository), clock::now(), 100);
    let client = Client::new(Arc::new(ephemeral));
    let size = scratch(&"x".repeat(100)).len();
    let detail = format!(
        "all ephemeral flows together would need {size} bytes; the limit is 100 bytes; nothing was written; \
         delete ephemeral flows or store them permanently"
    );
    let expected = problem(507, "no-room", "ephemeral flows exceed the memory limit", &detail);
    assert_eq!(client.shown_with("POST /api/flows", &scratch(&"x".repeat(100))).await, expected);
    assert_eq!(client.send("POST /api/flows", &[], &scratch("x")).await.status, 201);
    let metrics = client.send("GET /metrics", &[], "").await.body;
    let refused = r#"strom_repository_operations_total{operation="apply",outcome="no_room"} 1"#;
    assert!(metrics.contains(refused) && metrics.contains("strom_ephemeral_flows 1.0\n"), "{metrics}");
    assert!(metrics.contains(&format!("strom_ephemeral_bytes {}.0\n", scratch("x").len())), "{metrics}");
}
