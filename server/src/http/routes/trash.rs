//! `GET /api/trash`

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;

use crate::http::app::App;
use crate::http::extract::parameters;
use crate::http::extract::query::{TrashCursor, TrashQuery};
use crate::http::respond::description::{Headers, ListNotModified, Parameters, Problems, Reads};
use crate::http::respond::{DeletedFlow, RouteResult, Trash, json_list};

/// Approximate memory of a deleted flow in the list.
const FLOW_OVERHEAD: u64 = 512;

/// Returns the deleted flows that can be restored, latest deletion first.
#[utoipa::path(
    get, path = "/api/trash", tag = "history", operation_id = "list_trash",
    params(parameters::TrashParameters, parameters::IfListChanged),
    responses(
        (status = 200, description = "The last summaries of deleted flows.", body = Trash, example = json!({ "flows": [{
            "id": "00000000-0000-4000-8000-0000000000a1", "revision": 4, "deleted_at": "2026-03-20T09:00:00Z",
            "author": "api", "size": 428, "name": "lifecycle test", "state": "Null", "auto_restart": false,
            "elements": 2, "blocks": 0, "links": 1,
        }] })),
        ListNotModified, Problems<(Headers, Parameters, Reads)>,
    ),
)]
pub(crate) async fn trash(State(app): State<App>, RawQuery(query): RawQuery, headers: HeaderMap) -> RouteResult {
    let TrashQuery { limit, after } = TrashQuery::parse(query.as_deref())?;
    let load = async { Ok(app.repository().deleted().await?) };
    let (records, _reservation) =
        app.list_memory.load(None, load, |records| records.len() as u64 * FLOW_OVERHEAD).await?;
    let start = after.map_or(0, |after| records.partition_point(|record| !after.precedes(record)));
    let (rest, limit) = (&records[start..], limit.map_or(usize::MAX, |limit| limit as usize));
    let page = &rest[..rest.len().min(limit)];
    let next = page.last().filter(|_| page.len() < rest.len());
    let next_cursor = next.map(|last| TrashCursor::behind(last).to_string());
    let trash = Trash { flows: page.iter().map(DeletedFlow::of).collect(), next_cursor };
    json_list(&headers, &trash, page.iter().map(|record| record.at))
}
