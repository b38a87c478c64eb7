//! `POST /api/flows/import`: stores all flows or none, and reports the outcome of each.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures::stream;
use serde_json::{Value, json};
use strom_store::FlowRepository;

use super::client::{Answer, Client, ID, OTHER_ID, problem};
use strom_test_support::cable::Cable;

type Repository = Arc<dyn FlowRepository>;

const THIRD_ID: &str = "57130000-0000-4000-8000-000000000003";
const NDJSON: [(&str, &str); 1] = [("content-type", "application/x-ndjson")];

fn flow(id: &str, name: &str) -> Value {
    json!({ "id": id, "name": name, "gain": 1.5 })
}

async fn import(client: &Client, query: &str, flows: &Value) -> Answer {
    client.send(&format!("POST /api/flows/import{query}"), &[], &flows.to_string()).await
}

/// Returns the stored flows, sorted by name.
async fn stored(client: &Client) -> Vec<Value> {
    let listed = client.send("GET /api/flows", &[], "").await.json();
    listed["flows"].as_array().unwrap().clone()
}

/// Returns the expected body of a response.
fn report(dry_run: bool, counts: [usize; 6], flows: &Value) -> Value {
    let [created, replaced, unchanged, skipped, cloned, refused] = counts;
    json!({
        "dry_run": dry_run, "created": created, "replaced": replaced, "unchanged": unchanged, "skipped": skipped,
        "cloned": cloned, "refused": refused, "flows": flows,
    })
}

pub(super) async fn import_accepts_every_format(repository: Repository) {
    let client = Client::new(repository);
    let (a, b) = (flow(ID, "a"), flow(OTHER_ID, "b"));
    let created = json!([
        { "id": ID, "name": "a", "outcome": "created" },
        { "id": OTHER_ID, "name": "b", "outcome": "created" },
    ]);
    for (headers, body) in [
        (&[][..], json!({ "version": 1, "flows": [a, b], "by": "us" }).to_string()),
        (&[], json!([a, b]).to_string()),
        (&NDJSON, format!("{a}\n{b}\n")),
    ] {
        let answer = client.send("POST /api/flows/import", headers, &body).await;
        assert_eq!((answer.status, answer.json()), (200, report(false, [2, 0, 0, 0, 0, 0], &created)), "{body}");
        assert_eq!(stored(&client).await, [a.clone(), b.clone()]);
        for id in [ID, OTHER_ID] {
            client.send(&format!("DELETE /api/flows/{id}"), &[], "").await;
        }
    }
    let one = import(&client, "", &a).await.json();
    assert_eq!(one, report(false, [1, 0, 0, 0, 0, 0], &json!([{ "id": ID, "name": "a", "outcome": "created" }])));
    let none = import(&client, "", &json!([])).await;
    assert_eq!((none.status, none.json()), (200, report(false, [0; 6], &json!([]))));
}

pub(super) async fn on_conflict_applies_to_existing_flows(repository: Repository) {
    let client = Client::new(repository);
    let (a, b, c) = (flow(ID, "a"), flow(OTHER_ID, "b"), flow(THIRD_ID, "c"));
    import(&client, "", &json!([a, b])).await;
    // `gst_state` is a runtime member, so the flow counts as unchanged.
    let mut same = a.clone();
    same["gst_state"] = json!("Playing");
    let other = flow(OTHER_ID, "other");
    let flows = json!([same, other, c]);

    let failed = import(&client, "", &flows).await;
    let mut expected = report(
        false,
        [1, 0, 1, 0, 0, 1],
        &json!([
            { "id": OTHER_ID, "name": "other", "outcome": "refused", "error": "the flow exists with different \
                content" },
        ]),
    );
    let detail = "nothing was written; 1 flows exist with different content (see `on_conflict`)";
    for (name, value) in [
        ("error", json!("flows of the import exist")),
        ("details", json!(detail)),
        ("type", json!("urn:strom:problem:flows-exist")),
        ("title", json!("flows of the import exist")),
        ("status", json!(409)),
        ("detail", json!(detail)),
    ] {
        expected[name] = value;
    }
    assert_eq!((failed.status, failed.json()), (409, expected));
    assert_eq!(failed.headers["content-type"], "application/problem+json");
    assert_eq!(stored(&client).await, [a.clone(), b.clone()], "nothing was written");

    let skipped = import(&client, "?on_conflict=skip", &flows).await.json();
    let reason = "the flow exists with different content";
    let outcomes = json!([
        { "id": ID, "name": "a", "outcome": "unchanged" },
        { "id": OTHER_ID, "name": "other", "outcome": "skipped", "reason": reason },
        { "id": THIRD_ID, "name": "c", "outcome": "created" },
    ]);
    assert_eq!(skipped, report(false, [1, 0, 1, 1, 0, 0], &outcomes));
    assert_eq!(stored(&client).await, [a.clone(), b, c.clone()]);

    let replaced = import(&client, "?on_conflict=replace", &flows).await.json();
    let outcomes = json!([
        { "id": ID, "name": "a", "outcome": "unchanged" },
        { "id": OTHER_ID, "name": "other", "outcome": "replaced" },
        { "id": THIRD_ID, "name": "c", "outcome": "unchanged" },
    ]);
    assert_eq!(replaced, report(false, [0, 1, 2, 0, 0, 0], &outcomes));
    assert_eq!(stored(&client).await, [a, c, other]);
    let history = client.send(&format!("GET /api/flows/{OTHER_ID}/history"), &[], "").await.json();
    assert_eq!(history["history"][0]["revision"], 2);
}

pub(super) async fn on_conflict_newer_replaces_older_flows(repository: Repository) {
    let client = Client::new(repository);
    let dated = |name: &str, time: &str| {
        let mut flow = flow(ID, name);
        flow["properties"] = json!({ "last_modified": time });
        flow
    };
    import(&client, "", &dated("a", "2026-03-13T10:00:00+01:00")).await;
    for (newer, outcome, reason) in [
        (
            dated("b", "2026-03-13T08:59:59Z"),
            "skipped",
            json!("the imported flow was not modified later than the existing flow"),
        ),
        (
            dated("b", "2026-03-13T09:00:00Z"),
            "skipped",
            json!("the imported flow was not modified later than the existing flow"),
        ),
        (flow(ID, "b"), "skipped", json!("the imported flow has no modification time in `$.properties.last_modified`")),
        (dated("b", "2026-03-13T09:00:01Z"), "replaced", json!(null)),
    ] {
        let answer = import(&client, "?on_conflict=newer", &newer).await.json();
        assert_eq!((&answer["flows"][0]["outcome"], &answer["flows"][0]["reason"]), (&json!(outcome), &reason));
    }
    // Without `last_modified` in the stored document, the time of the last save applies.
    import(&client, "", &flow(OTHER_ID, "c")).await;
    for (time, outcome) in [("2001-01-01T00:00:00Z", "skipped"), ("2999-01-01T00:00:00Z", "replaced")] {
        let mut newer = dated("d", time);
        newer["id"] = json!(OTHER_ID);
        let answer = import(&client, "?on_conflict=newer", &newer).await.json();
        assert_eq!(answer["flows"][0]["outcome"], outcome);
    }
}

pub(super) async fn on_conflict_clone_assigns_new_ids(repository: Repository) {
    let client = Client::new(repository);
    let (a, b) = (flow(ID, "a"), flow(OTHER_ID, "b"));
    import(&client, "", &a).await;
    let first = import(&client, "?on_conflict=clone", &json!([a, b])).await.json();
    let clone = first["flows"][0]["id"].as_str().unwrap().to_owned();
    assert_ne!(clone, ID);
    let outcomes = json!([
        { "id": clone, "name": "a", "outcome": "cloned", "cloned_from": ID },
        { "id": OTHER_ID, "name": "b", "outcome": "created" },
    ]);
    assert_eq!(first, report(false, [1, 0, 0, 0, 1, 0], &outcomes));
    assert_eq!(client.send(&format!("GET /api/flows/{clone}"), &[], "").await.json()["flow"], flow(&clone, "a"));

    let (one, two) = (
        import(&client, "?on_conflict=clone", &a).await.json(),
        import(&client, "?on_conflict=clone", &a).await.json(),
    );
    assert_ne!(one["flows"][0]["id"], two["flows"][0]["id"]);
}

pub(super) async fn one_invalid_flow_rejects_the_import(repository: Repository) {
    let client = Client::new(repository);
    let lines = [
        flow(ID, "a").to_string(),
        json!({ "id": OTHER_ID, "name": "" }).to_string(),
        r#"{"name":"b","x":1e400000}"#.into(),
        flow(ID, "again").to_string(),
        "7".into(),
    ];
    let answer = client.send("POST /api/flows/import", &[], &format!("[{}]", lines.join(","))).await;
    let flows = json!([
        { "id": OTHER_ID, "name": "", "outcome": "refused", "error": "`$[1].name`: the name is empty" },
        { "id": null, "name": "b", "outcome": "refused",
          "error": "`$[2].x`: the number has over 131072 digits before or 16383 digits after the decimal point" },
        { "id": ID, "name": "again", "outcome": "refused",
          "error": format!("`$[3].id`: the flow {ID} is a duplicate of `$[0]`") },
        { "id": null, "name": null, "outcome": "refused", "error": "`$[4]`: expected an object, found a number" },
    ]);
    let body = answer.json();
    assert_eq!((answer.status, &body["type"]), (422, &json!("urn:strom:problem:flows-refused")));
    assert_eq!(body["detail"], "nothing was written; 4 flows were refused");
    assert_eq!((&body["created"], &body["refused"]), (&json!(1), &json!(4)));
    assert_eq!(body["flows"], flows);
    assert_eq!(stored(&client).await, [json!(null); 0]);

    let lines = client.send("POST /api/flows/import", &NDJSON, &lines[..2].join("\n")).await.json();
    assert_eq!(lines["flows"][0]["error"], "value 2: `$.name`: the name is empty");
    let file = import(&client, "", &json!({ "flows": [{ "id": ID }] })).await.json();
    assert_eq!(file["flows"][0]["error"], "`$.flows[0].name`: missing");
}

pub(super) async fn a_dry_run_reports_and_writes_nothing(repository: Repository) {
    let client = Client::new(repository);
    import(&client, "", &json!([flow(ID, "a")])).await;
    let flows = json!([flow(ID, "b"), flow(OTHER_ID, "c")]);
    let dry = import(&client, "?on_conflict=replace&dry_run=true", &flows).await;
    assert_eq!(stored(&client).await, [flow(ID, "a")]);
    let real = import(&client, "?on_conflict=replace&dry_run=false", &flows).await;
    let mut expected = real.json();
    expected["dry_run"] = json!(true);
    assert_eq!((dry.status, dry.json()), (200, expected));

    let refused = import(&client, "?dry_run=true", &json!([flow(ID, "d"), flow(OTHER_ID, "c"), 1])).await;
    let outcomes: Vec<_> = refused.json()["flows"].as_array().unwrap().iter().map(|f| f["outcome"].clone()).collect();
    assert_eq!((refused.status, outcomes), (200, vec![json!("refused"), json!("unchanged"), json!("refused")]));
}

pub(super) async fn an_export_is_imported_as_unchanged(repository: Repository) {
    let client = Client::new(repository);
    let none = client.send("POST /api/flows/import", &NDJSON, "").await;
    assert_eq!((none.status, none.json()), (200, report(false, [0; 6], &json!([]))), "an empty export");
    let blank = client.send("POST /api/flows/import", &[], " ").await;
    assert_eq!(blank.shown(), problem(400, "invalid-body", "invalid body", "the body is empty"));
    let exact = r#"{"id":"57130000-0000-4000-8000-000000000001","name":"ä","n":18446744073709551617,"d":1.10}"#;
    import(&client, "", &json!([flow(OTHER_ID, "b")])).await;
    client.send("POST /api/flows/import", &[], exact).await;
    for headers in [&[][..], &[("accept", "application/x-ndjson")]] {
        let export = client.send("GET /api/flows/export", headers, "").await;
        assert!(export.body.contains("18446744073709551617"));
        let send = if headers.is_empty() { &[][..] } else { &NDJSON };
        let answer = client.send("POST /api/flows/import", send, &export.body).await.json();
        assert_eq!((&answer["unchanged"], &answer["flows"].as_array().unwrap().len()), (&json!(2), &2));
    }
    let history = client.send(&format!("GET /api/flows/{ID}/history"), &[], "").await.json();
    assert_eq!(history["history"].as_array().unwrap().len(), 1, "an unchanged flow is not written");
}

pub(super) async fn an_import_reports_warnings(repository: Repository) {
    let client = Client::new(repository);
    let listening = |id: &str, name: &str| {
        json!({ "id": id, "name": name, "properties": { "auto_restart": true }, "elements": [
            { "id": "in", "element_type": "srtsrc", "properties": { "uri": "srt://:5000?mode=listener" }, "position": [0, 0] },
        ] })
    };
    client.send("POST /api/flows", &[], &listening(THIRD_ID, "stored").to_string()).await;
    let dangling = json!({ "id": OTHER_ID, "name": "b", "links": (0..12).map(|n| json!({ "from": format!("e{n}"), "to": "e" }))
        .collect::<Vec<_>>() });
    let answer = import(&client, "", &json!([listening(ID, "a"), dangling])).await.json();
    assert_eq!(answer["created"], 2);
    let path = "$.elements[0].properties.uri";
    let message = format!("the SRT listener port 5000 is also claimed by the flow stored ({THIRD_ID})");
    assert_eq!(answer["flows"][0]["warnings"], json!([{ "path": path, "message": message }]));
    let warnings = answer["flows"][1]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 11);
    assert_eq!(warnings[10], json!({ "path": "$", "message": "and 14 more" }));
}

pub(super) async fn invalid_import_requests_are_rejected(repository: Repository) {
    let client = Client::new(repository);
    for (query, detail) in [
        ("?on_conflict=x", "`on_conflict`: `fail`, `skip`, `replace`, `newer` or `clone`"),
        ("?dry_run=yes", "`dry_run`: must be `true` or `false`"),
        ("?limit=1", "`limit`: unknown parameter; did you mean `dry_run`?"),
    ] {
        let expected = problem(400, "invalid-parameter", "invalid query parameter", detail);
        assert_eq!(import(&client, query, &json!([])).await.shown(), expected);
    }
    let text = client.send("POST /api/flows/import", &[("content-type", "text/plain")], "").await;
    assert_eq!(text.status, 415, "a cross-origin page may send text/plain without a preflight request");
    for (body, detail) in [
        (r#"[{"id":"#, "not valid JSON of flows: EOF while parsing a value at line 1 column 7"),
        (
            r#"{"version":2,"flows":[]}"#,
            "not valid JSON of flows: `$.version`: the version is higher than 1; a newer version of Strom wrote the \
             file at line 1 column 24",
        ),
        (
            "\"x\"",
            "not valid JSON of flows: invalid type: string \"x\", expected a flow, an array of flows, or an object \
             with `flows` at line 1 column 3",
        ),
    ] {
        let answer = client.send("POST /api/flows/import", &[], body).await;
        assert_eq!(answer.shown(), problem(400, "invalid-body", "invalid body", detail));
    }
    let get = client.send("GET /api/flows/import", &[], "").await;
    assert_eq!(get.status, 405);
}

pub(super) async fn an_incomplete_body_stores_nothing(repository: Repository) {
    let client = Client::new(repository);
    let begin = format!("[{},", flow(ID, "a"));
    let pieces = [Ok(Bytes::from(begin)), Err(io::Error::other("the client disconnected"))];
    let request = Request::builder().method("POST").uri("/api/flows/import").header("content-type", "application/json");
    let answer = client.request(request.body(Body::from_stream(stream::iter(pieces))).unwrap()).await;
    assert_eq!(answer.shown(), problem(400, "invalid-body", "invalid body", "the body ended early"));
    assert_eq!(stored(&client).await, [json!(null); 0]);
}

/// A replacing import completes although another client saves continuously. The history contains every save.
pub(super) async fn a_replacing_import_completes_during_edits(repository: Repository) {
    let cable = Cable::to(Arc::clone(&repository));
    let client = Client::new(Arc::<Cable>::clone(&cable));
    let named = |name| json!([flow(ID, name), flow(OTHER_ID, name)]);
    import(&client, "", &named("first")).await;
    cable.race();
    let answer = import(&client, "?on_conflict=replace", &named("second")).await;
    let replaced = |id| json!({ "id": id, "name": "second", "outcome": "replaced" });
    let expected = json!([replaced(ID), replaced(OTHER_ID)]);
    assert_eq!((answer.status, answer.json()), (200, report(false, [0, 2, 0, 0, 0, 0], &expected)));
    let history = client.send(&format!("GET /api/flows/{ID}/history"), &[], "").await.json();
    let names: Vec<_> = history["history"].as_array().unwrap().iter().map(|entry| &entry["summary"]["name"]).collect();
    assert_eq!(names, ["second", "renamed 3", "renamed 2", "renamed 1", "renamed 0", "first"]);
    // `newer` depends on the current flow, so the import fails while the flow keeps changing.
    let newest = json!([{ "id": ID, "name": "third", "properties": { "last_modified": "9999-12-31T00:00:00Z" } }]);
    let answer = import(&client, "?on_conflict=newer", &newest).await;
    assert_eq!((answer.status, answer.json()["title"].as_str()), (503, Some("the storage is busy")));
    let name = |of: &Value| of["name"].as_str().unwrap().to_owned();
    assert_eq!(stored(&client).await.iter().map(name).collect::<Vec<_>>(), ["renamed 11", "second"]);
    // The other client saves the content of the import first, so the import finds the flow unchanged.
    let answer = import(&client, "?on_conflict=replace", &json!([{ "id": ID, "name": "renamed 15" }])).await;
    let expected = json!([{ "id": ID, "name": "renamed 15", "outcome": "unchanged" }]);
    assert_eq!((answer.status, answer.json()), (200, report(false, [0, 0, 1, 0, 0, 0], &expected)));
}

/// The history contains every acknowledged edit, and every import succeeds and replaces every flow.
pub(super) async fn concurrent_imports_and_edits_lose_nothing(repository: Repository) {
    let client = Arc::new(Client::new(repository));
    let ids: Vec<_> = (0..40).map(|number| format!("57130000-0000-4000-8000-{number:012}")).collect();
    let all = |name: &str| json!(ids.iter().map(|id| flow(id, name)).collect::<Vec<_>>());
    import(&client, "", &all("0")).await;
    let edits = tokio::spawn({
        let (client, ids) = (Arc::clone(&client), ids.clone());
        async move {
            let mut acknowledged = Vec::new();
            for round in 0..3 {
                for id in &ids {
                    let name = format!("edit {round}");
                    let answer = client.send(&format!("PUT /api/flows/{id}"), &[], &flow(id, &name).to_string()).await;
                    assert_eq!(answer.status, 200);
                    acknowledged.push((id.clone(), name));
                }
            }
            acknowledged
        }
    });
    const IMPORTS: usize = 6;
    for number in 1..=IMPORTS {
        let answer = import(&client, "?on_conflict=replace", &all(&format!("import {number}"))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["replaced"], 40, "{answer:?}");
    }
    for (id, name) in edits.await.unwrap() {
        let history = client.send(&format!("GET /api/flows/{id}/history"), &[], "").await.json();
        let entries = history["history"].as_array().unwrap();
        let mut found = false;
        for entry in entries {
            let line = format!("GET /api/flows/{id}/history/{}", entry["revision"]);
            found |= client.send(&line, &[], "").await.json()["flow"]["name"] == name.as_str();
        }
        assert!(found, "{id}: {name}");
        let imports = entries.iter().filter(|entry| entry["op"] == "update").count();
        assert!(imports >= 3 && entries.len() <= 1 + 3 + IMPORTS, "{entries:?}");
    }
}
