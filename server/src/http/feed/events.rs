//! Changes as server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! A stream reads the next page only when the client has read the previous one. So a slow client costs the memory of one page.
//! A client that reads nothing is disconnected; it continues after the last event that it received. During an outage a stream
//! stays open, and it continues where it was.
//!
//! The server formats events itself. axum would hold each event as a whole for each stream, and a flow of 16 MiB would be in
//! memory once per stream.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use tokio::time::timeout;

use super::follower::Follower;
use super::page::{FeedChange, FeedPage};
use super::streams::{OpenStream, Streams};
use crate::http::guard::KeyValidity;
use crate::http::respond::RESYNC_HINT;
use crate::http::respond::chunks::{self, ChunkSender, ClientGone};

/// Interval of comments without content, so that no proxy considers the connection dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Milliseconds after which a disconnected client should reconnect.
const RECONNECT_AFTER: u32 = 2_000;

/// Returns a body that contains an event for each change. It ends when the client disconnects, the key is withdrawn, the
/// server stops or the changes have expired.
pub(crate) fn event_stream(
    follower: Follower,
    first: FeedPage,
    open: OpenStream,
    streams: Streams,
    validity: KeyValidity,
) -> Body {
    chunks::produced(async move |sender: ChunkSender| {
        let _open = open;
        tokio::select! {
            _ = write(follower, first, &sender) => {}
            () = sender.client_gone() => {}
            () = streams.ending() => {}
            () = validity.lost() => {}
        }
        Ok(())
    })
}

async fn write(mut follower: Follower, first: FeedPage, sender: &ChunkSender) -> Result<(), ClientGone> {
    sender.send(format!("retry: {RECONNECT_AFTER}\n\n").into()).await?;
    let mut page = first;
    loop {
        for chunk in chunks::from_texts(page.changes.into_iter().flat_map(event)) {
            sender.send(chunk).await?;
        }
        let mut next = pin!(follower.next());
        let next = loop {
            match timeout(KEEP_ALIVE, &mut next).await {
                Ok(next) => break next,
                Err(_) => sender.send(Bytes::from_static(b":\n\n")).await?,
            }
        };
        let Some(next) = next else {
            return sender.send(format!("event: gone\ndata: {RESYNC_HINT}\n\n").into()).await;
        };
        page = next;
    }
}

fn event(change: FeedChange) -> impl Iterator<Item = Bytes> {
    let head = format!("id: {}\nevent: {}\ndata: ", change.cursor, change.operation.as_str());
    [Bytes::from(head)].into_iter().chain(change.json()).chain([Bytes::from_static(b"\n\n")])
}
