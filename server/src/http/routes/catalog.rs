//! `GET /api/elements`, `/api/blocks` and `/api/network/interfaces`. This program has no engine, so the lists are empty.

use axum::Json;
use serde_json::{Value, json};

use crate::http::respond::description::schemas;

/// Returns the element types of the engine. The list is empty, because this build has no engine.
#[utoipa::path(
    get, path = "/api/elements", tag = "catalog", operation_id = "list_elements",
    responses((status = 200, description = "An empty \
                                            list.", body = schemas::Elements, example = json!({ "elements": [] }))),
)]
pub(crate) async fn elements() -> Json<Value> {
    Json(json!({ "elements": [] }))
}

/// Returns the block types of the engine. The list is empty, because this build has no engine.
#[utoipa::path(
    get, path = "/api/blocks", tag = "catalog", operation_id = "list_blocks",
    responses((status = 200, description = "An empty \
                                            list.", body = schemas::Blocks, example = json!({ "blocks": [] }))),
)]
pub(crate) async fn blocks() -> Json<Value> {
    Json(json!({ "blocks": [] }))
}

/// Returns the network interfaces of the engine. The list is empty, because this build has no engine.
#[utoipa::path(
    get, path = "/api/network/interfaces", tag = "catalog", operation_id = "list_network_interfaces",
    responses(
        (status = 200, description = "An empty \
                                      list.", body = schemas::NetworkInterfaces, example = json!({ "interfaces": [] })),
    ),
)]
pub(crate) async fn network_interfaces() -> Json<Value> {
    Json(json!({ "interfaces": [] }))
}
