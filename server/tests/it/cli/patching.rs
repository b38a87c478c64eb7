//! `strom diff --patch`.

use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use super::{Store, document, id};
use crate::serve::Running;

pub(super) fn diff_patch_prints_a_json_patch(store: &Store) {
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
    let missing = format!("the flow {} has no revision 9, or it is no longer retained\n", id(1));
    assert_eq!(store.run(&["diff", &id(1), "9", "--patch"]), (Some(1), String::new(), missing));
}

fn text(elements: &str, x: &str) -> String {
    let document = document(1, "a");
    format!("{},\"x\":{x},\"elements\":{elements}}}", document.trim_end_matches('}'))
}

/// The patch from revision 1 to 2 is applied by a server to the same document.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_accepts_the_printed_patch() {
    let store = Store::json();
    let (older, newer) =
        (text("[{\"id\":\"b\"}]", "[1,2,3]"), text("[{\"id\":\"a\"},{\"id\":\"b\",\"y/z\":1.10}]", "[1,3]"));
    for document in [&older, &newer, &older] {
        store.run_with(&["put", "-"], document);
    }
    let patch = store.done(&["diff", &id(1), "1", "2", "--patch"]);
    let second = store.done(&["get", &id(1), "--revision", "2"]);
    let server = Running::start(&[&store.flags()[..], &["--port", "0"]].concat(), &[]);
    let client = reqwest::Client::new();
    let request =
        client.patch(server.url(&format!("/api/flows/{}", id(1)))).header(CONTENT_TYPE, "application/json-patch+json");
    let response = request.body(patch).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let flow: Value = response.json().await.unwrap();
    assert_eq!(flow["flow"], serde_json::from_str::<Value>(&second).unwrap());
}
