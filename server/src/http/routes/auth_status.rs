//! `GET /api/auth/status`

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::app::App;

/// The authentication of a request.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuthStatus {
    authenticated: bool,
    auth_required: bool,
    methods: &'static [&'static str],
    /// The name of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// Whether the key is read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    read_only: Option<bool>,
}

/// Returns whether the server requires a key and which key this request has.
#[utoipa::path(
    get, path = "/api/auth/status", tag = "service", operation_id = "auth_status",
    responses((status = 200, description = "The authentication of this request.", body = AuthStatus, example = json!({
        "authenticated": false, "auth_required": true, "methods": ["api_key"],
    }))),
)]
pub(crate) async fn auth_status(State(app): State<App>, headers: HeaderMap) -> Json<AuthStatus> {
    let auth_required = app.access.requires_key();
    let caller = app.access.caller(&headers);
    let key_holder = caller.as_ref().filter(|caller| caller.has_key());
    Json(AuthStatus {
        authenticated: caller.is_some(),
        auth_required,
        methods: if auth_required { &["api_key"] } else { &[] },
        name: key_holder.map(|caller| caller.name.as_str().to_owned()),
        read_only: key_holder.map(|caller| caller.is_read_only),
    })
}
