//! `GET /api/changes`: the feed of all changes, page by page or as a stream of events.
//!
//! Page by page a client asks with the cursor it got last, and may `wait` for a change. As `text/event-stream` (the
//! HTML standard's server-sent events) it is sent them as they come; a browser that was cut off goes on behind the
//! `Last-Event-ID` by itself. Both are read from the feed, so nothing is missed or sent twice, whatever happened between.
//!
//! A page has at most `limit` changes, and with `documents=true` about 8 MiB of them: `next` tells where to go on.

use std::iter;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, timeout_at};

use super::access::Standing;
use super::answer::{NO_STORE, accepts};
use super::flows::Answer;
use super::hub::{Page, Part};
use super::openapi::{self, Parameters, Place, Problems, Reads, Streams, schemas};
use super::pieces;
use super::problem::Problem;
use super::query::{boolean, number, parameters, unknown};
use super::{App, events};
use crate::metrics::StreamKind;
use crate::repository::{RepositoryError, Since};

/// The most changes of one page, and how many there are when nobody says.
pub(super) const LIMIT: (u32, u32) = (1_000, 100);
/// The most bytes of the documents of one page, but for one that is larger.
const BYTES: u64 = 8 << 20;
/// The longest that a client may wait, in seconds.
pub(super) const LONGEST_WAIT: u64 = 60;

/// What is asked for.
struct Request {
    part: Part,
    wait: Duration,
}

impl Request {
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut part = Part { since: Since::Now, limit: LIMIT.1, bytes: BYTES, documents: false };
        let mut wait = Duration::ZERO;
        for (name, value) in &parameters(query)? {
            match name.as_ref() {
                "since" => part.since = since(name, value)?,
                "limit" => part.limit = number(name, value, 1..=u64::from(LIMIT.0))? as u32,
                "wait" => wait = Duration::from_secs(number(name, value, 0..=LONGEST_WAIT)?),
                "documents" => part.documents = boolean(name, value)?,
                "auth_token" => {}
                _ => return Err(unknown(name)),
            }
        }
        Ok(Self { part, wait })
    }
}

/// `0` is the oldest change that is kept; nothing, and blank, only those to come.
fn since(name: &str, value: &str) -> Result<Since, Problem> {
    match value.trim() {
        "" => Ok(Since::Now),
        "0" => Ok(Since::Oldest),
        cursor => cursor.parse().map(Since::After).map_err(|error| Problem::parameter(name, error)),
    }
}

/// The changes of all flows, in their order and without gaps: a page, or a stream of events.
///
/// With `Accept: text/event-stream` each change is an event, its cursor the `id`, its operation the `event`.
#[utoipa::path(
    get, path = "/api/changes", tag = "history", operation_id = "list_changes",
    params(openapi::FeedPart),
    responses(
        (
            status = 200, description = "A page, or a stream.",
            content(
                (schemas::Changes = "application/json", example = json!({
                    "changes": [{
                        "cursor": "7.0.12", "op": "update", "flow_id": "00000000-0000-4000-8000-0000000000a1",
                        "name": "lifecycle test", "revision": 3, "at": "2026-03-19T12:30:00Z", "author": "api",
                    }],
                    "next": "7.0.12",
                })),
                (String = "text/event-stream", example = json!("id: 7.0.12\nevent: update\ndata: {…}\n\n")),
            ),
        ),
        Problems<(Parameters, Place, Streams, Reads)>,
    ),
)]
pub(super) async fn read(
    State(app): State<App>,
    Extension(standing): Extension<Standing>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let Request { mut part, wait } = Request::parse(query.as_deref().unwrap_or_default())?;
    if accepts(&headers, "text/event-stream") {
        let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
        // A blank one is that of a client that has not had an event yet.
        if let Some(last) = last.filter(|last| !last.trim().is_empty()) {
            part.since = since("Last-Event-ID", last)?;
        }
        return events::stream(app, standing, part).await;
    }
    let page = if wait.is_zero() { app.hub.read_in_time(part).await? } else { wait_for_page(&app, part, wait).await? };
    Ok(shown(page))
}

/// The next page that has changes, or an empty one when there are none in time, or the server stops.
async fn wait_for_page(app: &App, part: Part, wait: Duration) -> Result<Page, Problem> {
    let until = Instant::now() + wait;
    let (mut follower, page) = app.hub.follow(part).await?;
    if !page.changes.is_empty() {
        return Ok(page);
    }
    let _open = app.open_stream(StreamKind::Poll)?;
    let next = tokio::select! {
        next = timeout_at(until, follower.next()) => next,
        () = app.streams.ending() => return Ok(page),
    };
    match next {
        Ok(Some(page)) => Ok(page),
        Ok(None) => Err(RepositoryError::Gone.into()),
        Err(_) => Ok(Page { changes: Vec::new(), next: follower.place() }),
    }
}

/// `{"changes": […], "next": …}`. A cursor is URL-safe text and needs no escapes.
fn shown(page: Page) -> Response {
    let closing = Bytes::from(format!(r#"],"next":"{}"}}"#, page.next));
    let separators = iter::once(Bytes::new()).chain(iter::repeat(Bytes::from_static(b",")));
    let changes = page.changes.into_iter().zip(separators);
    let changes = changes.flat_map(|(change, separator)| iter::once(separator).chain(change.json()));
    let texts = iter::once(Bytes::from_static(br#"{"changes":["#)).chain(changes).chain([closing]);
    let body = pieces::body(pieces::of(texts));
    ([NO_STORE, (header::CONTENT_TYPE, "application/json"), (header::VARY, "accept")], body).into_response()
}
