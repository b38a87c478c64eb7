//! What saves are answered with, states that engines report, and what is suspicious about flows.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use strom::FlowRepository;

use super::client::{Client, ID, OTHER_ID, flow, no_such_flow, problem, problem_with};

type Repository = Arc<dyn FlowRepository>;

pub(super) async fn a_reported_state_makes_no_revision(repository: Repository) {
    let client = Client::new(repository.clone());
    client.send("POST /api/flows", &[], &format!(r#"{{"id":"{ID}","name":"one"}}"#)).await;
    let line = format!("PUT /api/flows/{ID}/state");
    let reported = format!(r#"{{"id":"{ID}","name":"one","gst_state":"Playing","running":true}}"#);
    assert_eq!(client.shown_with(&line, r#"{"state":"Playing"}"#).await, flow(200, 1, &reported));
    assert_eq!(client.shown(&format!("GET /api/flows/{ID}")).await, flow(200, 1, &reported));
    let edited = reported.replace("one", "two");
    let answer = client.send(&format!("PUT /api/flows/{ID}"), &[("if-match", "\"1\"")], &edited).await;
    assert_eq!(answer.shown(), flow(200, 2, &edited), "a report is nobody's conflict");

    let unknown = "`$.state`: a state is one of `Null`, `Ready`, `Paused`, `Playing`";
    let refused =
        |detail: &str, further| problem_with(422, "refused", "the document cannot be stored", detail, further);
    let answer = client.shown_with(&line, r#"{"state":"playing"}"#).await;
    assert_eq!(answer, refused(unknown, json!({ "path": "$.state" })));
    for wrong in ["{}", r#"{"state":1}"#, r#"{"state":"Null","flow":1}"#, "[]"] {
        let answer = client.send(&line, &[], wrong).await;
        assert_eq!(answer.status, 422, "{wrong}: {}", answer.body);
    }
    assert_eq!(client.send(&line, &[], "{").await.status, 400);
    let other = client.shown_with(&line.replace(ID, OTHER_ID), r#"{"state":"Null"}"#).await;
    assert_eq!(other, no_such_flow(OTHER_ID));
    let stored = repository.get(ID.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.item.head().state.as_str(), "Playing");
}

pub(super) async fn a_client_may_prefer_no_body(repository: Repository) {
    let client = Client::new(repository);
    let document = format!(r#"{{"id":"{ID}","name":"one"}}"#);
    let minimal = [("prefer", "respond-async, Return=\"minimal\"; x=1")];
    let answer = client.send("POST /api/flows", &minimal, &document).await;
    assert_eq!(answer.shown(), format!("201\netag: \"1\"\nlocation: /api/flows/{ID}"));
    assert_eq!(answer.headers["preference-applied"], "return=minimal");
    let answer = client.send(&format!("PUT /api/flows/{ID}"), &minimal, &document.replace("one", "two")).await;
    assert_eq!(answer.shown(), "204\netag: \"2\"");
    let answer = client.send(&format!("PUT /api/flows/{ID}"), &[("prefer", "return=representation")], &document).await;
    assert_eq!(answer.shown(), flow(200, 3, &document));
}

pub(super) async fn what_is_suspicious_is_said_and_stored(repository: Repository) {
    let client = Client::new(repository);
    let document = format!(r#"{{"id":"{ID}","name":"one","links":[{{"from":"a:src","to":"b"}}]}}"#);
    let warning = |end: &str, id: &str| {
        let message = format!("no element or block has the id of this end, `{id}`");
        json!({ "path": format!("$.links[0].{end}"), "message": message })
    };
    let warnings = json!([warning("from", "a:src"), warning("to", "b")]);
    let answer = client.send("POST /api/flows", &[], &document).await;
    assert_eq!(answer.json()["warnings"], warnings);
    assert_eq!(answer.json()["flow"], serde_json::from_str::<serde_json::Value>(&document).unwrap());
    let checked = client.send(&format!("GET /api/flows/{ID}/check"), &[], "").await;
    assert_eq!(checked.shown(), format!("200\ncontent-type: application/json\n{}", json!({ "warnings": warnings })));
    assert_eq!(client.shown(&format!("GET /api/flows/{ID}")).await, flow(200, 1, &document));
    let unknown = client.shown(&format!("GET /api/flows/{OTHER_ID}/check")).await;
    assert_eq!(unknown, no_such_flow(OTHER_ID));
}

pub(super) async fn two_flows_that_claim_one_port_are_told_apart(repository: Repository) {
    let client = Client::new(repository);
    let listener = |id: &str, name: &str, auto_restart: bool| {
        json!({
            "id": id, "name": name, "properties": { "auto_restart": auto_restart },
            "elements": [{ "id": "in", "element_type": "srtsrc", "properties": { "uri": "srt://:5000?mode=listener" } }],
        })
        .to_string()
    };
    client.send("POST /api/flows", &[], &listener(ID, "one", true)).await;
    let answer = client.send("POST /api/flows", &[], &listener(OTHER_ID, "two", false)).await;
    assert_eq!(answer.json().get("warnings"), None, "it does not start by itself");
    let answer = client.send(&format!("PUT /api/flows/{OTHER_ID}"), &[], &listener(OTHER_ID, "two", true)).await;
    let message = format!("the SRT listener port 5000 is also claimed by the flow one ({ID})");
    let warnings = json!([{ "path": "$.elements[0].properties.uri", "message": message }]);
    assert_eq!(answer.json()["warnings"], warnings);
    let checked = client.send(&format!("GET /api/flows/{ID}/check"), &[], "").await;
    assert_eq!(checked.json()["warnings"].as_array().unwrap().len(), 1);
}

pub(super) async fn clients_find_the_collections_they_ask_for(repository: Repository) {
    let client = Client::new(repository);
    for (path, name) in [("elements", "elements"), ("blocks", "blocks"), ("network/interfaces", "interfaces")] {
        let empty = format!("200\ncontent-type: application/json\n{{\"{name}\":[]}}");
        assert_eq!(client.shown(&format!("GET /api/{path}")).await, empty);
    }
    let offer = json!({
        "id": ID, "name": "one", "running": true, "blocks": [
            { "id": "out", "block_definition_id": "builtin.inter_output", "properties": { "description": "clean" } },
            { "id": "in", "block_definition_id": "builtin.inter_input", "properties": {} },
            7,
        ],
    });
    client.send("POST /api/flows", &[], &offer.to_string()).await;
    client.send("POST /api/flows", &[], &format!(r#"{{"id":"{OTHER_ID}","name":"two"}}"#)).await;
    let sources = json!({ "sources": [{ "flow_id": ID, "flow_name": "one", "outputs": [{
        "name": "out", "channel_name": format!("strom_{ID}_out"), "flow_name": "one", "description": "clean",
        "media_type": "generic", "is_active": true,
    }] }] });
    let shown = client.shown("GET /api/sources").await;
    assert_eq!(shown, format!("200\ncontent-type: application/json\n{sources}"));
    let missing = problem(404, "no-such-route", "no such route", "there is nothing at `/api/network`");
    assert_eq!(client.shown("GET /api/network").await, missing);
}

pub(super) async fn a_create_that_is_sent_twice_creates_once(repository: Repository) {
    let client = Client::new(repository);
    let send = async |key: &str, body: &str| client.send("POST /api/flows", &[("idempotency-key", key)], body).await;
    let first = send("k1", r#"{"name":"one"}"#).await;
    let id = first.json()["flow"]["id"].as_str().unwrap().to_owned();
    assert_eq!((first.status, first.headers.get("idempotency-replayed")), (201, None));
    let path = format!("/api/flows/{id}");
    client.send(&format!("PUT {path}"), &[], &format!(r#"{{"id":"{id}","name":"two"}}"#)).await;

    let again = send("k1", r#"{ "name": "one" }"#).await;
    assert_eq!((again.shown(), &again.headers["idempotency-replayed"]), (first.shown(), &"true".parse().unwrap()));
    client.send(&format!("DELETE {path}"), &[], "").await;
    assert_eq!(send("k1", r#"{"name":"one"}"#).await.shown(), first.shown());
    assert_eq!(client.send(&format!("GET {path}"), &[], "").await.status, 404, "it comes back to nobody's life");

    let reused = problem(422, "key-reused", "the idempotency key was used before", "it came with another flow before");
    assert_eq!(send("k1", r#"{"name":"other"}"#).await.shown(), reused);
    assert_ne!(send("k2", r#"{"name":"one"}"#).await.json()["flow"]["id"], id);
    let detail = "`Idempotency-Key` is sent once and has from 1 to 255 bytes";
    let invalid = problem(400, "invalid-header", "a header field is wrong", detail);
    assert_eq!(send(&"k".repeat(256), r#"{"name":"one"}"#).await.shown(), invalid);

    // With an id of the client's own, a retry is answered as the first and a stranger's flow exists.
    let own = format!(r#"{{"id":"{ID}","name":"one"}}"#);
    let first = send("k3", &own).await;
    assert_eq!(send("k3", &own).await.shown(), first.shown());
    assert_eq!(send("k3", &own.replace("one", "two")).await.status, 409);

    let racing = futures::future::join_all((0..8).map(|_| send("k4", r#"{"name":"race"}"#))).await;
    assert!(racing.iter().all(|answer| answer.shown() == racing[0].shown()), "{racing:?}");
    assert_eq!(client.send("GET /api/flows?name=race", &[], "").await.json()["flows"].as_array().unwrap().len(), 1);
}

pub(super) async fn patches_change_a_part(repository: Repository) {
    let client = Client::new(repository);
    let document = format!(r#"{{"id":"{ID}","name":"one","x":{{"y":18446744073709551617,"z":[1,2]}}}}"#);
    client.send("POST /api/flows", &[], &document).await;
    let patch = async |kind: &str, etag: &str, patch: &str| {
        let request = Request::patch(format!("/api/flows/{ID}")).header("content-type", kind).header("if-match", etag);
        client.request(request.body(Body::from(patch.to_owned())).unwrap()).await
    };
    let (merge, list) = ("application/merge-patch+json", "application/json-patch+json; charset=utf-8");
    let two = document.replace("one", "two").replace(",2]", ",2],\"new\":true");
    let answer = patch(merge, "\"1\"", r#"{"name":"two","x":{"new":true},"absent":null}"#).await;
    assert_eq!(answer.shown(), flow(200, 2, &two));
    assert!(answer.body.contains("18446744073709551617"));
    let three = two.replace("[1,2]", "[2]");
    let operations = r#"[{"op":"test","path":"/x/z/0","value":1.0},{"op":"remove","path":"/x/z/0"}]"#;
    assert_eq!(patch(list, "*", operations).await.shown(), flow(200, 3, &three));

    let again = "operation 0: another value is there: `/x/z/0`";
    let conflict = problem(409, "patch-conflict", "the patch does not fit the flow", again);
    assert_eq!(patch(list, "*", operations).await.shown(), conflict);
    assert_eq!(patch(merge, "\"2\"", r#"{"name":"four"}"#).await.status, 412);
    let refused =
        |detail: &str, further| problem_with(422, "refused", "the document cannot be stored", detail, further);
    let missing = refused("`$.name`: missing", json!({ "path": "$.name" }));
    assert_eq!(patch(merge, "*", r#"{"name":null}"#).await.shown(), missing);
    let invalid = refused("a patch is an array of operations", json!({}));
    assert_eq!(patch(list, "*", "{}").await.shown(), invalid);
    let other = format!("the patch makes {OTHER_ID} of the id {ID}");
    let mismatch = problem(400, "id-mismatch", "the body and the path name different flows", &other);
    assert_eq!(patch(merge, "*", &format!(r#"{{"id":"{OTHER_ID}"}}"#)).await.shown(), mismatch);
    let detail = "send `application/merge-patch+json` or `application/json-patch+json`";
    let unsupported = problem(415, "unsupported-media-type", "unsupported media type", detail);
    assert_eq!(patch("application/json", "*", "{}").await.shown(), unsupported);
    assert_eq!(patch(merge, "*", "{").await.status, 400);
    assert_eq!(client.shown(&format!("GET /api/flows/{ID}")).await, flow(200, 3, &three));
}

/// Each of the writers adds a member of his own by a merge patch; none of them knows of the others.
pub(super) async fn patches_at_once_are_all_kept(repository: Repository) {
    let client = Client::new(repository);
    client.send("POST /api/flows", &[], &format!(r#"{{"id":"{ID}","name":"one"}}"#)).await;
    let patch = async |i: usize| {
        let request = Request::patch(format!("/api/flows/{ID}")).header("content-type", "application/merge-patch+json");
        client.request(request.body(Body::from(format!(r#"{{"m{i}":{i}}}"#))).unwrap()).await.status
    };
    let statuses = futures::future::join_all((0..6).map(patch)).await;
    assert_eq!(statuses, [200; 6]);
    let stored = client.send(&format!("GET /api/flows/{ID}"), &[], "").await.json();
    assert!((0..6).all(|i| stored["flow"][format!("m{i}")] == i), "{stored}");
}
