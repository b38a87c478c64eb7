//! Examples: a real flow, and what is said about it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The id of [`flow`].
pub(super) const ID: &str = "00000000-0000-4000-8000-0000000000a1";

/// A flow that the tests of an engine use.
pub(in crate::http) fn flow() -> Value {
    serde_json::from_str(include_str!("../../../tests/flows/upstream-test-pipeline-lifecycle.json"))
        .expect("a test stores it")
}

/// `{"flow": …}`.
pub(in crate::http) fn flow_answer() -> Value {
    json!({ "flow": flow() })
}

/// The flow, and what is suspicious about it.
pub(super) fn saved() -> Value {
    let message = "no element or block has the id of this end, `mixer`";
    json!({ "flow": flow(), "warnings": [{ "path": "$.links[0].to", "message": message }] })
}

/// What is known of the flow without its document.
pub(in crate::http) fn summary() -> Value {
    json!({
        "id": ID, "name": "lifecycle test", "state": "Null", "auto_restart": false, "revision": 3,
        "created_at": "2026-03-19T10:00:00Z", "updated_at": "2026-03-19T12:30:00Z",
        "size": 428, "elements": 2, "blocks": 0, "links": 1,
    })
}

/// What came of an import.
pub(in crate::http) fn imported() -> Value {
    let flow = json!({ "id": ID, "name": "lifecycle test", "outcome": "created" });
    report(&[("created", 1)], &flow)
}

/// What would have come of it.
pub(super) fn refused() -> Value {
    let error = "the flow exists, with another content";
    let flow = json!({ "id": ID, "name": "lifecycle test", "outcome": "refused", "error": error });
    report(&[("refused", 1)], &flow)
}

fn report(counts: &[(&str, u32)], flow: &Value) -> Value {
    let mut report = json!({
        "dry_run": false, "created": 0, "replaced": 0, "unchanged": 0, "skipped": 0, "cloned": 0, "refused": 0,
        "flows": [flow],
    });
    for (outcome, count) in counts {
        report[*outcome] = (*count).into();
    }
    report
}

/// What a flow was like.
pub(in crate::http) fn contents() -> Value {
    json!({ "name": "lifecycle test", "state": "Null", "auto_restart": false, "elements": 2, "blocks": 0, "links": 1 })
}

/// The place behind a flow in a list by name.
pub(super) fn cursor() -> Value {
    let time = "2026-03-19T10:00:00Z";
    let place = json!({ "sort": "name", "name": "a", "created_at": time, "updated_at": time, "id": ID });
    URL_SAFE_NO_PAD.encode(place.to_string()).into()
}
