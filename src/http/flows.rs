//! The routes of flows: list, create, read, replace, check, delete.

use axum::Extension;
use axum::extract::{FromRequestParts, RawPathParams, RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::body::JsonText;
use super::condition::{self, Condition};
use super::idempotency::{self, Key};
use super::openapi::{
    self, Bodies, Conditional, Creates, Engine, Headers, OnFlow, Parameters, Problems, Reads, SameId, Writes, schemas,
};
use super::problem::{Kind, Problem};
use super::query::{Listing, View};
use super::stale::Sent;
use super::{App, answer, merge};
use crate::clock;
use crate::flow::{Flow, FlowId};
use crate::repository::{
    Applied, Author, Change, Precondition, RepositoryError, Revision, Stamp, Stored, Version, ViolationKind,
};

pub(super) type Answer = Result<Response, Problem>;

/// Bytes of a flow in a list, about, besides its document.
const HELD: u64 = 256;

/// The id in a path: a UUID in any of its spellings.
pub(super) struct PathId(pub(super) FlowId);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = RawPathParams::from_request_parts(parts, state).await.ok();
        let id = path.and_then(|path| path.iter().find(|(name, _)| *name == "id")?.1.parse().ok());
        id.map(Self).ok_or_else(|| Problem::new(Kind::InvalidId, "the path needs a UUID"))
    }
}

/// All flows by name, or a page of those that pass a filter.
#[utoipa::path(
    get, path = "/api/flows", tag = "flows", operation_id = "list_flows",
    params(openapi::Filter, openapi::Listing),
    responses(openapi::ListOfFlows, Problems<(Parameters, Reads)>),
)]
pub(super) async fn list(State(app): State<App>, RawQuery(query): RawQuery) -> Answer {
    let Listing { query, view } = Listing::parse(query.as_deref().unwrap_or_default())?;
    Ok(match view {
        View::Full => {
            let load = app.read(|repository| repository.list(&query));
            let size = |flow: &Stored<Flow>| HELD + flow.item.document().get().len() as u64;
            let ((stale, page), place) =
                app.room.load(query.limit, load, |(_, page)| page.items.iter().map(size).sum()).await?;
            (stale, answer::flows(page, place)).into_response()
        }
        View::Summary => {
            let load = app.read(|repository| repository.summaries(&query));
            let ((stale, page), place) =
                app.room.load(query.limit, load, |(_, page)| page.items.len() as u64 * HELD).await?;
            (stale, answer::summaries(page, place)).into_response()
        }
    })
}

/// Creates a flow.
///
/// Sent again under its `Idempotency-Key` it creates nothing again, and is answered as it was.
#[utoipa::path(
    post, path = "/api/flows", tag = "flows", operation_id = "create_flow",
    params(openapi::Once),
    request_body(content = schemas::NewFlow, example = json!(openapi::flow())),
    responses(openapi::Created, Problems<(Headers, Creates, Bodies, Writes)>),
)]
pub(super) async fn create(
    State(app): State<App>,
    Extension(author): Extension<Author>,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> Answer {
    let key = Key::of(&headers, &author)?;
    let flow = idempotency::flow(&text, key.as_ref())?;
    let answered = async || match &key {
        Some(key) => key.answer(&app, &flow, &headers).await,
        None => Ok(None),
    };
    if let Some(answer) = answered().await? {
        return Ok(answer);
    }
    match put(&app, flow.clone(), Precondition::Absent, author).await {
        Ok(version) => Ok(created(&app, &flow, version.revision, &headers).await),
        // Perhaps by the same create, which was sent twice at once.
        Err(error) => answered().await?.ok_or_else(|| error.into()),
    }
}

/// One flow.
#[utoipa::path(
    get, path = "/api/flows/{id}", tag = "flows", operation_id = "get_flow",
    params(openapi::Id, openapi::IfChanged),
    responses(openapi::OneFlow, Problems<(OnFlow, Headers, Reads)>),
)]
pub(super) async fn read(State(app): State<App>, PathId(id): PathId, headers: HeaderMap) -> Answer {
    let (stale, found) = app.read(|repository| repository.get(id)).await?;
    let Stored { item, version } = found.ok_or_else(|| no_such_flow(id))?;
    let answer = if condition::is_known(&headers, version.revision)? {
        answer::not_modified(version.revision)
    } else {
        answer::flow(StatusCode::OK, &item, version.revision)
    };
    Ok((stale, answer).into_response())
}

/// Replaces a flow.
#[utoipa::path(
    post, path = "/api/flows/{id}", tag = "flows", operation_id = "replace_flow",
    params(openapi::Id, openapi::IfMatch, openapi::Merged),
    request_body(content = schemas::Flow, example = json!(openapi::flow())),
    responses(openapi::Saved, Problems<(OnFlow, Parameters, SameId, Conditional, Bodies, Writes)>),
)]
pub(super) async fn replace(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> Answer {
    let condition = Condition::of_change(&headers)?;
    let merge = merge::edited(query.as_deref(), &condition)?;
    replace_if(&app, &parse_as(id, &text)?, &condition, merge, author, &headers).await
}

/// Replaces a flow, or creates it with `If-None-Match: *`.
#[utoipa::path(
    put, path = "/api/flows/{id}", tag = "flows", operation_id = "put_flow",
    params(openapi::Id, openapi::IfMatch, openapi::IfNoneMatch, openapi::Merged),
    request_body(content = schemas::Flow, example = json!(openapi::flow())),
    responses(openapi::Saved, openapi::Created, Problems<(OnFlow, Parameters, SameId, Conditional, Bodies, Writes)>),
)]
pub(super) async fn put_flow(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> Answer {
    let condition = Condition::of_put(&headers)?;
    let merge = merge::edited(query.as_deref(), &condition)?;
    let flow = parse_as(id, &text)?;
    if condition != Condition::Absent {
        return replace_if(&app, &flow, &condition, merge, author, &headers).await;
    }
    match put(&app, flow.clone(), Precondition::Absent, author).await {
        Ok(version) => Ok(created(&app, &flow, version.revision, &headers).await),
        Err(error) => Err(app.told(error, id, &condition, Sent::Flow(&flow)).await),
    }
}

async fn replace_if(
    app: &App,
    flow: &Flow,
    condition: &Condition,
    merge: Option<Revision>,
    author: Author,
    headers: &HeaderMap,
) -> Answer {
    if merge.is_some() {
        return app.edit(flow.id(), condition, merge, author, headers, |_| Ok(flow.clone())).await;
    }
    let change = |precondition| Change::Put(flow.clone(), precondition);
    match app.apply_if(condition, change, author).await {
        Ok(applied) => Ok(app.saved(StatusCode::OK, flow, version(applied)?.revision, headers).await),
        Err(error) => Err(app.told(error, flow.id(), condition, Sent::Flow(flow)).await),
    }
}

/// Deletes a flow. Its history is kept, and it can be restored.
#[utoipa::path(
    delete, path = "/api/flows/{id}", tag = "flows", operation_id = "delete_flow",
    params(openapi::Id, openapi::DeleteIfMatch),
    responses(openapi::Deleted, Problems<(OnFlow, Conditional, Writes)>),
)]
pub(super) async fn delete(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    headers: HeaderMap,
) -> Answer {
    let condition = Condition::of_change(&headers)?;
    match app.apply_if(&condition, |precondition| Change::Delete(id, precondition), author).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(error) => Err(app.told(error, id, &condition, Sent::Deletion).await),
    }
}

/// Starts a flow, where there is an engine.
#[utoipa::path(
    post, path = "/api/flows/{id}/start", tag = "flows", operation_id = "start_flow",
    params(openapi::Id),
    responses(Problems<(OnFlow, Engine, Reads)>),
)]
pub(super) async fn start(State(app): State<App>, PathId(id): PathId) -> Answer {
    app.flow(id).await?;
    Err(Problem::new(Kind::NoEngine, "flows are stored here; an engine starts and stops them"))
}

/// Stops a flow, where there is an engine.
#[utoipa::path(
    post, path = "/api/flows/{id}/stop", tag = "flows", operation_id = "stop_flow",
    params(openapi::Id),
    responses(Problems<(OnFlow, Engine, Reads)>),
)]
pub(super) async fn stop(app: State<App>, id: PathId) -> Answer {
    start(app, id).await
}

fn parse_as(id: FlowId, text: &str) -> Result<Flow, Problem> {
    let flow = Flow::parse(text)?;
    if flow.id() == id {
        Ok(flow)
    } else {
        Err(Problem::new(Kind::IdMismatch, format!("the path names {id}, `$.id` is {}", flow.id())))
    }
}

pub(super) async fn put(
    app: &App,
    flow: Flow,
    precondition: Precondition,
    author: Author,
) -> Result<Version, RepositoryError> {
    version(app.apply(Change::Put(flow, precondition), author).await?)
}

pub(super) fn version(applied: Applied) -> Result<Version, RepositoryError> {
    applied.version.ok_or_else(|| RepositoryError::Failed("a stored flow without a version".into()))
}

pub(super) async fn created(app: &App, flow: &Flow, revision: Revision, headers: &HeaderMap) -> Response {
    let location = [(header::LOCATION, format!("/api/flows/{}", flow.id()))];
    (location, app.saved(StatusCode::CREATED, flow, revision, headers).await).into_response()
}

pub(super) fn is_only(error: &RepositoryError, is: fn(&ViolationKind) -> bool) -> bool {
    matches!(error, RepositoryError::Conflict(violations) if matches!(violations.as_slice(), [only] if is(&only.kind)))
}

pub(super) fn no_such_flow(id: FlowId) -> Problem {
    Problem::new(Kind::NoSuchFlow, format!("there is no flow {id}"))
}

impl App {
    pub(super) async fn flow(&self, id: FlowId) -> Result<Stored<Flow>, Problem> {
        let flow = self.source.repository.get(id).await?;
        flow.ok_or_else(|| no_such_flow(id))
    }

    /// Makes a change under the condition of a request, which may allow one of several revisions.
    pub(super) async fn apply_if(
        &self,
        condition: &Condition,
        change: impl Fn(Precondition) -> Change,
        author: Author,
    ) -> Result<Applied, RepositoryError> {
        let mut precondition = condition.precondition();
        loop {
            match self.apply(change(precondition), author.clone()).await {
                Ok(applied) => return Ok(applied),
                Err(error) => precondition = condition.again(&error).ok_or(error)?,
            }
        }
    }

    pub(super) async fn apply(&self, change: Change, author: Author) -> Result<Applied, RepositoryError> {
        let applied = self.source.repository.apply(vec![change], Stamp::new(clock::now(), author)).await?;
        let [only] = <[Applied; 1]>::try_from(applied)
            .map_err(|_| RepositoryError::Failed("another number of answers than of changes".into()))?;
        Ok(only)
    }
}
