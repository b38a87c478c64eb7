//! What the server says about itself: alive, ready, which version, whether it wants a key. All of it without a key.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, TimeDelta};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::answer::NO_STORE;
use crate::clock;
use crate::last_known::{Extent, LastKnown};
use crate::repository::Status;

/// Alive. Never touches the storage: a server must not be killed because its database is away.
#[utoipa::path(
    get, path = "/health", tag = "service", operation_id = "health",
    responses((status = 200, description = "Alive.", body = String, example = json!("OK"))),
)]
pub(super) async fn health() -> &'static str {
    "OK"
}

/// Whether requests would be served.
#[derive(Serialize, ToSchema)]
struct Ready {
    /// `json` or `postgres`.
    storage: &'static str,
    /// Where it is and why it fails: paths and hosts are for those who hold the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    location: Option<String>,
    reachable: bool,
    /// `null` while nobody can ask it.
    #[schema(required)]
    migrated: Option<bool>,
    /// For how long it has been so.
    #[schema(value_type = DateTime<Utc>)]
    since: String,
    /// Told to read only: writes go to another instance.
    read_only: bool,
    /// Not ready, or with faults.
    degraded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// What somebody should look at, for those who hold the key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
    /// What is read while the storage is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_known: Option<LastKnownFlows>,
}

/// What is read while the storage is away.
#[derive(Serialize, ToSchema)]
struct LastKnownFlows {
    /// How many, for those who hold the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    flows: Option<usize>,
    /// Whether it is all of them.
    complete: bool,
    /// When they were what is stored.
    #[schema(value_type = DateTime<Utc>)]
    as_of: String,
    /// Whether they are read just now.
    served: bool,
}

/// Whether requests would be served.
#[utoipa::path(
    get, path = "/ready", tag = "service", operation_id = "ready",
    responses(
        (status = 200, description = "They would.", body = Ready, example = json!({
            "storage": "postgresql", "reachable": true, "migrated": true, "since": "2026-03-19T10:00:00.000Z",
            "read_only": false, "degraded": false,
        })),
        (status = 503, description = "The storage is away.", body = Ready, example = json!({
            "storage": "postgresql", "reachable": false, "migrated": null, "since": "2026-03-19T10:00:00.000Z",
            "read_only": false, "degraded": true,
        })),
    ),
)]
pub(super) async fn ready(State(app): State<App>, headers: HeaderMap) -> Response {
    // Load balancers ask this, and have no keys.
    let health = app.source.repository.health().await;
    let ready = health.status == Status::Ready;
    let is_trusted = app.access.caller(&headers).is_some();
    let reason = match health.status {
        Status::Ready => None,
        Status::Unavailable(reason) => Some(reason),
    };
    let since = TimeDelta::from_std(health.for_the_last).ok().and_then(|time| clock::now().checked_sub_signed(time));
    let last_known = app.source.last_known.as_ref().and_then(LastKnown::extent);
    let last_known = last_known.map(|Extent { flows, is_complete, as_of }| LastKnownFlows {
        flows: is_trusted.then_some(flows),
        complete: is_complete,
        as_of: as_of.to_rfc3339_opts(SecondsFormat::Millis, true),
        served: !ready,
    });
    let faults = health.faults;
    let body = Ready {
        storage: health.kind,
        location: is_trusted.then_some(health.location),
        reachable: ready,
        migrated: ready.then_some(true),
        since: since.unwrap_or(DateTime::UNIX_EPOCH).to_rfc3339_opts(SecondsFormat::Millis, true),
        read_only: health.read_only,
        degraded: !ready || !faults.is_empty(),
        faults: if is_trusted { faults } else { Vec::new() },
        reason: reason.filter(|_| is_trusted),
        last_known,
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [NO_STORE], Json(body)).into_response()
}

/// What this binary was built from.
#[derive(Serialize, ToSchema)]
#[schema(as = Version)]
pub(super) struct VersionInfo {
    version: &'static str,
    git_hash: &'static str,
    git_tag: &'static str,
    git_branch: &'static str,
    git_dirty: bool,
    #[schema(value_type = DateTime<Utc>)]
    build_timestamp: String,
}

/// What this binary was built from.
///
/// Clients expect strings and a boolean: what is not known is `unknown`, a commit without a tag has the tag `""`, and a
/// tree that nobody could look at counts as clean.
#[utoipa::path(
    get, path = "/api/version", tag = "service", operation_id = "version",
    responses((status = 200, description = "The version.", body = VersionInfo, example = json!({
        "version": "0.1.0", "git_hash": "0629e8a", "git_tag": "", "git_branch": "main", "git_dirty": false,
        "build_timestamp": "2026-03-19T10:00:00Z",
    }))),
)]
pub(super) async fn version() -> Json<VersionInfo> {
    let built = env!("STROM_BUILD_EPOCH").parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    Json(VersionInfo {
        version: env!("CARGO_PKG_VERSION"),
        git_hash: env!("STROM_GIT_HASH"),
        git_tag: env!("STROM_GIT_TAG"),
        git_branch: env!("STROM_GIT_BRANCH"),
        git_dirty: env!("STROM_GIT_DIRTY") == "true",
        build_timestamp: built.unwrap_or(DateTime::UNIX_EPOCH).to_rfc3339_opts(SecondsFormat::Secs, true),
    })
}

/// Whether a key is wanted.
#[derive(Serialize, ToSchema)]
pub(super) struct AuthStatus {
    authenticated: bool,
    auth_required: bool,
    methods: &'static [&'static str],
    /// Of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// Whether it changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    read_only: Option<bool>,
}

/// Whether a key is wanted, whether this request has one that is right, and which.
#[utoipa::path(
    get, path = "/api/auth/status", tag = "service", operation_id = "auth_status",
    responses((status = 200, description = "Who is asking.", body = AuthStatus, example = json!({
        "authenticated": false, "auth_required": true, "methods": ["api_key"],
    }))),
)]
pub(super) async fn auth_status(State(app): State<App>, headers: HeaderMap) -> Json<AuthStatus> {
    let auth_required = app.access.asks_for_a_key();
    let caller = app.access.caller(&headers);
    let holder = caller.as_ref().filter(|caller| caller.has_key());
    Json(AuthStatus {
        authenticated: caller.is_some(),
        auth_required,
        methods: if auth_required { &["api_key"] } else { &[] },
        name: holder.map(|caller| caller.name.as_str().to_owned()),
        read_only: holder.map(|caller| caller.is_read_only),
    })
}
