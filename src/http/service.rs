//! What the server says about itself: alive, ready, which version, whether it wants a key. All of it without a key.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, TimeDelta};
use serde::Serialize;

use super::App;
use super::answer::NO_STORE;
use crate::clock;
use crate::last_known::{Extent, LastKnown};
use crate::repository::Status;

/// Alive. Never touches the storage: a server must not be killed because its database is away.
pub(super) async fn health() -> &'static str {
    "OK"
}

#[derive(Serialize)]
struct Ready {
    storage: &'static str,
    /// Where it is and why it fails: paths and hosts are for those who hold the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    reachable: bool,
    /// `null` while nobody can ask it.
    migrated: Option<bool>,
    since: String,
    /// Told to read only: writes go to another instance.
    read_only: bool,
    degraded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What somebody should look at, for those who hold the key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
    /// What is read while the storage is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_known: Option<LastKnownFlows>,
}

#[derive(Serialize)]
struct LastKnownFlows {
    /// How many, for those who hold the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    flows: Option<usize>,
    complete: bool,
    as_of: String,
    served: bool,
}

/// Whether requests would be served. Load balancers ask this, and have no keys.
pub(super) async fn ready(State(app): State<App>, headers: HeaderMap) -> Response {
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

#[derive(Serialize)]
pub(super) struct VersionInfo {
    version: &'static str,
    git_hash: &'static str,
    git_tag: &'static str,
    git_branch: &'static str,
    git_dirty: bool,
    build_timestamp: String,
}

/// What this binary was built from. Clients expect strings and a boolean: what is not known is `unknown`, a commit
/// without a tag has the tag `""`, and a tree that nobody could look at counts as clean.
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

#[derive(Serialize)]
pub(super) struct AuthStatus {
    authenticated: bool,
    auth_required: bool,
    methods: &'static [&'static str],
    /// Of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<bool>,
}

/// Whether a key is wanted, whether this request has one that is right, and which.
pub(super) async fn auth_status(State(app): State<App>, headers: HeaderMap) -> Json<AuthStatus> {
    let auth_required = app.access.asks_for_a_key();
    let caller = app.access.caller(&headers);
    let holder = caller.as_ref().filter(|caller| caller.has_key);
    Json(AuthStatus {
        authenticated: caller.is_some(),
        auth_required,
        methods: if auth_required { &["api_key"] } else { &[] },
        name: holder.map(|caller| caller.name.as_str().to_owned()),
        read_only: holder.map(|caller| caller.is_read_only),
    })
}
