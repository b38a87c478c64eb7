//! Examples: a real flow, and responses about it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The id of [`flow`].
pub(crate) const ID: &str = "00000000-0000-4000-8000-0000000000a1";

/// Returns a flow from the tests of the engine.
pub(crate) fn flow() -> Value {
    serde_json::from_str(include_str!("../../../../../tests/flows/upstream-test-pipeline-lifecycle.json"))
        .expect("a test stores it")
}

/// Returns `{"flow": …}`.
pub(crate) fn flow_answer() -> Value {
    json!({ "flow": flow() })
}

/// Returns the response to a save.
pub(crate) fn saved() -> Value {
    let message = "no element or block has the id of this end, `mixer`";
    json!({ "flow": flow(), "warnings": [{ "path": "$.links[0].to", "message": message }] })
}

/// Returns a summary of the flow.
pub(crate) fn summary() -> Value {
    json!({
        "id": ID, "name": "lifecycle test", "state": "Null", "auto_restart": false, "revision": 3,
        "created_at": "2026-03-19T10:00:00Z", "updated_at": "2026-03-19T12:30:00Z",
        "size": 428, "elements": 2, "blocks": 0, "links": 1,
    })
}

/// Returns the report of an import.
pub(crate) fn imported() -> Value {
    let flow = json!({ "id": ID, "name": "lifecycle test", "outcome": "created" });
    report(&[("created", 1)], &flow)
}

/// Returns the report of a rejected import.
pub(crate) fn refused() -> Value {
    let error = "the flow exists with different content";
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

/// Returns the summary of a revision.
pub(crate) fn contents() -> Value {
    json!({ "name": "lifecycle test", "state": "Null", "auto_restart": false, "elements": 2, "blocks": 0, "links": 1 })
}

/// Returns a cursor of a list by name.
pub(crate) fn cursor() -> Value {
    let time = "2026-03-19T10:00:00Z";
    let cursor = json!({ "sort": "name", "name": "a", "created_at": time, "updated_at": time, "id": ID });
    URL_SAFE_NO_PAD.encode(cursor.to_string()).into()
}
