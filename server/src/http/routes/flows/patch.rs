//! `PATCH /api/flows/{id}`

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use strom_store::flow::Flow;
use strom_store::repository::Author;

use crate::http::app::App;
use crate::http::extract::query::edited_revision;
use crate::http::extract::{Patch, PatchKind, PathId, RequestPrecondition, parameters};
use crate::http::respond::description::{
    Bodies, Conditional, OnFlow, Parameters, Patches, Problems, SameId, Saved, Writes, schemas,
};
use crate::http::respond::{Problem, ProblemKind, RouteResult};
use crate::http::storage::{Edit, EditRequest, store_edit};

/// Changes parts of a flow with a merge patch or a JSON patch, as `Content-Type` specifies.
#[utoipa::path(
    patch, path = "/api/flows/{id}", tag = "flows", operation_id = "patch_flow",
    params(parameters::Id, parameters::IfMatch, parameters::MergeMode),
    request_body(content(
        (schemas::MergePatch = "application/merge-patch+json", example = json!({ "name": "Studio 2", "block_health": null })),
        (schemas::JsonPatch = "application/json-patch+json", example = json!([{ "op": "replace", "path": "/name", "value": "Studio 2" }])),
    )),
    responses(Saved, Problems<(OnFlow, Parameters, SameId, Patches, Conditional, Bodies, Writes)>),
)]
pub(crate) async fn patch(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Patch { kind, text }: Patch,
) -> RouteResult {
    let precondition = RequestPrecondition::of_change(&headers)?;
    let merge = edited_revision(query.as_deref(), &precondition)?;
    let apply_patch = |flow: &Flow| {
        let patched = match kind {
            PatchKind::Merge => flow.merge_patched(&text)?,
            PatchKind::Operations => flow.json_patched(&text)?,
        };
        match patched.id() == id {
            true => Ok(patched),
            false => Err(Problem::new(
                ProblemKind::IdMismatch,
                format!("the patch changes the id from {id} to {}", patched.id()),
            )),
        }
    };
    store_edit(&app, EditRequest { id, precondition, merge, author }, Edit::Part(&apply_patch)).await
}
