//! `GET /api/ws`: what happens to flows, as text frames over a WebSocket (RFC 6455).
//!
//! Clients expect `{"type":"Ping"}` first, then an event for each change from then on; a text `ping` is answered `pong`.
//! What happened while nobody was connected is not told here: that is what the feed is for.

use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, header};
use serde::Serialize;
use tokio::time::{Instant, interval, timeout};

use super::App;
use super::changes::{Change, Request, page};
use super::events::following;
use super::flows::Answer;
use super::problem::{Kind, Problem};
use crate::flow::{FlowId, GstState};
use crate::repository::Since;

/// The longest message of a client, in bytes; it has little to say.
const LONGEST: usize = 64 * 1024;
/// How often the other end is asked whether it is there.
const PING: Duration = Duration::from_secs(15);
/// How long it may say nothing, or take nothing, before it is taken for gone.
const SILENCE: Duration = Duration::from_secs(60);

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
    fn of(change: &Change) -> Self {
        let flow_id = change.flow_id;
        match change.op {
            "create" => Self::FlowCreated { flow_id },
            "delete" => Self::FlowDeleted { flow_id },
            "state" => Self::FlowStateChanged { flow_id, state: change.state },
            _ => Self::FlowUpdated { flow_id },
        }
    }
}

pub(super) async fn connect(
    State(app): State<App>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    check_origin(&headers)?;
    let upgrade = upgrade.map_err(|rejection| Problem::new(Kind::InvalidHeader, rejection.body_text()))?;
    let now = Request { since: Since::Now, ..Request::default() };
    // Before the answer: the client is told of everything that happens once it is connected.
    let since = Since::After(page(&*app.source.repository, now).await?.next);
    Ok(upgrade.max_message_size(LONGEST).on_upgrade(async move |socket| {
        // However it ends, there is nobody left to tell.
        if let Err(error) = serve(socket, app, Request { since, ..now }).await {
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

async fn serve(mut socket: WebSocket, app: App, mut request: Request) -> Result<(), axum::Error> {
    send(&mut socket, text(&Event::Ping)).await?;
    let mut ping = interval(PING);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            page = following(&*app.source.repository, request) => {
                // Whoever is so far behind connects again.
                let Some(page) = page else { return Ok(()) };
                for change in &page.changes {
                    send(&mut socket, text(&Event::of(change))).await?;
                }
                request.since = Since::After(page.next);
            }
            message = socket.recv() => {
                heard = Instant::now();
                match message.transpose()? {
                    None | Some(Message::Close(_)) => return Ok(()),
                    Some(Message::Text(text)) if text.trim() == "ping" => {
                        send(&mut socket, Message::text("pong")).await?;
                    }
                    Some(_) => {}
                }
            }
            _ = ping.tick() => {
                if heard.elapsed() > SILENCE {
                    return Ok(());
                }
                send(&mut socket, Message::Ping(Default::default())).await?;
            }
        }
    }
}

fn text(event: &Event) -> Message {
    Message::text(serde_json::to_string(event).expect("ids and names become JSON"))
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), axum::Error> {
    timeout(SILENCE, socket.send(message)).await.unwrap_or_else(|elapsed| Err(axum::Error::new(elapsed)))
}
