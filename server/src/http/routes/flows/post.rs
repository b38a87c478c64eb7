//! `POST /api/flows/{id}`

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use strom_store::repository::Author;

use super::replace::{parse_flow, replace_flow};
use crate::http::app::App;
use crate::http::extract::query::edited_revision;
use crate::http::extract::{JsonText, PathId, RequestPrecondition, parameters};
use crate::http::respond::RouteResult;
use crate::http::respond::description::{
    Bodies, Conditional, OnFlow, Parameters, Problems, SameId, Saved, Writes, examples, schemas,
};

/// Replaces a flow. The body is a flow or `{"flow": …}`.
#[utoipa::path(
    post, path = "/api/flows/{id}", tag = "flows", operation_id = "replace_flow",
    params(parameters::Id, parameters::IfMatch, parameters::MergeMode),
    request_body(content = schemas::Flow, example = json!(examples::flow())),
    responses(Saved, Problems<(OnFlow, Parameters, SameId, Conditional, Bodies, Writes)>),
)]
pub(crate) async fn post(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> RouteResult {
    let precondition = RequestPrecondition::of_change(&headers)?;
    let merge = edited_revision(query.as_deref(), &precondition)?;
    replace_flow(&app, &parse_flow(id, &text)?, precondition, merge, author).await
}
