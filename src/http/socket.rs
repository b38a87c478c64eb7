//! `GET /api/ws`: what happens to flows, as text frames over a WebSocket (RFC 6455).
//!
//! Clients expect `{"type":"Ping"}` first, then an event for each change from then on; a text `ping` is answered `pong`.
//! What happened while nobody was connected is not told here: that is what the feed is for.

use std::pin::pin;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, header};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, timeout};

use super::App;
use super::access::Standing;
use super::flows::Answer;
use super::hub::{Change, Follower, Part};
use super::openapi::{self, Problems, Reads, Sockets, Streams};
use super::problem::{Kind, Problem};
use crate::flow::{FlowId, GstState};
use crate::metrics::StreamKind;
use crate::repository::{Operation, Since};

/// The longest message of a client, in bytes; it has little to say.
const LONGEST: usize = 64 * 1024;
/// Changes of one page.
const PAGE: u32 = 100;
/// How often the other end is asked whether it is there.
const PING: Duration = Duration::from_secs(15);
/// How long it may say nothing, or take nothing, before it is taken for gone.
const SILENCE: Duration = Duration::from_secs(60);
/// How long the other end may take to close a socket that we close.
const FAREWELL: Duration = Duration::from_secs(1);
/// So many text pings may wait for their answers.
const PINGS: usize = 8;

#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(tag = "type", content = "data")]
enum Event {
    Ping,
    FlowCreated { flow_id: FlowId },
    FlowUpdated { flow_id: FlowId },
    FlowDeleted { flow_id: FlowId },
    FlowStateChanged { flow_id: FlowId, state: GstState },
}

impl Event {
    async fn of(change: &Change, app: &App) -> Self {
        let Change { flow_id, state, .. } = *change;
        match change.operation {
            Operation::Create => Self::FlowCreated { flow_id },
            Operation::Delete => Self::FlowDeleted { flow_id },
            Operation::State => Self::FlowStateChanged { flow_id, state },
            Operation::Restore if came_back(change, app).await => Self::FlowCreated { flow_id },
            Operation::Restore | Operation::Update => Self::FlowUpdated { flow_id },
        }
    }
}

/// Whether the flow of a restore was not there before. The hub has looked, but for those who are behind.
async fn came_back(change: &Change, app: &App) -> bool {
    match change.was_deleted {
        Some(was_deleted) => was_deleted,
        None => app.hub.was_deleted(change).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "what was before a restore is not known");
            false
        }),
    }
}

/// What happens to flows, over a WebSocket.
///
/// `{"type":"Ping"}` comes first, then an event for each change from then on; a text `ping` is answered `pong`.
#[utoipa::path(
    get, path = "/api/ws", tag = "history", operation_id = "open_socket",
    params(openapi::Handshake),
    responses((status = 101, description = "A WebSocket."), Problems<(Sockets, Streams, Reads)>),
)]
pub(super) async fn connect(
    State(app): State<App>,
    Extension(standing): Extension<Standing>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    check_origin(&headers)?;
    let upgrade = upgrade.map_err(|rejection| Problem::new(Kind::InvalidHeader, rejection.body_text()))?;
    let open = app.open_stream(StreamKind::Socket)?;
    // Before the answer: the client is told of everything that happens once it is connected.
    let now = Part { since: Since::Now, limit: PAGE, bytes: 0, documents: false };
    let (follower, _) = app.hub.follow(now).await?;
    Ok(upgrade.max_message_size(LONGEST).on_upgrade(async move |socket| {
        let _open = open;
        // However it ends, there is nobody left to tell.
        if let Err(error) = serve(socket, follower, &app, &standing).await {
            tracing::debug!(%error, "a WebSocket has ended");
        }
    }))
}

/// A browser lets the page of a stranger open a WebSocket to whatever it reaches, without asking first as it does for
/// other requests, but says whose page it is (RFC 6455, section 10.2). Programs say nothing.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match origin.is_some() && origin == host {
        true => Ok(()),
        false => Err(Problem::new(Kind::ForeignOrigin, "a WebSocket is opened by pages of this server alone")),
    }
}

/// Hears and tells at the same time, so that whoever takes long to take what he is told is still heard.
async fn serve(socket: WebSocket, follower: Follower, app: &App, standing: &Standing) -> Result<(), axum::Error> {
    let (mut sink, mut stream) = socket.split();
    let (heard, last_heard) = watch::channel(Instant::now());
    let (ping, pings) = mpsc::channel(PINGS);
    let (code, reason) = tokio::select! {
        ended = hear(&mut stream, &heard, &ping) => return ended,
        ended = tell(&mut sink, follower, app, last_heard, pings) => ended?,
        () = standing.lost() => (close_code::POLICY, "the key was withdrawn"),
    };
    send(&mut sink, Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await?;
    // The other end closes too (RFC 6455, section 7.1.1). Who hangs up on it may take away what it has not read yet.
    let _ = timeout(FAREWELL, async { while let Some(Ok(_)) = stream.next().await {} }).await;
    Ok(())
}

/// Takes note of everything that comes, until the other end closes.
async fn hear(
    stream: &mut SplitStream<WebSocket>,
    heard: &watch::Sender<Instant>,
    ping: &mpsc::Sender<()>,
) -> Result<(), axum::Error> {
    while let Some(message) = stream.next().await.transpose()? {
        heard.send_replace(Instant::now());
        match message {
            Message::Close(_) => break,
            // The receiver lives as long as this does.
            Message::Text(text) if text.trim() == "ping" => ping.send(()).await.unwrap_or_default(),
            _ => {}
        }
    }
    Ok(())
}

/// Tells what happens and answers pings, until there is a reason to close.
async fn tell(
    sink: &mut SplitSink<WebSocket, Message>,
    mut follower: Follower,
    app: &App,
    last_heard: watch::Receiver<Instant>,
    mut pings: mpsc::Receiver<()>,
) -> Result<(u16, &'static str), axum::Error> {
    send(sink, text(&Event::Ping)).await?;
    let mut ping = interval(PING);
    loop {
        let mut next = pin!(follower.next());
        let page = loop {
            tokio::select! {
                page = &mut next => break page,
                Some(()) = pings.recv() => send(sink, Message::text("pong")).await?,
                _ = ping.tick() => {
                    if last_heard.borrow().elapsed() > SILENCE {
                        return Ok((close_code::AWAY, "nothing was heard of you"));
                    }
                    send(sink, Message::Ping(Default::default())).await?;
                }
                () = app.streams.ending() => return Ok((close_code::AWAY, "the server stops")),
            }
        };
        let Some(page) = page else {
            return Ok((close_code::AGAIN, "you were behind for too long; read the flows and connect again"));
        };
        for change in &page.changes {
            send(sink, text(&Event::of(change, app).await)).await?;
        }
    }
}

fn text(event: &Event) -> Message {
    Message::text(serde_json::to_string(event).expect("ids and names become JSON"))
}

async fn send(sink: &mut SplitSink<WebSocket, Message>, message: Message) -> Result<(), axum::Error> {
    timeout(SILENCE, sink.send(message)).await.unwrap_or_else(|elapsed| Err(axum::Error::new(elapsed)))
}
