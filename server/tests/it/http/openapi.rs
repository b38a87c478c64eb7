//! The OpenAPI document describes the behaviour of the server.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use strom_server::http::{Access, ApiKey, Hosts, Settings};
use strom_store::flow::MAX_SIZE;
use strom_store::{FlowRepository, RepositoryError};

use super::client::{Answer, Client, ID, OTHER_ID, document};
use super::document::{Document, METHODS, Operation, Seen, request};
use super::{access, failures};
use strom_test_support::eventually::eventually;

type Repository = Arc<dyn FlowRepository>;

const UNKNOWN: &str = "57130000-0000-4000-8000-0000000000ff";
const KEY: (&str, &str) = ("x-api-key", "a key");
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");
const JSON_PATCH: (&str, &str) = ("content-type", "application/json-patch+json");

/// Sends requests and checks the responses against the document.
struct Script {
    client: Client,
    document: Document,
    seen: Seen,
}

impl Script {
    async fn new(repository: Repository) -> Self {
        let client = Client::with(repository, Access::Key(ApiKey::new(KEY.1)));
        let document = Document::of(&client).await;
        Self { client, document, seen: Seen::default() }
    }

    async fn send(&mut self, status: u16, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = self.client.request(request(line, &[headers, &[KEY]].concat(), body)).await;
        assert_eq!(answer.status, status, "{line} {headers:?}: {:.500}", answer.body);
        self.document.check(line, &answer);
        self.seen.add(&self.document.operation(line), status);
        answer
    }

    async fn get(&mut self, status: u16, path: &str) -> Answer {
        self.send(status, &format!("GET {path}"), &[], "").await
    }
}

/// The script covers each operation with each status that needs no failing storage.
pub(super) async fn every_response_is_declared(repository: Repository) {
    let mut script = Script::new(repository).await;
    let flow = format!("/api/flows/{ID}");
    for path in ["/health", "/ready", "/metrics", "/api/version", "/api/auth/status", "/api-docs/openapi.json"] {
        script.get(200, path).await;
    }
    for path in ["/swagger-ui", "/swagger-ui/", "/swagger-ui/index.css", "/swagger-ui/swagger-ui-bundle.js"] {
        script.get(200, path).await;
    }
    script.get(404, "/swagger-ui/index.html").await;
    for path in ["/", "/console/main.js", "/console/style.css", "/console/icon.svg", "/console/vendor/LICENSE-htm.txt"]
    {
        script.get(200, path).await;
        script.send(304, &format!("GET {path}"), &[("if-none-match", "*")], "").await;
    }
    for path in ["/console/index.htm", "/console/views/none.js"] {
        script.get(404, path).await;
    }
    for path in ["/api/elements", "/api/blocks", "/api/network/interfaces"] {
        script.get(200, path).await;
    }

    let large = " ".repeat(MAX_SIZE + 1);
    let block = r#"{"id":"out","block_definition_id":"builtin.inter_output","properties":{"description":"d"}}"#;
    let blocks = format!(r#"{{"id":"{ID}","name":"a","blocks":[{block}],"links":[{{"from":"out","to":"x"}}]}}"#);
    script.send(201, "POST /api/flows", &[], &blocks).await;
    script.send(201, "POST /api/flows", &[], r#"{"name":"b"}"#).await;
    for (status, headers, body) in [
        (400, &[][..], "{"),
        (409, &[], &blocks),
        (413, &[], &large),
        (415, &[("content-encoding", "br")], &blocks),
        (422, &[], "{}"),
    ] {
        script.send(status, "POST /api/flows", headers, body).await;
    }
    script.get(200, "/api/sources").await;
    for query in
        ["", "?view=summary&limit=1&count=true&sort=-name", "?state=Null&auto_restart=false&name=A&contains={}"]
    {
        script.get(200, &format!("/api/flows{query}")).await;
    }
    script.get(400, "/api/flows?limit=0").await;
    script.get(200, "/api/flows/export?secrets=redacted").await;
    script.send(200, "GET /api/flows/export", &[("accept", "application/x-ndjson")], "").await;
    script.get(400, "/api/flows/export?limit=1").await;

    let line = "POST /api/flows/import";
    for (status, headers, body) in [
        (200, &[][..], &*blocks),
        (200, &[("content-type", "application/x-ndjson")], &*blocks),
        (400, &[], "{"),
        (409, &[], &*document("another content")),
        (413, &[], &*format!("[{large}{large}")),
        (415, &[("content-type", "text/plain")], "[]"),
        (422, &[], r#"[{"id":7,"name":"\u0000"},{}]"#),
    ] {
        script.send(status, line, headers, body).await;
    }
    for query in ["?dry_run=true&on_conflict=replace", "?dry_run=true&on_conflict=clone", "?on_conflict=skip"] {
        script.send(200, &format!("{line}{query}"), &[], &document("another content")).await;
    }
    script.send(400, &format!("{line}?on_conflict=x"), &[], "[]").await;

    let line = format!("GET {flow}");
    script.send(304, &line, &[("if-none-match", "*")], "").await;
    script.send(400, &line, &[("if-none-match", "1")], "").await;
    script.send(201, &format!("PUT /api/flows/{OTHER_ID}"), &[("if-none-match", "*")], &other()).await;
    for (method, part, headers, body) in [
        ("PUT", "", &[][..], document("a")),
        ("POST", "", &[], document("b")),
        ("PATCH", "", &[MERGE], r#"{"name":"c"}"#.to_owned()),
        ("PATCH", "", &[JSON_PATCH], r#"[{"op":"add","path":"/x","value":1}]"#.to_owned()),
        ("PATCH", "/properties", &[], r#"{"properties":{}}"#.to_owned()),
        ("PUT", "/state", &[], r#"{"state":"Playing"}"#.to_owned()),
        ("POST", "/restore", &[], r#"{"revision":1.0}"#.to_owned()),
    ] {
        let line = format!("{method} {flow}{part}");
        let unknown = (line.replace(ID, UNKNOWN), body.replace(ID, UNKNOWN));
        script.send(200, &line, headers, &body).await;
        script.send(400, &line, headers, "{").await;
        script.send(400, &line.replace(ID, "x"), headers, &body).await;
        script.send(404, &unknown.0, headers, &unknown.1).await;
        script.send(412, &line, &[headers, &[("if-match", "\"999\"")]].concat(), &body).await;
        script.send(413, &line, headers, &large).await;
        script.send(415, &line, &[headers, &[("content-encoding", "br")]].concat(), &body).await;
        script.send(422, &line, headers, "7").await;
    }
    // One edit of the first revision can be merged. The other one conflicts.
    let edit = |member: &str, value: &str| format!(r#"{{"{member}":"{value}"}}"#);
    let (merged, first) = (format!("PATCH {flow}?merge=auto"), ("if-match", "\"1\""));
    let answer = script.send(200, &merged, &[MERGE, first], &edit("more", "x")).await;
    assert!(answer.json()["merge"].is_object(), "{}", answer.body);
    let answer = script.send(412, &merged, &[MERGE, first], &edit("more", "y")).await;
    assert!(answer.json()["conflicts"].is_object() && answer.json()["difference"].is_object(), "{}", answer.body);
    for (method, body) in [("PUT", document("z")), ("POST", document("z"))] {
        script.send(400, &format!("{method} {flow}?merge=x"), &[first], &body).await;
        script.send(412, &format!("{method} {flow}"), &[first], &body).await;
    }
    let inapplicable = r#"[{"op":"remove","path":"/nothing"}]"#;
    script.send(409, &format!("PATCH {flow}"), &[JSON_PATCH], inapplicable).await;

    for part in ["", "/check", "/history", "/history/1", "/diff", "/diff?from=1&to=1"] {
        script.get(200, &format!("{flow}{part}")).await;
        script.get(400, &format!("/api/flows/x{part}")).await;
        script.get(404, &format!("/api/flows/{UNKNOWN}{part}")).await;
    }
    script.get(404, &format!("{flow}/history/999")).await;
    script.get(404, &format!("{flow}/diff?to=999")).await;
    script.get(400, &format!("{flow}/diff?from=0")).await;
    script.get(400, &format!("{flow}/history?limit=0")).await;
    for part in ["start", "stop"] {
        script.send(501, &format!("POST {flow}/{part}"), &[], "").await;
        script.send(400, &format!("POST /api/flows/x/{part}"), &[], "").await;
        script.send(404, &format!("POST /api/flows/{UNKNOWN}/{part}"), &[], "").await;
    }
    let line = format!("DELETE {flow}");
    script.send(412, &line, &[("if-match", "\"999\"")], "").await;
    script.send(204, &line, &[], "").await;
    script.send(404, &line, &[], "").await;
    let answer = script.send(404, &line, &[first], "").await;
    assert!(answer.json()["deleted"].is_object(), "{}", answer.body);
    script.send(400, "DELETE /api/flows/x", &[], "").await;
    assert_eq!(script.get(200, "/api/trash").await.json()["flows"][0]["id"], ID);
    script.send(201, &format!("POST {flow}/restore"), &[], r#"{"revision":1}"#).await;

    // A transaction of another test may delay changes in the feed.
    eventually("the changes are in the feed", async || {
        let changes = script.get(200, "/api/changes?since=0&documents=true").await.json();
        changes["changes"].as_array().unwrap().len() > 5
    })
    .await;
    script.get(400, "/api/changes?since=x").await;
    script.get(410, "/api/changes?since=7.7.7").await;
    script.get(400, "/api/ws").await;
    // With a key, only the WebSocket checks the origin.
    script.send(403, "GET /api/ws", &[("origin", "https://elsewhere.example"), ("host", "here.example")], "").await;

    let operations: Vec<_> = script.document.operations().map(|it| format!("{} {}", it.method, it.path)).collect();
    for line in operations.iter().filter(|line| !line.contains("/console") && !line.contains("/swagger-ui")) {
        if !line.ends_with(" /") {
            let line = line.replace("{id}", ID).replace("{revision}", "1");
            script.send(400, &format!("{line}?unknown=1"), &[], "").await;
        }
    }
    for path in ["/api/flows", &format!("{flow}/history"), "/api/sources", "/api/trash"] {
        script.send(304, &format!("GET {path}"), &[("if-none-match", "*")], "").await;
    }
    let check = "POST /api/flows/check";
    for (status, headers, body) in [
        (200, &[][..], &*blocks),
        (400, &[], "{"),
        (413, &[], &*large),
        (415, &[("content-encoding", "br")], &*blocks),
        (422, &[], "{}"),
    ] {
        script.send(status, check, headers, body).await;
    }
    script.get(200, "/api/trash?limit=1").await;

    // 101 needs a connection, and 408 takes a minute. Other tests cover keys, layers and failing storages.
    let missing =
        script.seen.missing(&script.document, &["101", "401", "403", "408", "421", "429", "500", "503", "507"]);
    assert!(missing.is_empty(), "never seen: {missing:#?}");
}

fn other() -> String {
    document("other").replace(ID, OTHER_ID)
}

/// Returns a request of the operation, made of its examples: line, headers and body.
fn example(operation: &Operation<'_>) -> (String, Vec<(&'static str, &'static str)>, String) {
    let path = operation.path.replace("{id}", ID).replace("{revision}", "1").replace("{file}", "index.css");
    let line = format!("{} {path}", operation.method);
    let content = &operation.declared["requestBody"]["content"];
    if content["application/merge-patch+json"].is_object() {
        return (line, vec![MERGE], "{}".to_owned());
    }
    let mut body = content["application/json"]["example"].clone();
    if body["id"].is_string() {
        body["id"] = json!(ID);
    }
    (line, Vec::new(), if body.is_null() { String::new() } else { body.to_string() })
}

/// A request without a key returns 401 if and only if the document declares it.
pub(super) async fn keys_are_required_where_declared(repository: Repository) {
    let with_key = Script::new(repository.clone()).await;
    let anonymous = Client::new(repository);
    let without_key = Document::of(&anonymous).await;
    for operation in with_key.document.operations() {
        let (line, headers, body) = example(&operation);
        let answer = with_key.client.request(request(&line, &headers, &body)).await;
        with_key.document.check(&line, &answer);
        assert_eq!(answer.status == 401, operation.declared["security"].is_array(), "{line}");
        let by_address = operation.declared["security"].to_string().contains("address");
        let address = format!("{line}?auth_token=a%20key");
        let answer = with_key.client.request(request(&address, &headers, &body)).await;
        assert_eq!(answer.status != 401, by_address || operation.declared["security"].is_null(), "{address}");
    }
    for operation in without_key.operations() {
        assert!(operation.declared["security"].is_null() && !operation.responses().contains_key("401"));
    }
}

/// The document declares the responses of the layers: rejected hosts, origins, read-only keys and rate limits.
pub(super) async fn responses_of_layers_are_declared(repository: Repository) {
    let hosts = Hosts::Loopback(Vec::new());
    let local = Settings { hosts, ..Settings::default() };
    let local = Client::with_settings(repository.clone(), Access::Anonymous, local);
    let limited = Settings { rate_limit: NonZeroU32::new(1), ..Settings::default() };
    let limited = Client::with_settings(repository.clone(), Access::Key(ApiKey::new(KEY.1)), limited);
    let named = Client::with(repository, Access::Keys(access::keys()));
    let document = Document::of(&named).await;
    for operation in document.operations() {
        let (line, headers, body) = example(&operation);
        let send = async |client: &Client, header: &[(&str, &str)]| {
            let answer = client.request(request(&line, &[&headers, header].concat(), &body)).await;
            document.check(&line, &answer);
            answer.status
        };
        let counts = !["/health", "/ready", "/metrics"].contains(&operation.path);
        assert_eq!(send(&local, &[("host", "elsewhere.example")]).await == 421, operation.path != "/health", "{line}");
        if operation.method != "GET" {
            assert_eq!(send(&local, &[("host", "localhost"), ("sec-fetch-site", "cross-site")]).await, 403, "{line}");
            assert_eq!(send(&named, &[("x-api-key", "of the wall")]).await, 403, "{line}");
        }
        let mut is_limited = false;
        for _ in 0..10 {
            is_limited |= send(&limited, &[KEY]).await == 429;
        }
        assert_eq!(is_limited, counts, "{line}");
    }
}

pub(super) async fn undeclared_methods_and_paths_are_rejected(repository: Repository) {
    let client = Client::new(repository);
    let document = Document::of(&client).await;
    let paths: HashSet<_> = document.operations().map(|operation| operation.path.to_owned()).collect();
    for path in &paths {
        let declared: Vec<_> = document.operations().filter(|operation| operation.path == path).collect();
        let is_declared = |method: &str| declared.iter().any(|operation| operation.method == method);
        let address = path.replace("{id}", ID).replace("{revision}", "1").replace("{file}", "index.css");
        for method in METHODS.into_iter().chain(["OPTIONS", "TRACE", "QUERY"]).filter(|method| !is_declared(method)) {
            let answer = client.send(&format!("{method} {address}"), &[], "").await;
            let allowed: HashSet<_> = answer.headers["allow"].to_str().unwrap().split(',').collect();
            let mut expected: HashSet<_> = declared.iter().map(|operation| operation.method).collect();
            expected.extend(is_declared("GET").then_some("HEAD"));
            let status = if method == "OPTIONS" { 204 } else { 405 };
            assert_eq!((answer.status, allowed), (status, expected), "{method} {address}");
        }
        for similar in [format!("{address}/more"), format!("{address}x"), format!("{address}/")] {
            // `/api/flowsx/export` is unknown, but `/api/flows/exportx` matches the path of a flow.
            let may_be_an_id = similar.starts_with("/api/flows/") && !similar.ends_with('/');
            if !paths.contains(&similar) && !may_be_an_id {
                assert_eq!(client.send(&format!("GET {similar}"), &[], "").await.status, 404, "{similar}");
            }
        }
    }
}

pub(super) async fn the_server_accepts_exactly_the_declared_parameters(repository: Repository) {
    let client = super::client::edited(repository).await;
    let document = Document::of(&client).await;
    let mut numbers = 0;
    for operation in document.operations().filter(|operation| operation.method == "GET") {
        let (line, ..) = example(&operation);
        for parameter in operation.parameters().iter().filter(|parameter| parameter["in"] == "query") {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let status = async |value: &str| client.send(&format!("{line}?{name}={value}"), &[], "").await.status;
            if let (Some(least), Some(most)) = (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
                numbers += 1;
                // With the maximum `wait`, the request would take a minute.
                let most_here = if name == "wait" { least } else { most };
                // Most valid revisions do not exist.
                let expected = if matches!(name, "from" | "to") { &[200, 404][..] } else { &[200] };
                for value in [least, most_here] {
                    let status = status(&value.to_string()).await;
                    assert!(expected.contains(&status), "{line} {name}={value}: {status}");
                }
                for value in [least as i128 - 1, most as i128 + 1] {
                    assert_eq!(status(&value.to_string()).await, 400, "{line} {name}={value}");
                }
            } else if let Some(values) = schema["enum"].as_array() {
                for value in values {
                    assert_eq!(status(value.as_str().unwrap()).await, 200, "{line} {name}={value}");
                }
                assert_eq!(status("other").await, 400, "{line} {name}");
            } else if schema["type"] == "boolean" {
                for (value, expected) in [("true", 200), ("false", 200), ("1", 400)] {
                    assert_eq!(status(value).await, expected, "{line} {name}={value}");
                }
            }
        }
        assert_eq!(client.send(&format!("{line}?_=1"), &[], "").await.status, client.send(&line, &[], "").await.status);
    }
    assert!(numbers >= 5);
}

/// Each operation has descriptions, and its examples match their schemas.
pub(super) async fn every_operation_has_a_description(repository: Repository) {
    let client = Client::with(repository, Access::Key(ApiKey::new(KEY.1)));
    let document = Document::of(&client).await;
    let mut ids = HashSet::new();
    for operation in document.operations() {
        let (name, declared) = (operation.name(), operation.declared);
        assert!(declared["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{name}");
        assert!(ids.insert(declared["operationId"].as_str().unwrap()), "{name}");
        assert!(operation.responses().keys().any(|status| status.starts_with(['4', '5'])), "{name}");
        for parameter in operation.parameters() {
            assert!(parameter["description"].is_string(), "{name}: {parameter}");
            let schema = parameter.get("schema").unwrap_or(&parameter["content"]["application/json"]["schema"]);
            assert!(schema.is_object(), "{name}: {parameter}");
            // Generated clients would send the example of an optional parameter.
            let example = parameter.get("example");
            assert_eq!(example.is_some(), parameter["required"] == true, "{name}: {parameter}");
            let checked = example.map_or(Ok(()), |example| document.validate(schema, example));
            checked.unwrap_or_else(|error| panic!("{name}: {parameter}: {error}"));
        }
        let bodies = operation.responses().values().chain([&declared["requestBody"]]);
        for (media_type, content) in bodies.filter_map(|body| body["content"].as_object()).flatten() {
            let examples = content["examples"].as_object().into_iter().flat_map(|examples| examples.values());
            let examples: Vec<_> = examples.map(|example| &example["value"]).chain(content.get("example")).collect();
            assert!(!examples.is_empty(), "{name}: {media_type}");
            for example in examples {
                document.validate(&content["schema"], example).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }
    let text = document.raw().to_string();
    let is_control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    assert!(!text.chars().any(is_control), "YAML 1.2 permits no control characters");
    assert_eq!(document.raw()["servers"][0]["url"], "/");
    for (_, reference) in text.match_indices("\"#/components/schemas/").map(|(at, _)| text[at + 22..].split_at(0)) {
        let name = reference.split('"').next().unwrap();
        assert!(document.raw()["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn storage_errors_are_declared() {
    let (failing, client) = failures::failing();
    let document = Document::of(&client).await;
    let mut seen = Seen::default();
    for operation in document.operations() {
        let (line, headers, body) = example(&operation);
        let calls_storage = operation.responses().contains_key("503")
            && operation.path != "/ready"
            && (operation.path, operation.method) != ("/api/flows/check", "POST");
        let writes = calls_storage && operation.declared["requestBody"].is_object() || operation.method == "DELETE";
        let unavailable = RepositoryError::Unavailable {
            reason: "gone".to_owned(),
            retry_after: Duration::from_secs(1),
            outcome_unknown: true,
        };
        let corrupt = RepositoryError::Corrupt("x".to_owned());
        let errors = [Some(unavailable), writes.then_some(RepositoryError::ReadOnlyInstance), Some(corrupt), None];
        for (error, status) in errors.into_iter().zip([503, 403, 500, 500]) {
            if status == 403 && error.is_none() {
                continue;
            }
            failing.fail_with(error);
            let answer = client.request(request(&line, &headers, &body)).await;
            document.check(&line, &answer);
            // An export opens a snapshot, and a WebSocket needs a connection before the server calls the storage.
            if calls_storage && !["/api/flows/export", "/api/ws"].contains(&operation.path) {
                assert_eq!(answer.status, status, "{line}");
            }
            seen.add(&operation, answer.status);
        }
    }
    let missing = seen.missing(&document, &[]);
    let missing: Vec<_> = missing.iter().filter(|missing| missing.ends_with("503")).collect();
    assert_eq!(
        missing,
        ["POST /api/flows/check 503", "GET /api/flows/export 503", "GET /api/ws 503"],
        "exports.rs and last_known.rs cover these"
    );
}
