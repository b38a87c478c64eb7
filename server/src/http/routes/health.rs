//! `GET /health`

/// Returns `OK` while the process runs. Independent of the storage: a restart would not help during an outage.
#[utoipa::path(
    get, path = "/health", tag = "service", operation_id = "health",
    responses((status = 200, description = "The process runs.", body = String, example = json!("OK"))),
)]
pub(crate) async fn health() -> &'static str {
    "OK"
}
