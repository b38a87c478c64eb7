//! What a save is answered with: the flow and what is suspicious about it, or as little as the client prefers.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::flows::{Answer, PathId, no_such_flow};
use super::openapi::{self, OnFlow, Problems, Reads};
use super::{App, answer, condition};
use crate::flow::{Flow, Warning};
use crate::repository::{Filter, ListQuery, Revision};

/// So many of the flows that start by themselves are compared with one that is saved.
const COMPARED: u32 = 1_000;

/// Something suspicious; the document is stored all the same.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Warning)]
pub(super) struct Warned {
    /// The JSON path of the suspicious value.
    path: String,
    /// What is suspicious about it.
    message: String,
}

/// What is suspicious about a flow.
#[derive(Serialize, ToSchema)]
struct Check {
    warnings: Vec<Warned>,
}

/// Says what is suspicious about a flow, in itself and beside the others.
#[utoipa::path(
    get, path = "/api/flows/{id}/check", tag = "flows", operation_id = "check_flow",
    params(openapi::Id),
    responses(
        (
            status = 200, description = "What is suspicious; it may be nothing.", body = Check,
            headers(("Strom-Stale" = u64, description = "The storage is away; this is as of at most so many seconds ago.")),
            example = json!({ "warnings": [{ "path": "$.elements[0].position", "message": "the position is null" }] }),
        ),
        Problems<(OnFlow, Reads)>,
    ),
)]
pub(super) async fn check(State(app): State<App>, PathId(id): PathId) -> Answer {
    let (stale, found) = app.read(|repository| repository.get(id)).await?;
    let flow = found.ok_or_else(|| no_such_flow(id))?.item;
    let warnings = app.warnings(&flow).await;
    Ok((stale, Json(Check { warnings })).into_response())
}

impl App {
    /// The answer to a save.
    pub(super) async fn saved(
        &self,
        status: StatusCode,
        flow: &Flow,
        revision: Revision,
        request: &HeaderMap,
    ) -> Response {
        if !prefers_minimal(request) {
            return answer::flow_with(status, flow, revision, &self.warnings(flow).await, None);
        }
        const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
        let status = if status == StatusCode::OK { StatusCode::NO_CONTENT } else { status };
        let applied = [(PREFERENCE_APPLIED, HeaderValue::from_static("return=minimal"))];
        (status, [(header::ETAG, condition::etag(revision))], applied).into_response()
    }

    /// What is suspicious about a flow, in itself and beside the others. Others are looked at only when it starts by itself
    /// and claims something; where they cannot be read, nothing is said of them: the save has been made.
    pub(super) async fn warnings(&self, flow: &Flow) -> Vec<Warned> {
        // A document that somebody wrote by SQL may be one that nothing can be said about.
        let mut warnings: Vec<_> = flow.warnings().unwrap_or_default().iter().map(Warned::from).collect();
        let claims = if flow.head().auto_restart { flow.claims().unwrap_or_default() } else { Vec::new() };
        if claims.is_empty() {
            return warnings;
        }
        let filter = Filter { auto_restart: Some(true), ..Filter::default() };
        let query = ListQuery { filter, limit: Some(COMPARED), ..ListQuery::default() };
        let others: Vec<Flow> = match self.source.repository.list(&query).await {
            Ok(page) => {
                page.items.into_iter().map(|stored| stored.item).filter(|other| other.id() != flow.id()).collect()
            }
            Err(error) => {
                tracing::debug!(%error, "a flow is not compared with the others");
                Vec::new()
            }
        };
        for other in others {
            let theirs = other.claims().unwrap_or_default();
            let both = claims.iter().filter(|(_, claim)| theirs.iter().any(|(_, other)| other == claim));
            warnings.extend(both.map(|(path, claim)| Warned {
                path: path.to_string(),
                message: claim.also_claimed_by(&other.head().name, other.id()),
            }));
        }
        warnings
    }
}

impl From<&Warning> for Warned {
    fn from(warning: &Warning) -> Self {
        Self { path: warning.path.to_string(), message: warning.suspicion.to_string() }
    }
}

/// Whether the client wants no body (RFC 7240, section 4.2).
pub(super) fn prefers_minimal(headers: &HeaderMap) -> bool {
    let lines = headers.get_all("prefer").into_iter().filter_map(|line| line.to_str().ok());
    let mut preferences = lines.flat_map(|line| line.split(',')).map(|one| one.split(';').next().unwrap_or(one));
    let returned = preferences.find_map(|one| {
        let (name, value) = one.split_once('=')?;
        name.trim().eq_ignore_ascii_case("return").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    returned.as_deref() == Some("minimal")
}
