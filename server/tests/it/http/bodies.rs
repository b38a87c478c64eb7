//! Invalid bodies: the response is a 4xx that names the location, and nothing is written.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use strom_store::FlowRepository;
use strom_store::flow::MAX_SIZE;
use strom_store::repository::ListQuery;

use super::client::{Client, ID, OTHER_ID, flow, problem, problem_with};

type Repository = Arc<dyn FlowRepository>;

const NAME: &str = r#""name":"a""#;

fn with_id(members: &str) -> String {
    format!(r#"{{"id":"{ID}",{members}}}"#)
}

/// Returns invalid documents, each with the path of the invalid value and the reason.
fn invalid_documents() -> Vec<(String, &'static str, String)> {
    let deep = format!(r#"{NAME},"x":{}{}"#, "[".repeat(128), "]".repeat(128));
    let deep_path: &str = Box::leak(format!("$.x{}", "[0]".repeat(127)).into_boxed_str());
    let long = "n".repeat(256);
    let cases: Vec<(String, &str, &str)> = vec![
        ("[]".into(), "$", "expected an object, found an array"),
        (with_id(r#""x":1"#), "$.name", "missing"),
        (with_id(r#""name":7"#), "$.name", "expected a string, found a number"),
        (with_id(r#""name":" ""#), "$.name", "the name is empty"),
        (with_id(&format!(r#""name":"{long}""#)), "$.name", "the name has 256 bytes, at most 255 are allowed"),
        (format!(r#"{{"id":7,{NAME}}}"#), "$.id", "expected a string, found a number"),
        (format!(r#"{{"id":"7",{NAME}}}"#), "$.id", "not a UUID"),
        (with_id(&format!(r#"{NAME},"x":"\u0000""#)), "$.x", "contains the character U+0000, which cannot be stored"),
        (
            with_id(&format!(r#"{NAME},"x":["\ud800"]"#)),
            "$.x[0]",
            "contains a lone surrogate, which is not a character",
        ),
        (with_id(&format!(r#"{NAME},{NAME}"#)), "$.name", "the member is duplicated in one object"),
        (
            with_id(&format!(r#"{NAME},"x":1e200000"#)),
            "$.x",
            "the number has over 131072 digits before or 16383 digits after the decimal point",
        ),
        (with_id(&deep), deep_path, "nested deeper than 128 levels"),
    ];
    cases.into_iter().map(|(body, path, reason)| (body, path, reason.to_owned())).collect()
}

/// Returns the formatted response for an invalid document.
fn refusal(path: &str, reason: &str) -> String {
    let detail = format!("`{path}`: {reason}");
    problem_with(422, "refused", "the document cannot be stored", &detail, json!({ "path": path }))
}

pub(super) async fn invalid_documents_are_rejected_and_not_stored(repository: Repository) {
    let client = Client::new(repository.clone());
    for (body, path, reason) in invalid_documents() {
        let shown = client.shown_with("POST /api/flows", &body).await;
        assert_eq!(shown, refusal(path, &reason), "{body:.80}");
    }
    assert!(repository.list(&ListQuery::default()).await.unwrap().items.is_empty(), "nothing was written");

    let stored = with_id(NAME);
    client.send("POST /api/flows", &[], &stored).await;
    let put = format!("PUT /api/flows/{ID}");
    for (body, path, reason) in invalid_documents() {
        assert_eq!(client.shown_with(&put, &body).await, refusal(path, &reason), "{body:.80}");
    }
    assert_eq!(client.shown_with(&put, &format!("{{{NAME}}}")).await, refusal("$.id", "missing"));
    let detail = format!("the id in the path is {ID}, but `$.id` is {OTHER_ID}");
    let mismatch = problem(400, "id-mismatch", "the ids in body and path differ", &detail);
    assert_eq!(client.shown_with(&put, &stored.replace(ID, OTHER_ID)).await, mismatch);

    let patch = format!("PATCH /api/flows/{ID}/properties");
    for (body, path, reason) in [
        ("[]", "$", "expected an object, found an array"),
        ("{}", "$.properties", "missing"),
        (r#"{"properties":null}"#, "$.properties", "expected an object, found null"),
        (r#"{"properties":{"x":"\u0000"}}"#, "$.properties.x", "contains the character U+0000, which cannot be stored"),
    ] {
        assert_eq!(client.shown_with(&patch, body).await, refusal(path, reason));
    }
    assert_eq!(client.shown(&format!("GET /api/flows/{ID}")).await, flow(200, 1, &stored), "nothing was written");
}

pub(super) async fn bodies_that_are_not_json_are_rejected(repository: Repository) {
    let client = Client::new(repository.clone());
    let document = with_id(NAME);
    let post = |content_type: Option<&str>, body: Vec<u8>| {
        let request = Request::post("/api/flows");
        let request = content_type.into_iter().fold(request, |request, value| request.header("content-type", value));
        client.request(request.body(Body::from(body)).unwrap())
    };
    let detail = "send `Content-Type: application/json`";
    let unsupported = problem(415, "unsupported-media-type", "unsupported media type", detail);
    for content_type in [None, Some(""), Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("json")] {
        assert_eq!(post(content_type, document.clone().into()).await.shown(), unsupported, "{content_type:?}");
    }
    let json = Some("application/json");
    let detail = "the body is not valid UTF-8 at byte 10 (counted from 0)";
    let invalid = problem(400, "invalid-body", "invalid body", detail);
    assert_eq!(post(json, b"{\"name\": \"\xff\"}".to_vec()).await.shown(), invalid);
    for (body, path) in [("", "$"), ("{", "$"), ("{\"name\":}", "$.name"), ("name=a", "$"), ("{} {}", "$")] {
        let answer = post(json, body.into()).await;
        let problem = answer.json();
        let kind = "urn:strom:problem:invalid-body";
        assert_eq!((answer.status, &problem["path"], &problem["type"]), (400, &json!(path), &json!(kind)));
        let start = format!("`{path}`: not JSON at line 1, column ");
        assert!(problem["detail"].as_str().unwrap().starts_with(&start), "{problem}");
    }
    assert!(repository.list(&ListQuery::default()).await.unwrap().items.is_empty(), "nothing was written");

    for content_type in ["Application/JSON; charset=utf-8", "application/vnd.strom.flow+json"] {
        assert_eq!(post(Some(content_type), format!("{{{NAME}}}").into()).await.status, 201, "{content_type}");
    }
}

pub(super) async fn bodies_over_the_limit_return_413(repository: Repository) {
    let client = Client::new(repository.clone());
    let padded = |bytes: usize| {
        let document = with_id(NAME);
        format!("{document}{}", " ".repeat(bytes - document.len()))
    };
    let detail = format!("the body has over {MAX_SIZE} bytes");
    let too_large = problem(413, "too-large", "too large", &detail);
    assert_eq!(client.shown_with("POST /api/flows", &padded(MAX_SIZE + 1)).await, too_large);
    assert_eq!(client.send("POST /api/flows", &[], &padded(MAX_SIZE)).await.status, 201);

    // The body is within the limit. The document is not, because `1e100000` is stored with all its digits.
    let numbers = vec!["1e100000"; 200].join(",");
    let document = format!(r#"{{{NAME},"x":[{numbers}]}}"#);
    let detail = format!("`$`: the document has over {MAX_SIZE} bytes, with numbers written in full");
    let too_large = problem_with(413, "too-large", "too large", &detail, json!({ "path": "$" }));
    assert_eq!(client.shown_with("POST /api/flows", &document).await, too_large);
}

pub(super) async fn envelopes_and_byte_order_marks_are_accepted(repository: Repository) {
    let client = Client::new(repository);
    let document = |name: &str| format!(r#"{{"id":"{ID}","name":"{name}"}}"#);
    let enclosed = |name: &str| format!("\u{feff} {{\"warnings\": [], \"flow\": {}}}", document(name));
    let created = client.send("POST /api/flows", &[], &enclosed("one")).await;
    assert_eq!((created.status, &created.json()["flow"]["name"]), (201, &json!("one")));
    assert_eq!(created.json()["flow"].get("flow"), None);

    let path = format!("/api/flows/{ID}");
    for (line, name, revision) in [("PUT", "two", 2), ("POST", "three", 3)] {
        let saved = client.send(&format!("{line} {path}"), &[], &enclosed(name)).await;
        assert_eq!(saved.shown(), flow(200, revision, &document(name)));
    }
    let merge = [("content-type", "application/merge-patch+json")];
    let patch = async |body: String| {
        let request = Request::patch(&path).header(merge[0].0, merge[0].1).body(Body::from(body)).unwrap();
        client.request(request).await.shown()
    };
    assert_eq!(patch(format!("\u{feff}{{\"flow\":{}}}", document("four"))).await, flow(200, 4, &document("four")));
    let member = format!(r#"{{"id":"{ID}","name":"four","flow":{{"id":"x"}}}}"#);
    assert_eq!(patch(r#"{"flow":{"id":"x"}}"#.to_owned()).await, flow(200, 5, &member), "a member of this name");
    let read = client.send(&format!("GET {path}"), &[], "").await.body;
    assert_eq!(client.shown_with(&format!("PUT {path}"), &read).await, flow(200, 5, &member), "as it was read");

    let properties = client.send(&format!("PATCH {path}/properties"), &[], "\u{feff}{\"properties\":{}}").await;
    assert_eq!(properties.status, 200);
    for invalid in [r#"{"flow":[]}"#, r#"{"flow":{}}"#, r#"{"flow":{"name":"a"},"flow":{"name":"b"}}"#] {
        assert_eq!(client.send("POST /api/flows", &[], invalid).await.status, 422, "{invalid}");
    }
    let import = format!("[{read}, {{\"flow\": {{\"id\": \"{OTHER_ID}\", \"name\": \"b\"}}}}]");
    let report = client.send("POST /api/flows/import", &[], &import).await.json();
    assert_eq!((&report["unchanged"], &report["created"]), (&json!(1), &json!(1)), "{report}");
}
