//! Saves, reports of engines, warnings and patches.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use futures::future::join_all;
use serde_json::json;
use strom_server::metrics::Metrics;
use strom_store::FlowRepository;
use strom_store::repository::ListQuery;

use super::client::{Client, ID, OTHER_ID, flow, no_such_flow, problem, problem_with};

type Repository = Arc<dyn FlowRepository>;

pub(super) async fn a_reported_state_creates_no_revision(repository: Repository) {
    let client = Client::new(repository.clone());
    client.send("POST /api/flows", &[], &format!(r#"{{"id":"{ID}","name":"one"}}"#)).await;
    let line = format!("PUT /api/flows/{ID}/state");
    let reported = format!(r#"{{"id":"{ID}","name":"one","gst_state":"Playing","running":true}}"#);
    assert_eq!(client.shown_with(&line, r#"{"state":"Playing"}"#).await, flow(200, 1, &reported));
    assert_eq!(client.shown(&format!("GET /api/flows/{ID}")).await, flow(200, 1, &reported));
    let edited = reported.replace("one", "two");
    let answer = client.send(&format!("PUT /api/flows/{ID}"), &[("if-match", "\"1\"")], &edited).await;
    assert_eq!(answer.shown(), flow(200, 2, &edited), "a report does not cause a conflict");

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

/// The editor has read the flow between two reports, after which the document is again as it was stored.
pub(super) async fn an_edit_keeps_reports_that_the_document_does_not_show(repository: Repository) {
    let client = Client::new(repository);
    let document =
        |name: &str, state: &str| format!(r#"{{"id":"{ID}","name":"{name}","gst_state":"{state}","running":true}}"#);
    let line = format!("PUT /api/flows/{ID}");
    client.send("POST /api/flows", &[], &document("one", "Playing")).await;
    assert_eq!(client.shown_with(&line, &document("two", "Playing")).await, flow(200, 2, &document("two", "Playing")));
    let stored = client.shown_with(&line, &document("three", "Ready")).await;
    assert_eq!(stored, flow(200, 3, &document("three", "Ready")), "no engine has reported");

    for state in ["Paused", "Ready"] {
        client.send(&format!("{line}/state"), &[], &format!(r#"{{"state":"{state}"}}"#)).await;
    }
    assert_eq!(client.shown_with(&line, &document("four", "Paused")).await, flow(200, 4, &document("four", "Ready")));
}

pub(super) async fn a_replacement_reads_the_flow_only_after_a_report(repository: Repository) {
    let metrics = Metrics::of(repository);
    let client = Client::new(metrics.observed());
    let reads = async || {
        let text = metrics.text(0).await;
        let is_read = |line: &&str| line.contains(r#"operation="get""#) && line.contains("_total");
        let reads = text.lines().filter(is_read).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        reads.sum::<f64>()
    };
    client.send("POST /api/flows", &[], &format!(r#"{{"id":"{ID}","name":"0"}}"#)).await;
    let replace = async |name: u64| {
        let document = format!(r#"{{"id":"{ID}","name":"{name}"}}"#);
        let tag = format!("\"{name}\"");
        let response = client.send(&format!("PUT /api/flows/{ID}"), &[("if-match", &tag)], &document).await;
        assert_eq!(response.status, 200, "{}", response.body);
    };
    for revision in 1..=5 {
        replace(revision).await;
    }
    assert_eq!(reads().await, 0.0);
    client.send(&format!("PUT /api/flows/{ID}/state"), &[], r#"{"state":"Playing"}"#).await;
    let before = reads().await;
    replace(6).await;
    assert!(reads().await > before, "the counter counts");
}

pub(super) async fn a_suspicious_flow_is_stored_with_warnings(repository: Repository) {
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

pub(super) async fn check_reports_port_conflicts_with_other_flows_and_a_save_does_not(repository: Repository) {
    let client = Client::new(repository);
    let listener = |id: &str, name: &str, auto_restart: bool| {
        json!({
            "id": id, "name": name, "properties": { "auto_restart": auto_restart },
            "elements": [{ "id": "in", "element_type": "srtsrc", "properties": { "uri": "srt://:5000?mode=listener" } }],
        })
        .to_string()
    };
    let warnings =
        async |id: &str| client.send(&format!("GET /api/flows/{id}/check"), &[], "").await.json()["warnings"].clone();
    client.send("POST /api/flows", &[], &listener(ID, "one", true)).await;
    client.send("POST /api/flows", &[], &listener(OTHER_ID, "two", false)).await;
    assert_eq!(warnings(OTHER_ID).await, json!([]), "a flow that does not start automatically claims no port");
    let saved = client.send(&format!("PUT /api/flows/{OTHER_ID}"), &[], &listener(OTHER_ID, "two", true)).await;
    assert_eq!((saved.status, saved.json().get("warnings")), (200, None));
    let message = format!("the SRT listener port 5000 is also claimed by the flow one ({ID})");
    assert_eq!(warnings(OTHER_ID).await, json!([{ "path": "$.elements[0].properties.uri", "message": message }]));
    assert_eq!(warnings(ID).await.as_array().unwrap().len(), 1);
}

pub(super) async fn catalog_routes_return_collections(repository: Repository) {
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
        "media_type": "Generic", "is_active": true,
    }] }] });
    let shown = client.shown("GET /api/sources").await;
    assert_eq!(shown, format!("200\ncontent-type: application/json\n{sources}"));
    let missing = problem(404, "no-such-route", "no such route", "no route at `/api/network`");
    assert_eq!(client.shown("GET /api/network").await, missing);
}

pub(super) async fn a_repeated_create_with_a_chosen_id_creates_one_flow(repository: Repository) {
    let client = Client::new(repository);
    let path = format!("/api/flows/{ID}");
    let document = format!(r#"{{"id":"{ID}","name":"one"}}"#);
    let put = format!("PUT {path}");
    let create = async || client.send(&put, &[("if-none-match", "*")], &document).await;
    assert_eq!(create().await.status, 201);
    let repeated = create().await;
    assert_eq!((repeated.status, &repeated.json()["current"]["revision"]), (412, &json!(1)));
    assert_eq!(client.send("POST /api/flows", &[], &document).await.status, 409);

    let racing = put.replace(ID, OTHER_ID);
    let body = document.replace(ID, OTHER_ID);
    let answers = (0..8).map(|_| client.send(&racing, &[("if-none-match", "*")], &body));
    let mut statuses: Vec<_> = join_all(answers).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 412, 412, 412, 412, 412, 412, 412]);
}

pub(super) async fn patches_change_only_the_named_members(repository: Repository) {
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

    let again = "operation 0: the current value differs: `/x/z/0`";
    let conflict = problem(409, "patch-conflict", "the patch does not apply to the flow", again);
    assert_eq!(patch(list, "*", operations).await.shown(), conflict);
    assert_eq!(patch(merge, "\"2\"", r#"{"name":"four"}"#).await.status, 412);
    let refused =
        |detail: &str, further| problem_with(422, "refused", "the document cannot be stored", detail, further);
    let missing = refused("`$.name`: missing", json!({ "path": "$.name" }));
    assert_eq!(patch(merge, "*", r#"{"name":null}"#).await.shown(), missing);
    let invalid = refused("a patch is an array of operations", json!({}));
    assert_eq!(patch(list, "*", "{}").await.shown(), invalid);
    let detail = format!("the patch changes the id from {ID} to {OTHER_ID}");
    let mismatch = problem(400, "id-mismatch", "the ids in body and path differ", &detail);
    assert_eq!(patch(merge, "*", &format!(r#"{{"id":"{OTHER_ID}"}}"#)).await.shown(), mismatch);
    let detail = "send `application/merge-patch+json` or `application/json-patch+json`";
    let unsupported = problem(415, "unsupported-media-type", "unsupported media type", detail);
    let request = Request::patch(format!("/api/flows/{ID}")).header("content-type", "text/plain").body(Body::empty());
    let types = client.request(request.unwrap()).await.headers["accept-patch"].clone();
    assert_eq!(types, "application/merge-patch+json, application/json-patch+json");
    assert_eq!(patch("application/json", "*", "{}").await.shown(), unsupported);
    assert_eq!(patch(merge, "*", "{").await.status, 400);
    assert_eq!(client.shown(&format!("GET /api/flows/{ID}")).await, flow(200, 3, &three));
}

/// Each writer adds its own member with a merge patch, without a precondition.
pub(super) async fn concurrent_patches_are_all_stored(repository: Repository) {
    let client = Client::new(repository);
    client.send("POST /api/flows", &[], &format!(r#"{{"id":"{ID}","name":"one"}}"#)).await;
    let patch = async |i: usize| {
        let request = Request::patch(format!("/api/flows/{ID}")).header("content-type", "application/merge-patch+json");
        client.request(request.body(Body::from(format!(r#"{{"m{i}":{i}}}"#))).unwrap()).await.status
    };
    let statuses = join_all((0..6).map(patch)).await;
    assert_eq!(statuses, [200; 6]);
    let stored = client.send(&format!("GET /api/flows/{ID}"), &[], "").await.json();
    assert!((0..6).all(|i| stored["flow"][format!("m{i}")] == i), "{stored}");
}

/// Edits of every kind, each at the same time as a report, with a document that was read before the report.
pub(super) async fn edits_and_reports_do_not_undo_each_other(repository: Repository) {
    let client = Client::new(repository);
    client.send("POST /api/flows", &[], &format!(r#"{{"id":"{ID}","name":"0","properties":{{}}}}"#)).await;
    let state_line = format!("PUT /api/flows/{ID}/state");
    client.send(&state_line, &[], r#"{"state":"Null"}"#).await;
    let states = ["Playing", "Paused", "Ready"];
    for round in 0..60 {
        let before = client.send(&format!("GET /api/flows/{ID}"), &[], "").await;
        let etag = before.headers["etag"].to_str().unwrap().to_owned();
        let mut document = before.json()["flow"].take();
        let name = format!("edit {round}");
        document["name"] = name.as_str().into();
        let whole = document.to_string();
        let (line, body) = match round % 6 {
            0 => (format!("PUT /api/flows/{ID}"), whole),
            1 => (format!("POST /api/flows/{ID}"), whole),
            2 => (format!("PUT /api/flows/{ID}?merge=auto"), whole),
            3 => (format!("PATCH /api/flows/{ID}"), json!({ "name": name }).to_string()),
            4 => (
                format!("PATCH /api/flows/{ID}/properties"),
                json!({ "properties": { "description": name } }).to_string(),
            ),
            _ => ("POST /api/flows/import?on_conflict=replace".to_owned(), whole),
        };
        let kind = if round % 6 == 3 { "application/merge-patch+json" } else { "application/json" };
        let edit = async || {
            let (method, path) = line.split_once(' ').unwrap();
            let mut request = Request::builder().method(method).uri(path).header("content-type", kind);
            if [2, 3].contains(&(round % 6)) {
                request = request.header("if-match", &etag);
            }
            client.request(request.body(Body::from(body.clone())).unwrap()).await
        };
        let state = states[round % states.len()];
        let report = json!({ "state": state }).to_string();
        // Half of the reports come after the read and before the edit. The others compete with it.
        let (edited, reported) = match round % 2 {
            0 => {
                let reported = client.send(&state_line, &[], &report).await;
                (edit().await, reported)
            }
            _ => tokio::join!(edit(), client.send(&state_line, &[], &report)),
        };
        assert_eq!((edited.status, reported.status), (200, 200), "{line}: {}", edited.body);
        let stored = client.send(&format!("GET /api/flows/{ID}"), &[], "").await.json()["flow"].take();
        assert_eq!(stored["gst_state"], state, "{line}: the report is stored");
        let content = if round % 6 == 4 { &stored["properties"]["description"] } else { &stored["name"] };
        assert_eq!(*content, name, "{line}: the edit is stored");
    }
}

pub(super) async fn a_document_is_checked_without_saving_it(repository: Repository) {
    let client = Client::new(repository.clone());
    let check = async |body: &str| client.send("POST /api/flows/check", &[], body).await;
    let document = format!(r#"{{"id":"{ID}","name":"one","running":"yes","properties":{{"clock_type":"sundial"}}}}"#);
    let checked = check(&format!("{{\"flow\":{document}}}")).await;
    let created = client.send("POST /api/flows", &[], &document).await.json();
    assert_eq!((checked.status, &checked.json()["warnings"]), (200, &created["warnings"]));
    assert_eq!(created["warnings"].as_array().unwrap().len(), 2);
    assert_eq!(check(r#"{"name":"new"}"#).await.json(), json!({ "warnings": [], "warnings_total": 0 }));
    for (body, status) in [(r#"{"name":7}"#, 422), ("{", 400)] {
        let refused = check(body).await;
        assert_eq!(refused.status, status);
        assert_eq!(refused.json(), client.send("POST /api/flows", &[], body).await.json());
    }
    assert_eq!(repository.list(&ListQuery::default()).await.unwrap().items.len(), 1, "only the create stores a flow");
}

pub(super) async fn responses_contain_at_most_100_warnings(repository: Repository) {
    let client = Client::new(repository);
    let links = vec![json!({ "from": "a", "to": "b" }); 300];
    let document = json!({ "id": ID, "name": "one", "links": links }).to_string();
    let saved = client.send("POST /api/flows", &[], &document).await.json();
    let read = client.send(&format!("GET /api/flows/{ID}/check"), &[], "").await.json();
    let checked = client.send("POST /api/flows/check", &[], &document).await.json();
    for body in [saved, read, checked] {
        assert_eq!((body["warnings"].as_array().unwrap().len(), &body["warnings_total"]), (100, &json!(600)));
    }
}
