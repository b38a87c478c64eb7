//! Changes as they come: server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! A stream reads no further before what it has is taken: a slow reader costs one page of memory, and one who takes nothing
//! for a minute is given up; he goes on behind the last event that he had. While the storage is away a stream stays open and
//! goes on where it was. Events are put together here and not by axum, which has each of them whole for each stream: a flow
//! of 16 MiB is to be here once, and not a thousand times.

use std::pin::pin;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use tokio::time::timeout;

use super::App;
use super::access::Standing;
use super::answer::NO_STORE;
use super::flows::Answer;
use super::hub::{Change, Follower, Page, Part};
use super::pieces::{self, Left, Pieces};
use super::problem::BEGIN_ANEW;
use crate::metrics::StreamKind;

/// How often something is sent, so that nobody in between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How soon a client that was cut off should come again, in milliseconds.
const RETRY: u32 = 2_000;
/// Changes of one page, and the bytes of their documents: what a slow reader holds.
const PAGE: (u32, u64) = (100, 1 << 20);

/// A stream of the changes from here on.
pub(super) async fn stream(app: App, standing: Standing, part: Part) -> Answer {
    let open = app.open_stream(StreamKind::Events)?;
    let (limit, bytes) = PAGE;
    let (follower, first) = app.hub.follow(Part { limit, bytes, ..part }).await?;
    let (pieces, body) = Pieces::channel();
    tokio::spawn(async move {
        let _open = open;
        tokio::select! {
            _ = write(follower, first, &pieces) => {}
            () = pieces.left() => {}
            () = app.streams.ending() => {}
            () = standing.lost() => {}
        }
    });
    // The last one is for proxies that would rather collect the answer first.
    let headers = [NO_STORE, (header::CONTENT_TYPE, "text/event-stream"), (header::VARY, "accept")];
    Ok((headers, [("x-accel-buffering", "no")], body).into_response())
}

/// Writes what happens until it is no longer kept or nobody reads it.
async fn write(mut follower: Follower, first: Page, pieces: &Pieces) -> Result<(), Left> {
    pieces.send(format!("retry: {RETRY}\n\n").into()).await?;
    let mut page = first;
    loop {
        for piece in pieces::of(page.changes.into_iter().flat_map(event)) {
            pieces.send(piece).await?;
        }
        let mut next = pin!(follower.next());
        let next = loop {
            match timeout(KEEP_ALIVE, &mut next).await {
                Ok(next) => break next,
                Err(_) => pieces.send(Bytes::from_static(b":\n\n")).await?,
            }
        };
        let Some(next) = next else {
            return pieces.send(format!("event: gone\ndata: {BEGIN_ANEW}\n\n").into()).await;
        };
        page = next;
    }
}

fn event(change: Change) -> impl Iterator<Item = Bytes> {
    let head = format!("id: {}\nevent: {}\ndata: ", change.cursor, change.operation.as_str());
    [Bytes::from(head)].into_iter().chain(change.json()).chain([Bytes::from_static(b"\n\n")])
}
