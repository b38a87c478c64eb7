//! What flows were: their revisions, deleted ones, and the way back.

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::App;
use super::answer::NO_STORE;
use super::body::{self, JsonText};
use super::condition::Condition;
use super::flows::{Answer, PathId, created, no_such_flow, version};
use super::openapi::{self, Bodies, Conditional, OnFlow, OnId, Parameters, Past, Problems, Reads, Writes, schemas};
use super::problem::{Kind, Problem};
use super::query::{number, parameters, unknown};
use super::stale::Sent;
use crate::flow::{Flow, FlowId, Head};
use crate::repository::{Author, Change, Outcome, Precondition, Record, Revision};

/// The most revisions of one answer, and how many there are when nobody says.
pub(super) const LIMIT: (u32, u32) = (1_000, 50);

/// The revisions of a flow, newest first.
#[derive(Serialize, ToSchema)]
struct History<'a> {
    history: Vec<Entry<'a>>,
}

/// One revision, as histories show it. For writing it as JSON.
#[derive(Serialize, ToSchema)]
#[schema(as = HistoryEntry)]
pub struct Entry<'a> {
    revision: u64,
    #[schema(value_type = schemas::Operation)]
    op: &'static str,
    at: DateTime<Utc>,
    /// Who or what made it: the name of a key, `anonymous`, `cli`, `sql`, `file`.
    author: &'a str,
    /// Of its document, in bytes.
    size: u64,
    summary: Contents<'a>,
}

/// What a flow was like, as far as it may change from one revision to the next.
#[derive(Serialize, ToSchema)]
struct Contents<'a> {
    name: &'a str,
    #[schema(value_type = schemas::GstState)]
    state: &'static str,
    auto_restart: bool,
    elements: u32,
    blocks: u32,
    links: u32,
}

impl<'a> Contents<'a> {
    fn of(head: &'a Head) -> Self {
        Self {
            name: &head.name,
            state: head.state.as_str(),
            auto_restart: head.auto_restart,
            elements: head.elements,
            blocks: head.blocks,
            links: head.links,
        }
    }
}

impl<'a> Entry<'a> {
    /// What is shown of this record.
    pub fn of(record: &'a Record<Head>) -> Self {
        Self {
            revision: record.revision.number(),
            op: record.operation.as_str(),
            at: record.at,
            author: record.author.as_str(),
            size: record.item.size,
            summary: Contents::of(&record.item),
        }
    }
}

/// The revisions of a flow, there or deleted, newest first.
#[utoipa::path(
    get, path = "/api/flows/{id}/history", tag = "history", operation_id = "list_history",
    params(openapi::Id, openapi::HistoryPart),
    responses(
        (status = 200, description = "Its revisions.", body = History, example = json!({ "history": [{
            "revision": 3, "op": "update", "at": "2026-03-19T12:30:00Z", "author": "api", "size": 428,
            "summary": openapi::contents(),
        }] })),
        Problems<(OnFlow, Parameters, Reads)>,
    ),
)]
pub(super) async fn list(State(app): State<App>, PathId(id): PathId, RawQuery(query): RawQuery) -> Answer {
    let (mut before, mut limit) = (None, LIMIT.1);
    for (name, value) in &parameters(query.as_deref().unwrap_or_default())? {
        match name.as_ref() {
            "before" => before = Some(Revision::new(number(name, value, 1..=i64::MAX as u64)?)),
            "limit" => limit = number(name, value, 1..=u64::from(LIMIT.0))? as u32,
            _ => return Err(unknown(name)),
        }
    }
    let records = app.source.repository.history(id, before, limit).await?;
    // Nothing before a revision is an answer; nothing at all is no flow.
    if records.is_empty() && (before.is_none() || app.source.repository.history(id, None, 1).await?.is_empty()) {
        return Err(no_such_flow(id));
    }
    let history = History { history: records.iter().map(Entry::of).collect() };
    Ok(([NO_STORE], Json(history)).into_response())
}

/// A revision and its document.
#[derive(Serialize, ToSchema)]
#[schema(as = Revision)]
struct OneRevision<'a> {
    #[schema(value_type = schemas::Flow)]
    flow: &'a RawValue,
    revision: u64,
    #[schema(value_type = schemas::Operation)]
    op: &'static str,
    at: DateTime<Utc>,
    author: &'a str,
}

/// One revision with its document.
#[utoipa::path(
    get, path = "/api/flows/{id}/history/{revision}", tag = "history", operation_id = "get_revision",
    params(openapi::Id, openapi::OneRevision),
    responses(
        (status = 200, description = "The revision.", body = OneRevision, example = json!({
            "flow": openapi::flow(), "revision": 3, "op": "update", "at": "2026-03-19T12:30:00Z", "author": "api",
        })),
        Problems<(OnId, Past, Reads)>,
    ),
)]
pub(super) async fn read(
    State(app): State<App>,
    PathId(id): PathId,
    Path((_, revision)): Path<(String, String)>,
) -> Answer {
    let revision = number("revision", &revision, 1..=i64::MAX as u64).map_err(|_| no_such_revision(id, &revision))?;
    let record = app.source.repository.revision(id, Revision::new(revision)).await?;
    let record = record.ok_or_else(|| no_such_revision(id, &revision.to_string()))?;
    let body = OneRevision {
        flow: record.item.document(),
        revision,
        op: record.operation.as_str(),
        at: record.at,
        author: record.author.as_str(),
    };
    Ok(([NO_STORE], Json(body)).into_response())
}

/// What a flow shall be again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Restore {
    /// One of its revisions.
    #[schema(minimum = 1, maximum = 9223372036854775807_u64)]
    #[serde(deserialize_with = "whole")]
    revision: u64,
}

/// A number that is whole, also when it is written as `3.0`: JSON has one kind of numbers.
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let whole = number.as_f64().filter(|number| (0.0..9e15).contains(number) && number.fract() == 0.0);
    let whole = number.as_u64().or(whole.map(|number| number as u64));
    whole.ok_or_else(|| D::Error::invalid_value(Unexpected::Other(&number.to_string()), &"the number of a revision"))
}

/// Makes a flow what it was, which is a change like any other: 200, or 201 where it was deleted.
///
/// With `If-None-Match: *` only where it is still deleted: of two who bring it back, the second does not undo what the first
/// has done to it since.
#[utoipa::path(
    post, path = "/api/flows/{id}/restore", tag = "history", operation_id = "restore_flow",
    params(openapi::Id, openapi::IfMatch, openapi::IfNoneMatch),
    request_body(content = Restore, example = json!({ "revision": 1 })),
    responses(openapi::Saved, openapi::Created, Problems<(OnFlow, Past, Conditional, Bodies, Writes)>),
)]
pub(super) async fn restore(
    State(app): State<App>,
    PathId(id): PathId,
    Extension(author): Extension<Author>,
    headers: HeaderMap,
    JsonText(text): JsonText,
) -> Answer {
    let condition = Condition::of_put(&headers)?;
    let Restore { revision } = body::decode(&text)?;
    let found = match i64::try_from(revision) {
        Ok(_) => app.source.repository.revision(id, Revision::new(revision)).await?,
        Err(_) => None,
    };
    let flow: Flow = found.ok_or_else(|| no_such_revision(id, &revision.to_string()))?.item;
    let change = |precondition| Change::Restore(flow.clone(), precondition);
    // Who expects nothing restores what is there and what is not.
    let applied = match condition == Condition::Exists && !headers.contains_key(header::IF_MATCH) {
        true => app.apply(change(Precondition::Any), author).await,
        false => app.apply_if(&condition, change, author).await,
    };
    let applied = match applied {
        Ok(applied) => applied,
        Err(error) => return Err(app.told(error, id, &condition, Sent::Flow(&flow)).await),
    };
    let outcome = applied.outcome;
    let revision = version(applied)?.revision;
    Ok(match outcome {
        Outcome::Created => created(&app, &flow, revision, &headers).await,
        _ => app.saved(StatusCode::OK, &flow, revision, &headers).await,
    })
}

/// The deleted flows, the latest first. For writing them as JSON.
#[derive(Serialize, ToSchema)]
pub struct Trash<'a> {
    /// All of them.
    pub flows: Vec<Deleted<'a>>,
}

/// A summary; when a deleted flow was created is not kept with its deletion.
#[derive(Serialize, ToSchema)]
#[schema(as = DeletedFlow)]
pub struct Deleted<'a> {
    #[schema(value_type = Uuid)]
    id: FlowId,
    /// Of the deletion. The one before it is what there is to restore.
    revision: u64,
    deleted_at: DateTime<Utc>,
    author: &'a str,
    size: u64,
    #[serde(flatten)]
    contents: Contents<'a>,
}

/// The deleted flows that can be restored, the latest first.
#[utoipa::path(
    get, path = "/api/trash", tag = "history", operation_id = "list_trash",
    responses(
        (status = 200, description = "Their last summaries.", body = Trash, example = json!({ "flows": [{
            "id": "00000000-0000-4000-8000-0000000000a1", "revision": 4, "deleted_at": "2026-03-20T09:00:00Z",
            "author": "api", "size": 428, "name": "lifecycle test", "state": "Null", "auto_restart": false,
            "elements": 2, "blocks": 0, "links": 1,
        }] })),
        Problems<Reads>,
    ),
)]
pub(super) async fn trash(State(app): State<App>) -> Answer {
    let records = app.source.repository.deleted().await?;
    let flows = records.iter().map(Deleted::of).collect();
    Ok(([NO_STORE], Json(Trash { flows })).into_response())
}

impl<'a> Deleted<'a> {
    /// What is shown of this deletion.
    pub fn of(record: &'a Record<Head>) -> Self {
        Self {
            id: record.item.id,
            revision: record.revision.number(),
            deleted_at: record.at,
            author: record.author.as_str(),
            size: record.item.size,
            contents: Contents::of(&record.item),
        }
    }
}

pub(super) fn no_such_revision(id: FlowId, revision: &str) -> Problem {
    Problem::new(Kind::NoSuchRevision, format!("the flow {id} has no revision {revision}, or it is no longer kept"))
}
