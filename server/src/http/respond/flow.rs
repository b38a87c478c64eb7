//! Responses with one flow. They contain the document exactly as it is stored; nothing parses it again.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use strom_store::flow::Flow;
use strom_store::repository::Revision;

use super::cache::PRIVATE_NO_CACHE;
use super::merge::Merge;
use super::warning::Warnings;

/// Returns 200 with `{"flow": …}`.
pub(crate) fn flow(flow: &Flow, revision: Revision) -> Response {
    response(StatusCode::OK, flow, revision, &Warnings::default(), None)
}

/// Returns 200 with the saved flow and its warnings.
pub(crate) fn saved_flow(flow: &Flow, revision: Revision) -> Response {
    response(StatusCode::OK, flow, revision, &Warnings::of(flow), None)
}

/// Returns 201 with the new flow, its warnings and its `Location`.
pub(crate) fn created_flow(flow: &Flow, revision: Revision) -> Response {
    let location = [(header::LOCATION, format!("/api/flows/{}", flow.id()))];
    (location, response(StatusCode::CREATED, flow, revision, &Warnings::of(flow), None)).into_response()
}

/// Returns 200 with the saved flow, its warnings and the description of the merge.
pub(crate) fn merged_flow(flow: &Flow, revision: Revision, merge: &Merge) -> Response {
    response(StatusCode::OK, flow, revision, &Warnings::of(flow), Some(merge))
}

/// Returns 304: the client has this revision.
pub(crate) fn flow_not_modified(revision: Revision) -> Response {
    (StatusCode::NOT_MODIFIED, [PRIVATE_NO_CACHE], [(header::ETAG, etag(revision))]).into_response()
}

fn response(
    status: StatusCode,
    flow: &Flow,
    revision: Revision,
    warnings: &Warnings,
    merge: Option<&Merge>,
) -> Response {
    let mut body = format!(r#"{{"flow":{}"#, flow.document().get());
    if !warnings.list.is_empty() {
        let list = serde_json::to_string(&warnings.list).expect("strings become JSON");
        body.push_str(&format!(r#","warnings":{list}"#));
    }
    if let Some(total) = warnings.omitted_total() {
        body.push_str(&format!(r#","warnings_total":{total}"#));
    }
    if let Some(merge) = merge {
        let merge = serde_json::to_string(merge).expect("strings and numbers become JSON");
        body.push_str(&format!(r#","merge":{merge}"#));
    }
    body.push('}');
    let headers = [(header::CONTENT_TYPE, "application/json"), PRIVATE_NO_CACHE];
    (status, headers, [(header::ETAG, etag(revision))], body).into_response()
}

/// Returns the entity tag of a revision. `extract::entity_tag` parses it.
fn etag(revision: Revision) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).expect("digits in quotes are a header value")
}
