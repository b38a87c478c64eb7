//! `GET /api/changes`: the feed of all changes, page by page or as a stream of events.
//!
//! Page by page a client asks with the cursor it got last, and may `wait` for a change. As `text/event-stream` (the
//! HTML standard's server-sent events) it is sent them as they come; a browser that was cut off goes on behind the
//! `Last-Event-ID` by itself. Both are read from the feed, so nothing is missed or sent twice, whatever happened between.

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};

use super::answer::{NO_STORE, accepts};
use super::flows::Answer;
use super::problem::Problem;
use super::query::{boolean, number, parameters, unknown};
use super::{App, events};
use crate::flow::{Flow, FlowId, GstState, Head};
use crate::repository::{self, Feed, FeedCursor, FlowRepository, Record, Since};

/// The most changes of one page, and how many there are when nobody says.
const LIMIT: (u32, u32) = (1_000, 100);
/// The longest that a client may wait, in seconds.
const LONGEST_WAIT: u64 = 60;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) since: Since,
    pub(super) limit: u32,
    pub(super) wait: Duration,
    /// Whether each change carries its flow.
    pub(super) documents: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self { since: Since::Now, limit: LIMIT.1, wait: Duration::ZERO, documents: false }
    }
}

impl Request {
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut request = Self::default();
        for (name, value) in &parameters(query)? {
            match name.as_ref() {
                "since" => request.since = since(name, value)?,
                "limit" => request.limit = number(name, value, 1..=u64::from(LIMIT.0))? as u32,
                "wait" => request.wait = Duration::from_secs(number(name, value, 0..=LONGEST_WAIT)?),
                "documents" => request.documents = boolean(name, value)?,
                "auth_token" => {}
                _ => return Err(unknown(name)),
            }
        }
        Ok(request)
    }
}

/// `0` is the oldest change that is kept; nothing, and blank, only those to come.
fn since(name: &str, value: &str) -> Result<Since, Problem> {
    match value {
        "" => Ok(Since::Now),
        "0" => Ok(Since::Oldest),
        cursor => cursor.parse().map(Since::After).map_err(|error| Problem::parameter(name, error)),
    }
}

/// One change.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) cursor: String,
    pub(super) op: &'static str,
    pub(super) flow_id: FlowId,
    name: String,
    revision: u64,
    at: DateTime<Utc>,
    author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<Box<RawValue>>,
    /// The flow's, for those who are told of states alone.
    #[serde(skip)]
    pub(super) state: GstState,
}

/// A page of changes and the place behind it.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) changes: Vec<Change>,
    #[serde(serialize_with = "as_text")]
    pub(super) next: FeedCursor,
}

fn as_text<S: serde::Serializer>(cursor: &FeedCursor, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(cursor)
}

pub(super) async fn read(State(app): State<App>, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    let mut request = Request::parse(query.as_deref().unwrap_or_default())?;
    if accepts(&headers, "text/event-stream") {
        if let Some(last) = headers.get("last-event-id").and_then(|value| value.to_str().ok()) {
            request.since = since("Last-Event-ID", last)?;
        }
        return events::stream(app, request).await;
    }
    let until = Instant::now() + request.wait;
    let mut page = page(&*app.source.repository, request).await?;
    while page.changes.is_empty() && Instant::now() < until {
        let changed = app.source.repository.changed(page.next);
        if timeout(until - Instant::now(), changed).await.is_err() {
            break;
        }
        page = self::page(&*app.source.repository, Request { since: Since::After(page.next), ..request }).await?;
    }
    Ok(([NO_STORE, (header::VARY, "accept")], Json(page)).into_response())
}

/// One page, with documents only where they are asked for.
pub(super) async fn page(repository: &dyn FlowRepository, request: Request) -> repository::Result<Page> {
    let Request { since, limit, documents, .. } = request;
    if documents {
        let Feed { changes, next, .. } = repository.changes(since, limit).await?;
        let with_flow = |record: Record<Flow>| {
            let document = record.item.document().to_owned();
            change(record.map(|flow| flow.head().clone()), Some(document))
        };
        Ok(Page { changes: changes.into_iter().map(with_flow).collect(), next })
    } else {
        let Feed { changes, next, .. } = repository.change_summaries(since, limit).await?;
        Ok(Page { changes: changes.into_iter().map(|record| change(record, None)).collect(), next })
    }
}

fn change(record: Record<Head>, flow: Option<Box<RawValue>>) -> Change {
    Change {
        cursor: record.cursor.to_string(),
        op: record.operation.as_str(),
        flow_id: record.item.id,
        state: record.item.state,
        name: record.item.name,
        revision: record.revision.number(),
        at: record.at,
        author: record.author.as_str().to_owned(),
        flow,
    }
}
