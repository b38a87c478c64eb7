//! Changes to a part of a flow: it is read, changed, and written under the condition that nobody was faster; else again.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{self, JsonText, Patch, PatchKind};
use super::condition::Condition;
use super::flows::{Answer, PathId, is_only, put};
use super::openapi::{self, Bodies, Conditional, OnFlow, Parameters, Patches, Problems, SameId, Writes, schemas};
use super::problem::{Kind, Problem};
use super::stale::Sent;
use super::{App, merge};
use crate::flow::{Flow, FlowId, GstState};
use crate::repository::{Author, Precondition, RepositoryError, Revision, ViolationKind};

/// How often somebody else may be faster.
const ATTEMPTS: usize = 8;

/// Replaces the properties of a flow; those that tell when it was made and when it went on air stay.
#[utoipa::path(
    patch, path = "/api/flows/{id}/properties", tag = "flows", operation_id = "replace_properties",
    params(openapi::Id, openapi::IfMatch, openapi::Merged),
    request_body(content = schemas::NewProperties, example = json!({ "properties": { "clock_type": "ptp", "ptp_domain": 3 } })),
    responses(openapi::Saved, Problems<(OnFlow, Parameters, Conditional, Bodies, Writes)>),
)]
pub(super) async fn replace_properties(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> Answer {
    let condition = Condition::of_change(&headers)?;
    let merge = merge::edited(query.as_deref(), &condition)?;
    app.edit(id, &condition, merge, author, &headers, |flow| Ok(flow.with_properties(&text)?)).await
}

/// Changes a part of a flow by a patch, of the type that the body says it is.
#[utoipa::path(
    patch, path = "/api/flows/{id}", tag = "flows", operation_id = "patch_flow",
    params(openapi::Id, openapi::IfMatch, openapi::Merged),
    request_body(content(
        (schemas::MergePatch = "application/merge-patch+json", example = json!({ "name": "Studio 2", "block_health": null })),
        (schemas::JsonPatch = "application/json-patch+json", example = json!([{ "op": "replace", "path": "/name", "value": "Studio 2" }])),
    )),
    responses(openapi::Saved, Problems<(OnFlow, Parameters, SameId, Patches, Conditional, Bodies, Writes)>),
)]
pub(super) async fn patch(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Patch { kind, text }: Patch,
) -> Answer {
    let condition = Condition::of_change(&headers)?;
    let merge = merge::edited(query.as_deref(), &condition)?;
    let change = |flow: &Flow| {
        let patched = match kind {
            PatchKind::Merge => flow.merge_patched(&text)?,
            PatchKind::Operations => flow.json_patched(&text)?,
        };
        match patched.id() == id {
            true => Ok(patched),
            false => Err(Problem::new(Kind::IdMismatch, format!("the patch makes {} of the id {id}", patched.id()))),
        }
    };
    app.edit(id, &condition, merge, author, &headers, change).await
}

/// What an engine reports.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Report {
    #[schema(value_type = schemas::GstState)]
    state: String,
}

/// Takes the state that an engine reports; no new revision, so nobody's `If-Match` fails for it.
#[utoipa::path(
    put, path = "/api/flows/{id}/state", tag = "flows", operation_id = "report_state",
    params(openapi::Id, openapi::IfMatch),
    request_body(content = Report, example = json!({ "state": "Playing" })),
    responses(openapi::Saved, Problems<(OnFlow, Conditional, Bodies, Writes)>),
)]
pub(super) async fn report_state(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> Answer {
    let condition = Condition::of_change(&headers)?;
    let Report { state } = body::decode(&text)?;
    let state: GstState =
        state.parse().map_err(|error| Problem::new(Kind::Refused, format!("`$.state`: {error}")).at("$.state"))?;
    app.edit(id, &condition, None, author, &headers, |flow| Ok(flow.with_state(state)?)).await
}

impl App {
    /// Stores what `change` makes of the flow, and answers the request with these headers. Where the flow is at another
    /// revision than the condition allows, what it makes of the revision `merge` is merged with the flow as it is.
    ///
    /// A change of runtime members between reading and writing is no new revision and therefore not noticed; the state
    /// it reported is then the older one until the engine's next report.
    pub(super) async fn edit(
        &self,
        id: FlowId,
        condition: &Condition,
        merge: Option<Revision>,
        author: Author,
        headers: &HeaderMap,
        change: impl Fn(&Flow) -> Result<Flow, Problem> + Sync,
    ) -> Answer {
        let mut edit = None;
        for _ in 0..ATTEMPTS {
            let Some(current) = self.source.repository.get(id).await? else {
                return Err(self.gone(id, condition).await);
            };
            let revision = current.version.revision;
            let (flow, merged) = match merge {
                _ if condition.allows(revision) => (change(&current.item)?, None),
                Some(base) => {
                    // Looked up once: whoever has to read it again each time is never faster than the others.
                    let edit = match &edit {
                        Some(edit) => edit,
                        None => edit.insert(self.edit_of(base, &current, condition, &change).await?),
                    };
                    let (flow, merged) = self.merged(edit, current, condition).await?;
                    (flow, Some(merged))
                }
                None => return Err(self.stale(Box::new(current), condition, Sent::Part(&change)).await),
            };
            match put(self, flow.clone(), Precondition::At(revision), author.clone()).await {
                Ok(version) => {
                    return Ok(match merged {
                        Some(merged) => self.saved_merge(&flow, version.revision, &merged).await,
                        None => self.saved(StatusCode::OK, &flow, version.revision, headers).await,
                    });
                }
                Err(error) if is_only(&error, |kind| matches!(kind, ViolationKind::Stale { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(RepositoryError::Busy(format!("the flow {id} changed {ATTEMPTS} times in a row")).into())
    }
}
