//! `PATCH /api/flows/{id}/properties`

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use strom_store::repository::Author;

use crate::http::app::App;
use crate::http::extract::query::edited_revision;
use crate::http::extract::{JsonText, PathId, RequestPrecondition, parameters};
use crate::http::respond::RouteResult;
use crate::http::respond::description::{Bodies, Conditional, OnFlow, Parameters, Problems, Saved, Writes, schemas};
use crate::http::storage::{Edit, EditRequest, store_edit};

/// Replaces the properties of a flow. Preserves `created_at` and `started_at`.
#[utoipa::path(
    patch, path = "/api/flows/{id}/properties", tag = "flows", operation_id = "replace_properties",
    params(parameters::Id, parameters::IfMatch, parameters::MergeMode),
    request_body(content = schemas::NewProperties, example = json!({ "properties": { "clock_type": "ptp", "ptp_domain": 3 } })),
    responses(Saved, Problems<(OnFlow, Parameters, Conditional, Bodies, Writes)>),
)]
pub(crate) async fn replace_properties(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> RouteResult {
    let precondition = RequestPrecondition::of_change(&headers)?;
    let merge = edited_revision(query.as_deref(), &precondition)?;
    let request = EditRequest { id, precondition, merge, author };
    store_edit(&app, request, Edit::Part(&|flow| Ok(flow.with_properties(&text)?))).await
}
