//! `GET /api-docs/openapi.json`

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::http::app::App;

/// Returns this document.
#[utoipa::path(
    get, path = "/api-docs/openapi.json", tag = "service", operation_id = "openapi",
    responses((status = 200, description = "An OpenAPI document.", body = OpenApiBody, example = json!({
        "openapi": "3.1.0", "info": { "title": "Strom's flow store", "version": "0.1.0" }, "servers": [{ "url": "/" }], "paths": {}, "components": {}, "tags": [],
    }))),
)]
pub(crate) async fn openapi(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], app.openapi_document.clone())
}

/// An OpenAPI document (<https://spec.openapis.org/oas/v3.1.0>).
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "the server sends the document as text; this type is its schema")]
#[schema(as = Document)]
struct OpenApiBody {
    /// The version of OpenAPI.
    openapi: String,
    /// The title and version of the API.
    info: serde_json::Value,
    /// The addresses of the server.
    servers: serde_json::Value,
    /// The operations by path and method.
    paths: serde_json::Value,
    /// Shared components of the operations.
    components: serde_json::Value,
    /// The tags of the operations.
    tags: serde_json::Value,
}
