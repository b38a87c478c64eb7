//! Changes as text frames on a WebSocket (RFC 6455).
//!
//! The server first sends `{"type":"Ping"}`, then an event for each change. It answers a text `ping` with `pong`. A client does
//! not receive changes from before the connection; `GET /api/changes` returns them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Error;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use strom_store::repository::Since;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep, timeout};

use super::follower::Follower;
use super::hub::Hub;
use super::page::FeedPart;
use super::socket_event::SocketEvent;
use super::streams::Streams;
use crate::http::guard::KeyValidity;

/// Maximum bytes of a message and of a frame from the client. Clients send only `ping`. A buffer for an unfinished frame has its
/// announced size, so a large limit would let few clients occupy much memory.
pub(crate) const MAX_MESSAGE: usize = 4 * 1024;
/// Bytes of the buffer for reads from one client.
pub(crate) const READ_BUFFER: usize = 4 * 1024;
/// Maximum number of changes on a page.
const PAGE_LIMIT: u32 = 100;
/// Interval of WebSocket pings.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// Maximum time without a message from the client, and maximum time for sending one message.
const MAX_SILENCE: Duration = Duration::from_secs(60);
/// Maximum time that the client may take to close its side.
const MAX_CLOSE_TIME: Duration = Duration::from_secs(1);
/// Maximum number of text pings without an answer.
const MAX_PENDING_PINGS: usize = 8;

/// The part of the feed that a WebSocket follows: all changes from now on, without documents.
pub(crate) fn socket_part() -> FeedPart {
    FeedPart { since: Since::Now, limit: PAGE_LIMIT, bytes: 0, documents: false }
}

/// An open WebSocket.
pub(crate) struct SocketSession {
    pub(crate) follower: Follower,
    pub(crate) hub: Arc<Hub>,
    pub(crate) streams: Streams,
    pub(crate) validity: KeyValidity,
}

impl SocketSession {
    /// Serves the WebSocket until one side closes it. Reads and writes concurrently, so that the server notices messages from a
    /// client that reads slowly.
    pub(crate) async fn serve(self, socket: WebSocket) -> Result<(), Error> {
        let Self { follower, hub, streams, validity } = self;
        let (mut sink, mut stream) = socket.split();
        let (received_at, last_received) = watch::channel(Instant::now());
        let (ping, pings) = mpsc::channel(MAX_PENDING_PINGS);
        let (code, reason) = tokio::select! {
            received = receive(&mut stream, &received_at, &ping) => match received {
                // The WebSocket has prepared the answer, with the code of the client (RFC 6455, section 5.5.1).
                Ok(()) => return timeout(MAX_CLOSE_TIME, sink.close()).await.unwrap_or(Ok(())),
                Err(error) => {
                    let (code, reason) = close_code_of(&error).ok_or(error)?;
                    send(&mut sink, close(code, reason)).await?;
                    // The rest of the message remains unread. Closing the connection at once could discard the close frame.
                    sleep(MAX_CLOSE_TIME).await;
                    return Ok(());
                }
            },
            ended = transmit(&mut sink, follower, &hub, &streams, last_received, pings) => ended?,
            () = validity.lost() => (close_code::POLICY, "the API key was revoked"),
        };
        send(&mut sink, close(code, reason)).await?;
        // The client closes too (RFC 6455, section 7.1.1). Closing the connection earlier could discard unread frames.
        let _ = timeout(MAX_CLOSE_TIME, async { while let Some(Ok(_)) = stream.next().await {} }).await;
        Ok(())
    }
}

/// Records the time of each message and forwards text pings, until the client closes.
async fn receive(
    stream: &mut SplitStream<WebSocket>,
    received_at: &watch::Sender<Instant>,
    ping: &mpsc::Sender<()>,
) -> Result<(), Error> {
    while let Some(message) = stream.next().await.transpose()? {
        received_at.send_replace(Instant::now());
        match message {
            Message::Close(_) => break,
            // The receiver lives as long as this function runs.
            Message::Text(text) if text.trim() == "ping" => ping.send(()).await.unwrap_or_default(),
            _ => {}
        }
    }
    Ok(())
}

/// Sends changes and answers to pings. Returns the reason to close.
async fn transmit(
    sink: &mut SplitSink<WebSocket, Message>,
    mut follower: Follower,
    hub: &Hub,
    streams: &Streams,
    last_received: watch::Receiver<Instant>,
    mut pings: mpsc::Receiver<()>,
) -> Result<(u16, &'static str), Error> {
    send(sink, text(&SocketEvent::Ping)).await?;
    let mut ping = interval(PING_INTERVAL);
    loop {
        let mut next = pin!(follower.next());
        let page = loop {
            tokio::select! {
                page = &mut next => break page,
                Some(()) = pings.recv() => send(sink, Message::text("pong")).await?,
                _ = ping.tick() => {
                    if last_received.borrow().elapsed() > MAX_SILENCE {
                        return Ok((close_code::AWAY, "no message received from the client"));
                    }
                    send(sink, Message::Ping(Default::default())).await?;
                }
                () = streams.ending() => return Ok((close_code::AWAY, "the server is shutting down")),
            }
        };
        let Some(page) = page else {
            return Ok((close_code::AGAIN, "the client was too slow; read all flows and reconnect"));
        };
        for change in &page.changes {
            send(sink, text(&SocketEvent::of(change, hub).await)).await?;
        }
    }
}

fn close(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: reason.into() }))
}

/// Returns the close code for a message that the server cannot read (RFC 6455, section 7.4.1). `None` if the connection is broken.
///
/// axum hides the type of the error, so this reads its text. The test `sockets_answer_close_frames` notices a new text.
fn close_code_of(error: &Error) -> Option<(u16, &'static str)> {
    let text = error.to_string();
    let starts = |prefix: &str| text.starts_with(prefix);
    match () {
        () if starts("Space limit exceeded") => Some((close_code::SIZE, "the message is too large")),
        () if starts("UTF-8 encoding error") => Some((close_code::INVALID, "the message is not valid UTF-8")),
        () if text.contains("without closing handshake") || text.contains("reset") => None,
        () if starts("WebSocket protocol error") => Some((close_code::PROTOCOL, "the frame is invalid")),
        () => None,
    }
}

fn text(event: &SocketEvent) -> Message {
    Message::text(serde_json::to_string(event).expect("ids and names become JSON"))
}

async fn send(sink: &mut SplitSink<WebSocket, Message>, message: Message) -> Result<(), Error> {
    timeout(MAX_SILENCE, sink.send(message)).await.unwrap_or_else(|elapsed| Err(Error::new(elapsed)))
}
