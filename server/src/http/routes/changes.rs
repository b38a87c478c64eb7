//! `GET /api/changes`: the change feed, as pages or as server-sent events.
//!
//! A client that reads pages sends the cursor of its previous page, and may `wait` for a change. A client that accepts
//! `text/event-stream` receives changes as they happen; a disconnected browser resumes after its `Last-Event-ID`. Both read the
//! same feed, so a client receives each change exactly once.
//!
//! A page contains at most `limit` changes, and with `documents=true` about 8 MiB of documents. `next` is the cursor of the next
//! page.

use std::iter;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use crate::http::app::App;
use crate::http::extract::query::ChangesQuery;
use crate::http::extract::{accepts, parameters};
use crate::http::feed::{FeedPage, FeedPart, Follower, event_stream, poll};
use crate::http::guard::KeyValidity;
use crate::http::respond::description::{FeedPosition, OpenStreams, Parameters, Problems, Reads, schemas};
use crate::http::respond::{NO_STORE, RouteResult, chunks};
use crate::metrics::StreamKind;

/// Maximum bytes of the documents on a page. A page contains at least one change, whatever its size.
const PAGE_BYTES: u64 = 8 << 20;
/// Maximum number of changes that an event stream reads at a time.
const EVENTS_LIMIT: u32 = 100;
/// Maximum bytes of the documents that an event stream reads at a time. A slow client holds them.
const EVENTS_BYTES: u64 = 1 << 20;

/// Returns the changes of all flows in order and without gaps, as a page or as an event stream.
///
/// With `Accept: text/event-stream`, each change is one event. Its `id` is the cursor and its `event` is the operation.
#[utoipa::path(
    get, path = "/api/changes", tag = "history", operation_id = "list_changes",
    params(parameters::ChangesParameters),
    responses(
        (
            status = 200, description = "A page or an event stream.",
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
        Problems<(Parameters, FeedPosition, OpenStreams, Reads)>,
    ),
)]
pub(crate) async fn changes(
    State(app): State<App>,
    Extension(validity): Extension<KeyValidity>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> RouteResult {
    let mut query = ChangesQuery::parse(query.as_deref())?;
    if accepts(&headers, "text/event-stream") {
        query.resume(&headers)?;
        return events(app, query, validity).await;
    }
    let ChangesQuery { since, limit, wait, documents } = query;
    let part = FeedPart { since, limit, bytes: PAGE_BYTES, documents };
    Ok(page_response(poll(&app.hub, &app.streams, app.stack.metrics(), part, wait).await?))
}

async fn events(app: App, query: ChangesQuery, validity: KeyValidity) -> RouteResult {
    let open = app.streams.open(app.stack.metrics(), StreamKind::Events)?;
    let ChangesQuery { since, documents, .. } = query;
    let part = FeedPart { since, limit: EVENTS_LIMIT, bytes: EVENTS_BYTES, documents };
    let (follower, first) = Follower::start(&app.hub, part).await?;
    let body = event_stream(follower, first, open, app.streams.clone(), validity);
    // `X-Accel-Buffering` is for proxies that would otherwise buffer the response.
    let headers = [NO_STORE, (header::CONTENT_TYPE, "text/event-stream"), (header::VARY, "accept")];
    Ok((headers, [("x-accel-buffering", "no")], body).into_response())
}

/// Returns `{"changes": […], "next": …}`. A cursor is URL-safe text and needs no escapes.
fn page_response(page: FeedPage) -> Response {
    let closing = Bytes::from(format!(r#"],"next":"{}"}}"#, page.next));
    let separators = iter::once(Bytes::new()).chain(iter::repeat(Bytes::from_static(b",")));
    let changes = page.changes.into_iter().zip(separators);
    let changes = changes.flat_map(|(change, separator)| iter::once(separator).chain(change.json()));
    let texts = iter::once(Bytes::from_static(br#"{"changes":["#)).chain(changes).chain([closing]);
    let body = chunks::body(chunks::from_texts(texts));
    ([NO_STORE, (header::CONTENT_TYPE, "application/json"), (header::VARY, "accept")], body).into_response()
}
