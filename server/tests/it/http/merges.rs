//! `?merge=auto`: merges the changes of two editors to different parts of one flow.

use std::sync::Arc;

use axum::http::HeaderMap;
use serde_json::{Value, json};
use strom_store::FlowRepository;

use super::client::{Client, ID, document, edited, problem};
use super::editors::{Action, Opened, pairs, shows};

type Repository = Arc<dyn FlowRepository>;

const AUTO: &str = "?merge=auto";

/// Reports whether the change sends a document or a patch. Other changes cannot be merged.
fn is_edit(action: Action) -> bool {
    !matches!(action, Action::Restore | Action::Delete)
}

pub(super) async fn edits_of_different_members_are_merged(repository: Repository) {
    let edits = pairs().filter(|(first, second)| is_edit(*first) && is_edit(*second));
    let client = Client::new(repository);
    for (number, (first, second)) in edits.enumerate() {
        let opened = Opened::new(&client, number).await;
        assert_eq!(opened.act(first, "first", AUTO).await.status, 200, "a current edit needs no merge");
        let answer = opened.act(second, "second", AUTO).await;
        let (body, flow) = (answer.json(), opened.flow().await);
        let case = format!("{first:?}, {second:?}: {body}");
        assert!(shows(&flow, first, "first"), "{case}");
        let is_same_member = match (first, second) {
            (Action::Rename(_), Action::Rename(_)) => true,
            (Action::MoveNode | Action::ReplaceProperties | Action::RemoveNode, _) => first == second,
            _ => false,
        };
        if is_same_member {
            assert_eq!(answer.status, 412, "{case}");
            assert_eq!(body["conflicts"]["list"].as_array().unwrap().len(), 1, "{case}");
            continue;
        }
        assert_eq!((answer.status, &answer.headers["etag"]), (200, &"\"4\"".parse().unwrap()), "{case}");
        assert!(shows(&flow, second, "second"), "{case}");
        assert_eq!(body["flow"], flow);
        assert_eq!((&body["merge"]["base"], &body["merge"]["current"]), (&json!(2), &json!(3)), "{case}");
        assert!(body["merge"]["yours"]["changes"][0].is_object(), "{case}");
        assert!(body["merge"]["theirs"]["changes"][0].is_object(), "{case}");
    }
}

fn etag(value: &'static str) -> [(&'static str, &'static str); 1] {
    [("if-match", value)]
}

/// Returns a difference that contains only this change.
fn only(path: &str, kind: &str, words: &str) -> Value {
    json!({ "changes": [{ "path": path, "kind": kind, "words": words }], "more": 0 })
}

pub(super) async fn a_merge_describes_both_edits(repository: Repository) {
    let client = edited(repository).await;
    let (path, put) = (format!("/api/flows/{ID}"), format!("PUT /api/flows/{ID}{AUTO}"));
    let renamed = only("$.name", "changed", r#"`name` was changed from "one" to "two""#);

    let mine = document("one").replace('}', ",\"x\":1}");
    let answer = client.send(&put, &etag("\"1\""), &mine).await;
    let words = "your edit of revision 1 (1 change) was merged with revision 2 by anonymous (1 change)";
    let merge = json!({ "words": words, "base": 1, "current": 2, "theirs": renamed,
        "yours": only("$.x", "added", "`x` was added: 1") });
    let merged: Value = serde_json::from_str(&mine.replace("one", "two")).unwrap();
    assert_eq!((answer.status, answer.json()), (200, json!({ "flow": merged, "merge": merge })));
    assert_eq!(answer.headers["etag"], "\"3\"");

    let answer = client.send(&put, &etag("\"1\""), &document("three")).await;
    let body = answer.json();
    let words = r#"`name` was "one", is "three" in yours and "two" in theirs"#;
    let conflict =
        json!({ "path": "$.name", "words": words, "base": "\"one\"", "yours": "\"three\"", "theirs": "\"two\"" });
    assert_eq!((answer.status, &body["conflicts"]), (412, &json!({ "list": [conflict], "more": 0 })));
    assert_eq!(body["detail"], format!("the flow is at revision 3; nothing was written; cannot merge: {words}"));
    assert_eq!(body["current"]["flow"], merged);
    let yours = only("$.name", "changed", r#"`name` was changed from "one" to "three""#);
    assert_eq!((&body["difference"]["base"], &body["difference"]["yours"]), (&json!(1), &yours));

    // Revision 9 does not exist, so there is no base for a merge.
    let answer = client.send(&put, &etag("\"9\""), &document("three")).await;
    let detail =
        "the flow is at revision 3; nothing was written; cannot merge: revision 9 does not exist or is no longer retained".to_owned();
    assert_eq!((answer.status, &answer.json()["detail"]), (412, &json!(detail)));
    assert_eq!(answer.json()["conflicts"], Value::Null);
    assert!(answer.json()["difference"]["between"]["changes"][1].is_object());

    assert_eq!(client.send(&format!("DELETE {path}"), &[], "").await.status, 204);
    let deleted = client.send(&put, &etag("\"1\""), &mine).await;
    assert_eq!((deleted.status, &deleted.json()["deleted"]["revision"]), (404, &json!(4)));
    // Revision 4 is the deletion. No client can have edited it.
    client.send(&format!("POST {path}/restore"), &[], r#"{"revision":1}"#).await;
    assert_eq!(client.send(&put, &etag("\"4\""), &mine).await.status, 412);
}

pub(super) async fn a_merge_without_exactly_one_etag_returns_400(repository: Repository) {
    let client = edited(repository).await;
    let refused =
        |detail: &str| problem(400, "invalid-parameter", "invalid query parameter", &format!("`merge`: {detail}"));
    let path = format!("/api/flows/{ID}");
    let needs = "`auto` requires `If-Match` with exactly one entity tag, the revision that was edited, such as `\"3\"`";
    for headers in [&[][..], &etag("*"), &etag("\"1\", \"2\""), &[("if-none-match", "*")]] {
        let answer = client.send(&format!("PUT {path}{AUTO}"), headers, &document("three")).await;
        assert_eq!(answer.shown(), refused(needs), "{headers:?}");
    }
    for (query, detail) in [
        ("?merge=yes", "must be `auto`"),
        ("?merge=", "must be `auto`"),
        ("?merge=auto&merge=auto", "the parameter occurs twice"),
    ] {
        for line in [format!("PUT {path}{query}"), format!("PATCH {path}/properties{query}")] {
            let answer = client.send(&line, &etag("\"1\""), &document("three")).await;
            assert_eq!(answer.shown(), refused(detail), "{line}");
        }
    }
    assert_eq!(client.send(&format!("GET {path}"), &[], "").await.headers["etag"], "\"2\"", "nothing was written");
}

pub(super) async fn a_merge_preserves_runtime_members(repository: Repository) {
    let client = Client::new(repository);
    let flow = |members: &str| format!(r#"{{"id":"{ID}","name":"one"{members}}}"#);
    client.send("POST /api/flows", &[], &flow(r#","n":18446744073709551617"#)).await;
    client.send(&format!("PUT /api/flows/{ID}"), &[], &flow(r#","n":18446744073709551617,"x":1.10"#)).await;
    client.send(&format!("PUT /api/flows/{ID}/state"), &[], r#"{"state":"Playing"}"#).await;
    let mine = flow(r#","n":18446744073709551618,"gst_state":"Null","running":false"#);
    let answer = client.send(&format!("POST /api/flows/{ID}{AUTO}"), &etag("\"1\""), &mine).await;
    let merged = answer.json();
    assert_eq!((answer.status, &merged["flow"]["gst_state"]), (200, &json!("Playing")));
    assert_eq!(merged["flow"]["running"], true);
    assert!(answer.body.contains("18446744073709551618") && answer.body.contains("1.10"), "{}", answer.body);
}

pub(super) async fn concurrent_edits_are_all_merged(repository: Repository) {
    let opened = Opened::new(&Client::new(repository), 1).await;
    let actions = [
        Action::Rename("PUT"),
        Action::MoveNode,
        Action::RemoveNode,
        Action::ReplaceProperties,
        Action::PatchByOperations,
    ];
    let answers = futures::future::join_all(actions.map(|action| opened.act(action, "me", AUTO))).await;
    let flow = opened.flow().await;
    for (action, answer) in actions.into_iter().zip(answers) {
        assert_eq!(answer.status, 200, "{action:?}: {answer:?}");
        assert!(shows(&flow, action, "me"), "{action:?}: {flow}");
    }
    let tag = |headers: &HeaderMap| headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(tag(&opened.get("").await.headers), "\"7\"", "each of the five edits created a revision");
}
