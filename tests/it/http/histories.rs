//! Histories, restores and the trash.

use std::sync::Arc;

use serde_json::{Value, json};
use strom::FlowRepository;

use super::client::{Client, ID, OTHER_ID, created, document, edited, flow, no_such_flow, problem};

type Repository = Arc<dyn FlowRepository>;

/// A client of a repository whose flow [`ID`] was created, updated and deleted.
async fn client(repository: Repository) -> Client {
    let client = edited(repository).await;
    client.send(&format!("DELETE /api/flows/{ID}"), &[], "").await;
    client
}

fn no_such_revision(revision: &str) -> String {
    let detail = format!("the flow {ID} has no revision {revision}, or it is no longer kept");
    problem(404, "no-such-revision", "no such revision", &detail)
}

pub(super) async fn a_history_has_every_revision(repository: Repository) {
    let client = client(repository).await;
    let path = format!("GET /api/flows/{ID}/history");
    let answer = client.send(&path, &[], "").await.json();
    let history = answer["history"].as_array().unwrap();
    let short = |entry: &Value| json!([entry["revision"], entry["op"], entry["author"], entry["summary"]["name"]]);
    let expected = json!([
        [3, "delete", "anonymous", "two"],
        [2, "update", "anonymous", "two"],
        [1, "create", "anonymous", "one"],
    ]);
    assert_eq!(Value::from_iter(history.iter().map(short)), expected);
    let empty =
        json!({ "name": "one", "state": "Null", "auto_restart": false, "elements": 0, "blocks": 0, "links": 0 });
    assert_eq!((&history[2]["summary"], &history[2]["size"]), (&empty, &json!(61)));

    let page = client.send(&format!("{path}?before=3&limit=1"), &[], "").await.json();
    assert_eq!(page["history"], json!([history[1]]));
    assert_eq!(client.send(&format!("{path}?before=1"), &[], "").await.json(), json!({ "history": [] }));
    assert_eq!(client.shown(&path.replace(ID, OTHER_ID)).await, no_such_flow(OTHER_ID));
    let wrong = problem(400, "invalid-parameter", "a query parameter is wrong", "`limit`: a number from 1 to 1000");
    assert_eq!(client.shown(&format!("{path}?limit=1001")).await, wrong);

    let one = client.send(&format!("{path}/1"), &[], "").await.json();
    let at = &history[2]["at"];
    let flow: Value = serde_json::from_str(&document("one")).unwrap();
    let expected = json!({ "flow": flow, "revision": 1, "op": "create", "at": at, "author": "anonymous" });
    assert_eq!(one, expected);
    for missing in ["4", "0", "-1", "x", "9223372036854775808"] {
        assert_eq!(client.shown(&format!("{path}/{missing}")).await, no_such_revision(missing));
    }
}

pub(super) async fn flows_are_restored(repository: Repository) {
    let client = client(repository).await;
    let trash = client.send("GET /api/trash", &[], "").await.json();
    assert_eq!(trash["flows"].as_array().unwrap().len(), 1);
    let short = |flow: &Value| json!([flow["id"], flow["name"], flow["revision"], flow["author"]]);
    assert_eq!(short(&trash["flows"][0]), json!([ID, "two", 3, "anonymous"]));
    assert!(trash["flows"][0]["deleted_at"].is_string());

    let line = format!("POST /api/flows/{ID}/restore");
    assert_eq!(client.shown_with(&line, r#"{"revision":1}"#).await, created(ID, 4, &document("one")));
    assert_eq!(client.send("GET /api/trash", &[], "").await.json(), json!({ "flows": [] }));
    let stale = client.send(&line, &[("if-match", "\"3\"")], r#"{"revision":2}"#).await;
    assert_eq!((stale.status, &stale.json()["current"]["revision"]), (412, &json!(4)));
    let answer = client.send(&line, &[("if-match", "\"4\"")], r#"{"revision":2}"#).await;
    assert_eq!(answer.shown(), flow(200, 5, &document("two")));
    let history = client.send(&format!("GET /api/flows/{ID}/history?limit=1"), &[], "").await.json();
    assert_eq!(history["history"][0]["op"], "restore");

    assert_eq!(client.shown_with(&line, r#"{"revision":9}"#).await, no_such_revision("9"));
    let beyond = client.shown_with(&line, r#"{"revision":18446744073709551615}"#).await;
    assert_eq!(beyond, no_such_revision("18446744073709551615"));
    for wrong in ["{}", r#"{"revision":-1}"#, r#"{"revision":1,"flow":1}"#] {
        assert_eq!(client.send(&line, &[], wrong).await.status, 422, "{wrong}");
    }
}
