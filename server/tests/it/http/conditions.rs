//! `If-Match` and `If-None-Match` (RFC 9110, section 13).

use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value, json};
use strom_store::FlowRepository;

use super::client::{
    Answer, Client, ID, OTHER_ID, created, document, edited, flow, no_such_flow, problem, problem_with,
};

type Repository = Arc<dyn FlowRepository>;

/// Returns the formatted response to an outdated change of the flow at revision 2, as [`without_time`] formats it.
fn stale(difference: Value) -> String {
    let current = json!({ "revision": 2, "at": "then", "author": "anonymous", "flow": { "id": ID, "name": "two" } });
    failed("the flow is at revision 2; nothing was written", json!({ "current": current, "difference": difference }))
}

/// Returns the formatted response to a failed precondition.
fn failed(detail: &str, further: Value) -> String {
    problem_with(412, "precondition-failed", "the precondition failed", detail, further)
}

/// Formats a response, with a placeholder for the time of the current flow.
fn without_time(mut answer: Answer) -> String {
    let mut body = answer.json();
    let at = body["current"]["at"].take();
    assert!(at.as_str().is_some_and(|at| at.ends_with('Z')), "{at}");
    body["current"]["at"] = "then".into();
    answer.body = body.to_string();
    answer.shown()
}

/// Returns a difference that contains only a changed name.
fn renamed(from: &str, to: &str) -> Value {
    let words = format!("`name` was changed from \"{from}\" to \"{to}\"");
    json!({ "changes": [{ "path": "$.name", "kind": "changed", "words": words }], "more": 0 })
}

pub(super) async fn put_honours_if_match(repository: Repository) {
    let client = edited(repository).await;
    for method in ["PUT", "POST"] {
        let line = format!("{method} /api/flows/{ID}");
        for wrong in ["\"1\"", "\"3\", \"1\""] {
            let answer = client.send(&line, &[("if-match", wrong)], &document("three")).await;
            let both = json!({ "base": 1, "theirs": renamed("one", "two"), "yours": renamed("one", "three") });
            assert_eq!(without_time(answer), stale(both), "{wrong}");
        }
        for unknown in ["\"3\"", "W/\"3\"", "\"2-x\"", "\"02\"", "\"99999999999999999999\"", "\"two\""] {
            let answer = client.send(&line, &[("if-match", unknown)], &document("three")).await;
            assert_eq!(without_time(answer), stale(json!({ "between": renamed("three", "two") })), "{unknown}");
        }
    }
    let line = format!("PUT /api/flows/{ID}");
    let answer = client.send(&line, &[("if-match", "\"7\""), ("if-match", "\"2\"")], &document("three")).await;
    assert_eq!(answer.shown(), flow(200, 3, &document("three")));
    let answer = client.send(&line, &[("if-match", "*")], &document("four")).await;
    assert_eq!(answer.shown(), flow(200, 4, &document("four")));
    for (revision, tag) in (4..).zip(["W/\"4\"", "\"5-gzip\"", "\"6;gzip\"", "W/\"7--br\""]) {
        let answer = client.send(&line, &[("if-match", tag)], &document(tag.trim_matches(['W', '/', '"']))).await;
        assert_eq!((answer.status, answer.headers["etag"].to_str().unwrap()), (200, &*format!("\"{}\"", revision + 1)));
    }

    let other = document("x").replace(ID, OTHER_ID);
    for condition in ["\"1\"", "*", "W/\"1\"", "\"1\",\"2\""] {
        let answer = client.send(&format!("PUT /api/flows/{OTHER_ID}"), &[("if-match", condition)], &other).await;
        assert_eq!(answer.shown(), no_such_flow(OTHER_ID), "{condition}");
    }
}

pub(super) async fn put_with_if_none_match_creates_a_new_flow_only(repository: Repository) {
    let client = Client::new(repository);
    let line = format!("PUT /api/flows/{ID}");
    let absent = [("if-none-match", "*")];
    assert_eq!(client.send(&line, &absent, &document("one")).await.shown(), created(ID, 1, &document("one")));
    let current = json!({ "revision": 1, "at": "then", "author": "anonymous", "flow": { "id": ID, "name": "one" } });
    let difference = json!({ "between": renamed("two", "one") });
    let exists = failed("the flow already exists", json!({ "current": current, "difference": difference }));
    assert_eq!(without_time(client.send(&line, &absent, &document("two")).await), exists);
    assert_eq!(client.shown(&format!("GET /api/flows/{ID}")).await, flow(200, 1, &document("one")));
}

pub(super) async fn delete_honours_if_match(repository: Repository) {
    let client = edited(repository).await;
    let line = format!("DELETE /api/flows/{ID}");
    let answer = client.send(&line, &[("if-match", "\"1\"")], "").await;
    assert_eq!(without_time(answer), stale(json!({ "base": 1, "theirs": renamed("one", "two") })));
    assert_eq!(client.send(&line, &[("if-match", "\"1\", \"2\"")], "").await.shown(), "204");
    // Only a client that sends a revision receives the deletion. For other clients, the flow may never have existed.
    let body = client.send(&line, &[("if-match", "\"2\"")], "").await.json();
    assert!(body["deleted"]["at"].is_string(), "{body}");
    let deletion = (&body["status"], &body["deleted"]["revision"], &body["deleted"]["author"]);
    assert_eq!(deletion, (&json!(404), &json!(3), &json!("anonymous")));
    assert_eq!(client.send(&line, &[("if-match", "*")], "").await.shown(), no_such_flow(ID));
}

pub(super) async fn patch_of_properties_honours_if_match(repository: Repository) {
    let client = edited(repository).await;
    let line = format!("PATCH /api/flows/{ID}/properties");
    let body = r#"{"properties":{"x":1}}"#;
    let words = "`properties` was added: {\"x\":1}";
    let yours = json!({ "changes": [{ "path": "$.properties", "kind": "added", "words": words }], "more": 0 });
    let answer = client.send(&line, &[("if-match", "\"1\"")], body).await;
    let both = json!({ "base": 1, "theirs": renamed("one", "two"), "yours": yours });
    assert_eq!(without_time(answer), stale(both));
    let answer = client.send(&line, &[("if-match", "\"2\"")], body).await;
    assert_eq!(answer.shown(), flow(200, 3, &format!(r#"{{"id":"{ID}","name":"two","properties":{{"x":1}}}}"#)));
}

pub(super) async fn matching_if_none_match_returns_304(repository: Repository) {
    let client = edited(repository).await;
    let line = format!("GET /api/flows/{ID}");
    for known in ["\"2\"", "W/\"2\"", "\"1\", \"2\"", "*"] {
        let answer = client.send(&line, &[("if-none-match", known)], "").await;
        assert_eq!(answer.shown(), "304\netag: \"2\"", "{known}");
    }
    let answer = client.send(&line, &[("if-none-match", "\"1\"")], "").await;
    assert_eq!(answer.shown(), flow(200, 2, &document("two")));
    let unknown = client.send(&format!("GET /api/flows/{OTHER_ID}"), &[("if-none-match", "*")], "").await;
    assert_eq!(unknown.shown(), no_such_flow(OTHER_ID));

    // The tag is the revision, so a report of an engine does not change it.
    let playing = document("two").replace("}", ",\"gst_state\":\"Playing\"}");
    client.send(&format!("PUT /api/flows/{ID}"), &[], &playing).await;
    assert_eq!(client.send(&line, &[("if-none-match", "\"2\"")], "").await.status, 304);
    assert_eq!(client.shown(&line).await, flow(200, 2, &playing));
}

pub(super) async fn invalid_preconditions_return_400(repository: Repository) {
    let client = edited(repository).await;
    let refused = |detail: &str| problem(400, "invalid-header", "invalid header", detail);
    let path = format!("/api/flows/{ID}");

    let tags = "must be `*` or a list of entity tags such as `\"3\"`, with quotes";
    for (line, name) in [("PUT", "if-match"), ("DELETE", "if-match"), ("GET", "if-none-match")] {
        let body = if line == "PUT" { document("three") } else { String::new() };
        let answer = client.send(&format!("{line} {path}"), &[(name, "2")], &body).await;
        assert_eq!(answer.shown(), refused(&format!("`{name}` {tags}")));
    }
    let put = |headers: &'static [(&'static str, &'static str)]| {
        let (client, line) = (&client, format!("PUT {path}"));
        async move { client.send(&line, headers, &document("three")).await.shown() }
    };
    let only_any = refused("writes support only `If-None-Match: *`");
    assert_eq!(put(&[("if-none-match", "\"1\"")]).await, only_any);
    let not_both = refused("send `If-Match` or `If-None-Match`, not both");
    assert_eq!(put(&[("if-none-match", "*"), ("if-match", "\"1\"")]).await, not_both);
    let meaningless = refused("this route does not support `If-None-Match`");
    let answer = client.send(&format!("POST {path}"), &[("if-none-match", "*")], &document("three")).await;
    assert_eq!(answer.shown(), meaningless);
    assert_eq!(client.send(&format!("DELETE {path}"), &[("if-none-match", "*")], "").await.shown(), meaningless);

    assert_eq!(client.shown(&format!("GET {path}")).await, flow(200, 2, &document("two")), "nothing was written");
}

pub(super) async fn concurrent_patches_of_properties_are_all_stored(repository: Repository) {
    let client = edited(repository).await;
    let line = format!("PATCH /api/flows/{ID}/properties");
    let answers = join_all((0..4).map(|n| {
        let (client, line) = (&client, &line);
        async move { client.send(line, &[], &format!(r#"{{"properties":{{"n":{n}}}}}"#)).await.status }
    }));
    assert_eq!(answers.await, [200; 4]);
    let answer = client.send(&format!("GET /api/flows/{ID}"), &[], "").await;
    assert_eq!(answer.headers["etag"], "\"6\"");
}
