//! `?merge=auto`: two people edit different parts of one flow.

use std::sync::Arc;

use axum::http::HeaderMap;
use serde_json::{Value, json};
use strom::FlowRepository;

use super::client::{Client, ID, document, edited, problem};
use super::editors::{Deed, Opened, pairs, shows};

type Repository = Arc<dyn FlowRepository>;

const AUTO: &str = "?merge=auto";

/// Those after which the flow is there, and that are made with a document or a patch.
fn is_edit(deed: Deed) -> bool {
    !matches!(deed, Deed::Restore | Deed::Delete)
}

pub(super) async fn edits_of_two_editors_are_merged(repository: Repository) {
    let edits = pairs().filter(|(first, second)| is_edit(*first) && is_edit(*second));
    for (number, (first, second)) in edits.enumerate() {
        let opened = Opened::new(&repository, number).await;
        assert_eq!(opened.act(first, "first", AUTO).await.status, 200, "what is not stale is saved");
        let answer = opened.act(second, "second", AUTO).await;
        let (body, flow) = (answer.json(), opened.flow().await);
        let case = format!("{first:?}, {second:?}: {body}");
        assert!(shows(&flow, first, "first"), "{case}");
        let is_same_member = match (first, second) {
            (Deed::Rename(_), Deed::Rename(_)) => true,
            (Deed::MoveNode | Deed::ReplaceProperties | Deed::TakeNode, _) => first == second,
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

/// A list of this one change.
fn only(path: &str, kind: &str, words: &str) -> Value {
    json!({ "changes": [{ "path": path, "kind": kind, "words": words }], "more": 0 })
}

pub(super) async fn a_merge_says_what_it_did(repository: Repository) {
    let client = edited(repository).await;
    let (path, put) = (format!("/api/flows/{ID}"), format!("PUT /api/flows/{ID}{AUTO}"));
    let renamed = only("$.name", "changed", r#"`name` was changed from "one" to "two""#);

    // Without a body the client would take its own copy for the merged flow.
    let mine = document("one").replace('}', ",\"x\":1}");
    let answer = client.send(&put, &[("if-match", "\"1\""), ("prefer", "return=minimal")], &mine).await;
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
    assert_eq!(body["detail"], format!("the flow is at revision 3, and nothing was merged: {words}"));
    assert_eq!(body["current"]["flow"], merged);
    let yours = only("$.name", "changed", r#"`name` was changed from "one" to "three""#);
    assert_eq!((&body["difference"]["base"], &body["difference"]["yours"]), (&json!(1), &yours));

    // What nobody has is nothing to begin with.
    let answer = client.send(&put, &etag("\"9\""), &document("three")).await;
    let detail =
        "the flow is at revision 3, and nothing was merged: revision 9 is no longer kept, or never was".to_owned();
    assert_eq!((answer.status, &answer.json()["detail"]), (412, &json!(detail)));
    assert_eq!(answer.json()["conflicts"], Value::Null);
    assert!(answer.json()["difference"]["between"]["changes"][1].is_object());

    assert_eq!(client.send(&format!("DELETE {path}"), &[], "").await.status, 204);
    let gone = client.send(&put, &etag("\"1\""), &mine).await;
    assert_eq!((gone.status, &gone.json()["deleted"]["revision"]), (404, &json!(4)));
    // Revision 4 is the deletion, which nobody can have edited.
    client.send(&format!("POST {path}/restore"), &[], r#"{"revision":1}"#).await;
    assert_eq!(client.send(&put, &etag("\"4\""), &mine).await.status, 412);
}

pub(super) async fn a_merge_asks_for_one_revision(repository: Repository) {
    let client = edited(repository).await;
    let refused =
        |detail: &str| problem(400, "invalid-parameter", "a query parameter is wrong", &format!("`merge`: {detail}"));
    let path = format!("/api/flows/{ID}");
    let needs = "`auto` needs `If-Match` with the one entity tag of the revision that was edited, such as `\"3\"`";
    for headers in [&[][..], &etag("*"), &etag("W/\"1\""), &etag("\"1\", \"2\""), &[("if-none-match", "*")]] {
        let answer = client.send(&format!("PUT {path}{AUTO}"), headers, &document("three")).await;
        assert_eq!(answer.shown(), refused(needs), "{headers:?}");
    }
    for (query, detail) in [
        ("?merge=yes", "the only way to merge is `auto`"),
        ("?merge=", "the only way to merge is `auto`"),
        ("?merge=auto&merge=auto", "given twice"),
    ] {
        for line in [format!("PUT {path}{query}"), format!("PATCH {path}/properties{query}")] {
            let answer = client.send(&line, &etag("\"1\""), &document("three")).await;
            assert_eq!(answer.shown(), refused(detail), "{line}");
        }
    }
    assert_eq!(client.send(&format!("GET {path}"), &[], "").await.headers["etag"], "\"2\"", "nothing was written");
}

pub(super) async fn a_merge_keeps_what_an_engine_reports(repository: Repository) {
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

pub(super) async fn edits_at_once_are_all_merged(repository: Repository) {
    let opened = Opened::new(&repository, 1).await;
    let deeds = [Deed::Rename("PUT"), Deed::MoveNode, Deed::TakeNode, Deed::ReplaceProperties, Deed::PatchByOperations];
    let answers = futures::future::join_all(deeds.map(|deed| opened.act(deed, "me", AUTO))).await;
    let flow = opened.flow().await;
    for (deed, answer) in deeds.into_iter().zip(answers) {
        assert_eq!(answer.status, 200, "{deed:?}: {answer:?}");
        assert!(shows(&flow, deed, "me"), "{deed:?}: {flow}");
    }
    let tag = |headers: &HeaderMap| headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(tag(&opened.get("").await.headers), "\"7\"", "a revision for each");
}
