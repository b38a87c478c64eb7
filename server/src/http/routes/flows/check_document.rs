//! `POST /api/flows/check`

use axum::Json;
use axum::response::IntoResponse;
use serde::Serialize;
use strom_store::envelope::flow_text;
use strom_store::flow::Draft;
use utoipa::ToSchema;

use crate::clock;
use crate::http::extract::JsonText;
use crate::http::respond::description::{Bodies, Checks, Problems, examples, schemas};
use crate::http::respond::{NO_STORE, RouteResult, WarningBody, Warnings};
use crate::http::storage::run_blocking;

/// The warnings about a document.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckedDocument)]
struct CheckedBody {
    /// The warnings, at most 100. The list may be empty.
    #[schema(max_items = 100)]
    warnings: Vec<WarningBody>,
    /// The number of all warnings.
    warnings_total: usize,
}

/// Checks a document without saving it. Returns the warnings and errors that a create would return.
#[utoipa::path(
    post, path = "/api/flows/check", tag = "flows", operation_id = "check_document",
    request_body(content = schemas::NewFlow, example = json!(examples::flow())),
    responses(
        (status = 200, description = "The warnings. The list may be empty.", body = CheckedBody, example = json!({
            "warnings": [{ "path": "$.elements[0].position", "message": "the position is null" }], "warnings_total": 1,
        })),
        Problems<(Bodies, Checks)>,
    ),
)]
pub(crate) async fn check_document(JsonText(text): JsonText) -> RouteResult {
    let checked = run_blocking(move || {
        let flow = Draft::parse(flow_text(&text))?.into_flow(clock::new_id())?;
        Ok(Warnings::of(&flow))
    });
    let Warnings { list, total } = checked.await.map_err(|refusal: strom_store::Refusal| refusal)?;
    Ok(([NO_STORE], Json(CheckedBody { warnings: list, warnings_total: total })).into_response())
}
