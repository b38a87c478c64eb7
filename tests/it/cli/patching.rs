//! `strom diff --patch`.

use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use super::{Store, document, id};
use crate::serve::Running;

pub(super) fn a_patch_makes_the_later_revision(store: &Store) {
    store.run_with(&["put", "-"], &text("[{\"id\":\"in\"},{\"id\":\"mix\",\"gain\":1}]", "1"));
    store.run_with(&["put", "-"], &text("[{\"id\":\"mix\",\"gain\":18446744073709551617},{\"id\":\"in\"}]", "1.0"));
    let expected = r#"[
  {
    "op": "move",
    "from": "/elements/1",
    "path": "/elements/0"
  },
  {
    "op": "replace",
    "path": "/elements/0/gain",
    "value": 18446744073709551617
  }
]
"#;
    assert_eq!(store.done(&["diff", &id(1), "--patch"]), expected);
    assert_eq!(store.done(&["diff", &id(1), "1", "2", "--patch"]), expected);
    assert_eq!(store.done(&["diff", &id(1), "2", "2", "--patch"]), "[]\n");
    let (code, _, stderr) = store.run(&["diff", &id(1), "--patch", "--json"]);
    assert!(
        code == Some(2) && stderr.starts_with("error: the argument '--patch' cannot be used with '--json'"),
        "{stderr}"
    );
    let none = format!("the flow {} has no revision 9, or it is no longer kept\n", id(1));
    assert_eq!(store.run(&["diff", &id(1), "9", "--patch"]), (Some(1), String::new(), none));
}

fn text(elements: &str, x: &str) -> String {
    let document = document(1, "a");
    format!("{},\"x\":{x},\"elements\":{elements}}}", document.trim_end_matches('}'))
}

/// What is printed is what the server takes.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_takes_the_patch() {
    let store = Store::json();
    let (older, newer) =
        (text("[{\"id\":\"b\"}]", "[1,2,3]"), text("[{\"id\":\"a\"},{\"id\":\"b\",\"y/z\":1.10}]", "[1,3]"));
    for document in [&older, &newer, &older] {
        store.run_with(&["put", "-"], document);
    }
    let patch = store.done(&["diff", &id(1), "1", "2", "--patch"]);
    let before = store.done(&["get", &id(1), "--revision", "2"]);
    let server = Running::start(&[&store.flags()[..], &["--port", "0"]].concat(), &[]);
    let client = reqwest::Client::new();
    let request =
        client.patch(server.url(&format!("/api/flows/{}", id(1)))).header(CONTENT_TYPE, "application/json-patch+json");
    let answer = request.body(patch).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["flow"], serde_json::from_str::<Value>(&before).unwrap());
}
