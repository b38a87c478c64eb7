//! Histories, differences, restores and the trash.

use std::sync::Arc;

use serde_json::{Value, json};
use strom_store::FlowRepository;

use super::client::{Client, ID, OTHER_ID, created, document, edited, flow, no_such_flow, problem};

type Repository = Arc<dyn FlowRepository>;

/// Creates, updates and deletes the flow [`ID`].
async fn client(repository: Repository) -> Client {
    let client = edited(repository).await;
    client.send(&format!("DELETE /api/flows/{ID}"), &[], "").await;
    client
}

fn no_such_revision(revision: &str) -> String {
    let detail = format!("the flow {ID} has no revision {revision}, or it is no longer retained");
    problem(404, "no-such-revision", "no such revision", &detail)
}

pub(super) async fn history_returns_every_revision(repository: Repository) {
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
    let wrong =
        problem(400, "invalid-parameter", "invalid query parameter", "`limit`: must be a number from 1 to 1000");
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

pub(super) async fn restore_stores_an_older_revision_as_a_new_one(repository: Repository) {
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

pub(super) async fn diff_compares_any_two_revisions(repository: Repository) {
    let client = Client::new(repository);
    let nodes = |nodes: &str| format!(r#"{{"id":"{ID}","name":"one","elements":[{nodes}],"running":true}}"#);
    let put = format!("PUT /api/flows/{ID}");
    let (a, b) = (r#"{"id":"a","position":[0,0]}"#, r#"{"id":"b","properties":{"passphrase":"secret","n":1.10}}"#);
    client.send(&put, &[("if-none-match", "*")], &nodes(a)).await;
    client.send(&put, &[], &nodes(&format!("{b},{a}"))).await;
    client.send(&put, &[], &nodes(&b.replace("1.10", "18446744073709551617").replace("secret", "other"))).await;
    client.send(&format!("DELETE /api/flows/{ID}"), &[], "").await;

    let path = format!("/api/flows/{ID}/diff");
    // The order of members depends on the backend, and so does the order of the changes.
    let sorted = |mut compared: Value| {
        compared["changes"].as_array_mut().unwrap().sort_by_key(|change| change["path"].to_string());
        compared
    };
    let compare = async |query: &str| sorted(client.send(&format!("GET {path}{query}"), &[], "").await.json());
    let added = json!({ "path": "$.elements[0]", "kind": "added", "words": "element `b` was added" });
    let removed = json!({ "path": "$.elements[1]", "kind": "removed", "words": "element `a` was removed" });
    let secret = json!({ "path": "$.elements[0].properties.passphrase", "kind": "changed",
        "words": "element `b`: `properties.passphrase` was changed in a part that is not shown here" });
    let number = json!({ "path": "$.elements[0].properties.n", "kind": "changed",
        "words": "element `b`: `properties.n` was changed from 1.10 to 18446744073709551617" });
    assert_eq!(compare("?from=1&to=2").await, json!({ "from": 1, "to": 2, "changes": [added], "more": 0 }));
    let third = json!({ "from": 2, "to": 3, "changes": [number, secret, removed], "more": 0 });
    assert_eq!(compare("?from=2&to=3").await, third);
    assert_eq!(compare("?to=3").await, third, "`from` defaults to the previous revision");
    // The revision of a deletion contains the unchanged flow.
    assert_eq!(compare("").await, json!({ "from": 3, "to": 4, "changes": [], "more": 0 }));
    assert_eq!(compare("?from=2").await["changes"], third["changes"]);
    let back = compare("?from=2&to=1").await;
    assert_eq!(back["changes"][0]["words"], "element `b` was removed", "`from` may be newer than `to`");

    assert_eq!(client.shown(&format!("GET {path}?from=9")).await, no_such_revision("9"));
    assert_eq!(client.shown(&format!("GET {path}?from=1&to=9")).await, no_such_revision("9"));
    let detail = format!("the flow {ID} has no retained revision before revision 1");
    let nothing = problem(404, "no-such-revision", "no such revision", &detail);
    assert_eq!(client.shown(&format!("GET {path}?to=1")).await, nothing);
    assert_eq!(client.shown(&format!("GET {}", path.replace(ID, OTHER_ID))).await, no_such_flow(OTHER_ID));
    let wrong = format!("`from`: must be a number from 1 to {}", i64::MAX);
    let wrong = problem(400, "invalid-parameter", "invalid query parameter", &wrong);
    assert_eq!(client.shown(&format!("GET {path}?from=0")).await, wrong);
    let unknown =
        problem(400, "invalid-parameter", "invalid query parameter", "`form`: unknown parameter; did you mean `from`?");
    assert_eq!(client.shown(&format!("GET {path}?form=1")).await, unknown);
}

pub(super) async fn the_trash_has_pages(repository: Repository) {
    let client = Client::new(repository);
    let mut expected = Vec::new();
    for number in 1..=5 {
        let id = format!("57130000-0000-4000-8000-00000000000{number}");
        client.send("POST /api/flows", &[], &format!(r#"{{"id":"{id}","name":"{number}"}}"#)).await;
        client.send(&format!("DELETE /api/flows/{id}"), &[], "").await;
        expected.insert(0, json!(id));
    }
    let page = async |query: &str| {
        let body = client.send(&format!("GET /api/trash{query}"), &[], "").await.json();
        let ids: Vec<_> = body["flows"].as_array().unwrap().iter().map(|flow| flow["id"].clone()).collect();
        (ids, body.get("next_cursor").map(|next| next.as_str().unwrap().to_owned()))
    };
    assert_eq!(page("").await, (expected.clone(), None));
    assert_eq!(page("?limit=5").await, (expected.clone(), None));
    let (mut found, mut next) = page("?limit=2").await;
    while let Some(cursor) = next {
        let (more, following) = page(&format!("?limit=2&cursor={cursor}")).await;
        assert!(more.len() <= 2);
        found.extend(more);
        next = following;
    }
    assert_eq!(found, expected);
    for invalid in ["?limit=0", "?limit=10001", "?cursor=x", "?cursor=1.x"] {
        assert_eq!(client.send(&format!("GET /api/trash{invalid}"), &[], "").await.status, 400, "{invalid}");
    }
}
