//! What flows were: their revisions, deleted ones, and the way back.

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::App;
use super::answer::NO_STORE;
use super::body::{self, JsonText};
use super::condition::Condition;
use super::flows::{Answer, PathId, created, no_such_flow, version};
use super::problem::{Kind, Problem};
use super::query::{number, parameters, unknown};
use super::stale::Sent;
use crate::flow::{Flow, FlowId, Head};
use crate::repository::{Author, Change, Outcome, Precondition, Record, Revision};

/// The most revisions of one answer, and how many there are when nobody says.
const LIMIT: (u32, u32) = (1_000, 50);

#[derive(Serialize)]
struct History<'a> {
    history: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    revision: u64,
    op: &'static str,
    at: DateTime<Utc>,
    author: &'a str,
    size: u64,
    summary: Contents<'a>,
}

/// What a flow was like, as far as it may change from one revision to the next.
#[derive(Serialize)]
struct Contents<'a> {
    name: &'a str,
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
    fn of(record: &'a Record<Head>) -> Self {
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

#[derive(Serialize)]
struct OneRevision<'a> {
    flow: &'a RawValue,
    revision: u64,
    op: &'static str,
    at: DateTime<Utc>,
    author: &'a str,
}

/// One revision with its document.
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restore {
    revision: u64,
}

/// Makes a flow what it was, which is a change like any other: 200, or 201 where it was deleted. With `If-None-Match: *` only
/// where it is still deleted: of two who bring it back, the second does not undo what the first has done to it since.
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

#[derive(Serialize)]
struct Trash<'a> {
    flows: Vec<Deleted<'a>>,
}

/// A summary; when a deleted flow was created is not kept with its deletion.
#[derive(Serialize)]
struct Deleted<'a> {
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
pub(super) async fn trash(State(app): State<App>) -> Answer {
    let records = app.source.repository.deleted().await?;
    let flows = records.iter().map(Deleted::of).collect();
    Ok(([NO_STORE], Json(Trash { flows })).into_response())
}

impl<'a> Deleted<'a> {
    fn of(record: &'a Record<Head>) -> Self {
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

fn no_such_revision(id: FlowId, revision: &str) -> Problem {
    Problem::new(Kind::NoSuchRevision, format!("the flow {id} has no revision {revision}, or it is no longer kept"))
}
