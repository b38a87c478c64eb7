//! `POST /api/flows/{id}/restore`

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use strom_store::repository::{
    Author, FlowRepositoryExt as _, Outcome, Precondition, RepositoryError, Revision, Stamp,
};
use utoipa::ToSchema;

use crate::clock;
use crate::http::app::App;
use crate::http::extract::{JsonText, PathId, RequestPrecondition, decode, parameters};
use crate::http::respond::description::{Bodies, Conditional, Created, OnFlow, Past, Problems, Saved, Writes};
use crate::http::respond::{Problem, RouteResult, created_flow, saved_flow};
use crate::http::storage::{AttemptedChange, Edit, conflict_problem, version};

/// The request to restore a flow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Restore)]
struct RestoreBody {
    /// The revision to restore.
    #[schema(minimum = 1, maximum = 9223372036854775807_u64)]
    #[serde(deserialize_with = "whole_number")]
    revision: u64,
}

/// Accepts `3.0` as well as `3`: JSON has only one kind of number.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let whole = number.as_f64().filter(|number| (0.0..9e15).contains(number) && number.fract() == 0.0);
    let whole = number.as_u64().or(whole.map(|number| number as u64));
    whole.ok_or_else(|| D::Error::invalid_value(Unexpected::Other(&number.to_string()), &"the number of a revision"))
}

/// Restores a revision of a flow as a new revision.
///
/// Returns 200, or 201 if the flow was deleted. Runtime members stay as the engine has reported them.
///
/// With `If-None-Match: *`, the request fails unless the flow is still deleted. This prevents a second restore from
/// undoing changes after the first one.
#[utoipa::path(
    post, path = "/api/flows/{id}/restore", tag = "history", operation_id = "restore_flow",
    params(parameters::Id, parameters::IfMatch, parameters::IfNoneMatch),
    request_body(content = RestoreBody, example = json!({ "revision": 1 })),
    responses(Saved, Created, Problems<(OnFlow, Past, Conditional, Bodies, Writes)>),
)]
pub(crate) async fn restore(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> RouteResult {
    let precondition = RequestPrecondition::of_put(&headers)?;
    let RestoreBody { revision } = decode(&text)?;
    if i64::try_from(revision).is_err() {
        return Err(Problem::no_such_revision(id, revision));
    }
    let number = Revision::new(revision);
    let _lock = app.edit_locks.lock(id).await;
    // Without a precondition, a restore applies to existing and to deleted flows.
    let mut attempt = match precondition == RequestPrecondition::Exists && !headers.contains_key(header::IF_MATCH) {
        true => Precondition::Any,
        false => precondition.first(),
    };
    loop {
        let stamp = Stamp::new(clock::now(), author.clone());
        let error = match app.repository().restore_document(id, number, attempt, stamp).await {
            Ok(None) => return Err(Problem::no_such_revision(id, revision)),
            Ok(Some(saved)) => {
                let outcome = saved.applied.outcome;
                let revision = version(saved.applied)?.revision;
                return Ok(match outcome {
                    Outcome::Created => created_flow(&saved.flow, revision),
                    _ => saved_flow(&saved.flow, revision),
                });
            }
            Err(error @ RepositoryError::Conflict(_)) => error,
            Err(error) => return Err(error.into()),
        };
        let Some(next) = precondition.retry_after(&error) else {
            let restored = app.repository().revision(id, number).await?;
            let restored = restored.ok_or_else(|| Problem::no_such_revision(id, revision))?.item;
            let attempted = AttemptedChange::Edit(Edit::Whole(&restored));
            return Err(conflict_problem(app.repository(), error, id, &precondition, attempted).await);
        };
        attempt = next;
    }
}
