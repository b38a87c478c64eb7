//! `PUT /api/flows/{id}`
//!
//! [`parse_flow`] parses the body, [`RequestPrecondition::of_put`] the precondition. `storage::edit` compares it with the flow, and
//! requires that the flow is still the same when it is written. `respond::problem` maps errors to status codes.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use strom_store::repository::{Author, Precondition};

use super::replace::{parse_flow, replace_flow};
use crate::http::app::App;
use crate::http::extract::query::edited_revision;
use crate::http::extract::{JsonText, PathId, RequestPrecondition, parameters};
use crate::http::respond::description::{
    Bodies, Conditional, Created, OnFlow, Parameters, Problems, SameId, Saved, Writes, examples, schemas,
};
use crate::http::respond::{RouteResult, created_flow};
use crate::http::storage::{AttemptedChange, Edit, conflict_problem, put as put_flow};

/// Replaces a flow, or creates it with `If-None-Match: *`. The body is a flow or `{"flow": …}`.
#[utoipa::path(
    put, path = "/api/flows/{id}", tag = "flows", operation_id = "put_flow",
    params(parameters::Id, parameters::IfMatch, parameters::IfNoneMatch, parameters::MergeMode),
    request_body(content = schemas::Flow, example = json!(examples::flow())),
    responses(Saved, Created, Problems<(OnFlow, Parameters, SameId, Conditional, Bodies, Writes)>),
)]
pub(crate) async fn put(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> RouteResult {
    let precondition = RequestPrecondition::of_put(&headers)?;
    let merge = edited_revision(query.as_deref(), &precondition)?;
    let flow = parse_flow(id, &text)?;
    if precondition != RequestPrecondition::Absent {
        return replace_flow(&app, &flow, precondition, merge, author).await;
    }
    match put_flow(app.repository(), flow.clone(), Precondition::Absent, author).await {
        Ok(version) => Ok(created_flow(&flow, version.revision)),
        Err(error) => {
            let attempted = AttemptedChange::Edit(Edit::Whole(&flow));
            Err(conflict_problem(app.repository(), error, id, &precondition, attempted).await)
        }
    }
}
