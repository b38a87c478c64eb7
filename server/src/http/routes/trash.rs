//! `GET /api/trash`

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;

use crate::http::app::App;
use crate::http::respond::description::{Problems, Reads};
use crate::http::respond::{DeletedFlow, NO_STORE, RouteResult, Trash};

/// Returns the deleted flows that can be restored, latest deletion first.
#[utoipa::path(
    get, path = "/api/trash", tag = "history", operation_id = "list_trash",
    responses(
        (status = 200, description = "The last summaries of deleted flows.", body = Trash, example = json!({ "flows": [{
            "id": "00000000-0000-4000-8000-0000000000a1", "revision": 4, "deleted_at": "2026-03-20T09:00:00Z",
            "author": "api", "size": 428, "name": "lifecycle test", "state": "Null", "auto_restart": false,
            "elements": 2, "blocks": 0, "links": 1,
        }] })),
        Problems<Reads>,
    ),
)]
pub(crate) async fn trash(State(app): State<App>) -> RouteResult {
    let records = app.repository().deleted().await?;
    let flows = records.iter().map(DeletedFlow::of).collect();
    Ok(([NO_STORE], Json(Trash { flows })).into_response())
}
