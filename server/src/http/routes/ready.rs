//! `GET /ready`

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::{DateTime, SecondsFormat, TimeDelta};
use serde::Serialize;
use strom_store::last_known::Extent;
use strom_store::repository::Status;
use utoipa::ToSchema;

use crate::clock;
use crate::http::app::App;
use crate::http::guard::find_caller;
use crate::http::respond::{NO_STORE, RouteResult};

/// The readiness of the server.
#[derive(Serialize, ToSchema)]
#[schema(as = Ready)]
struct ReadyBody {
    /// `json` or `postgresql`.
    storage: &'static str,
    /// The path or host of the storage. Only clients with a key receive it and `reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    location: Option<String>,
    reachable: bool,
    /// Whether the schema is up to date. `null` while the storage is unreachable.
    #[schema(required)]
    migrated: Option<bool>,
    /// The time of the last change between ready and not ready.
    #[schema(value_type = DateTime<Utc>)]
    since: String,
    /// Whether the instance is read-only. Send writes to another instance.
    read_only: bool,
    /// Whether the storage is not ready or has faults.
    degraded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// Faults that require attention. Only for clients with a key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
    /// The last-known copy, which serves reads during an outage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_known: Option<LastKnownFlows>,
}

/// The last-known copy, which serves reads during an outage.
#[derive(Serialize, ToSchema)]
struct LastKnownFlows {
    /// The number of flows. Only for clients with a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    flows: Option<usize>,
    /// Whether the copy contains all flows.
    complete: bool,
    /// The time at which the copy matched the storage.
    #[schema(value_type = DateTime<Utc>)]
    as_of: String,
    /// Whether reads are currently served from the copy.
    served: bool,
}

/// Returns whether the server can serve requests, and the state of the storage.
#[utoipa::path(
    get, path = "/ready", tag = "service", operation_id = "ready",
    responses(
        (status = 200, description = "The server can serve requests.", body = ReadyBody, example = json!({
            "storage": "postgresql", "reachable": true, "migrated": true, "since": "2026-03-19T10:00:00.000Z",
            "read_only": false, "degraded": false,
        })),
        (status = 503, description = "The storage is unreachable.", body = ReadyBody, example = json!({
            "storage": "postgresql", "reachable": false, "migrated": null, "since": "2026-03-19T10:00:00.000Z",
            "read_only": false, "degraded": true,
        })),
    ),
)]
pub(crate) async fn ready(State(app): State<App>, request: Request) -> RouteResult {
    // No key is required, because load balancers have none. Only callers with a key receive hosts, paths and reasons.
    let health = app.repository().health().await;
    let ready = health.status == Status::Ready;
    let is_trusted = find_caller(&app, &request)?.is_some();
    let reason = match health.status {
        Status::Ready => None,
        Status::Unavailable(reason) => Some(reason),
        other => Some(format!("{other:?}")),
    };
    let since = TimeDelta::from_std(health.for_the_last).ok().and_then(|time| clock::now().checked_sub_signed(time));
    let last_known = app.stack.fallback().and_then(|fallback| fallback.last_known.extent());
    let last_known = last_known.map(|Extent { flows, is_complete, as_of, .. }| LastKnownFlows {
        flows: is_trusted.then_some(flows),
        complete: is_complete,
        as_of: as_of.to_rfc3339_opts(SecondsFormat::Millis, true),
        served: !ready,
    });
    let mut faults = health.faults;
    if ready {
        faults.extend(app.unreadable.faults(app.repository()).await);
    }
    faults.extend(app.stack.fallback().into_iter().flat_map(|fallback| fallback.last_known.faults()));
    let body = ReadyBody {
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
    Ok((status, [NO_STORE], Json(body)).into_response())
}
