//! `GET /api/flows/{id}/history`

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;

use crate::http::app::App;
use crate::http::extract::query::HistoryQuery;
use crate::http::extract::{PathId, parameters};
use crate::http::respond::description::{Headers, ListNotModified, OnFlow, Parameters, Problems, Reads, examples};
use crate::http::respond::{FlowHistory, HistoryEntry, Problem, RouteResult, json_list};

/// Returns the revisions of a flow, newest first. Also works for a deleted flow.
#[utoipa::path(
    get, path = "/api/flows/{id}/history", tag = "history", operation_id = "list_history",
    params(parameters::Id, parameters::HistoryParameters, parameters::IfListChanged),
    responses(
        (status = 200, description = "The revisions of the flow.", body = FlowHistory, example = json!({ "history": [{
            "revision": 3, "op": "update", "at": "2026-03-19T12:30:00Z", "author": "api", "size": 428,
            "summary": examples::contents(),
        }] })),
        ListNotModified, Problems<(OnFlow, Headers, Parameters, Reads)>,
    ),
)]
pub(crate) async fn history(
    State(app): State<App>,
    PathId(id): PathId,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> RouteResult {
    let HistoryQuery { before, limit } = HistoryQuery::parse(query.as_deref())?;
    let records = app.repository().history(id, before, limit).await?;
    // A flow with no revision before `before` exists; a flow with no revision does not.
    if records.is_empty() && (before.is_none() || app.repository().history(id, None, 1).await?.is_empty()) {
        return Err(Problem::no_such_flow(id));
    }
    let history = FlowHistory { history: records.iter().map(HistoryEntry::of).collect() };
    json_list(&headers, &history, records.iter().map(|record| record.at))
}
