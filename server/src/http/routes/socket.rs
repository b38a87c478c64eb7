//! `GET /api/ws`

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, header};

use crate::http::app::App;
use crate::http::extract::parameters;
use crate::http::feed::{Follower, MAX_MESSAGE, READ_BUFFER, SocketSession, socket_part};
use crate::http::guard::KeyValidity;
use crate::http::respond::description::{OpenStreams, Problems, Reads, Sockets};
use crate::http::respond::{Problem, ProblemKind, RouteResult};
use crate::metrics::StreamKind;

/// Opens a WebSocket that sends an event for each change of a flow.
///
/// The first message is `{"type":"Ping"}`. Then the server sends one event per new change. It answers the text `ping`
/// with `pong`.
#[utoipa::path(
    get, path = "/api/ws", tag = "history", operation_id = "open_socket",
    params(parameters::Handshake),
    responses((status = 101, description = "The connection is a WebSocket."), Problems<(Sockets, OpenStreams, Reads)>),
)]
pub(crate) async fn socket(
    State(app): State<App>,
    Extension(validity): Extension<KeyValidity>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> RouteResult {
    if app.origins.permitted(&headers).is_none() {
        check_origin(&headers)?;
    }
    let upgrade = upgrade.map_err(|rejection| Problem::new(ProblemKind::InvalidHeader, rejection.body_text()))?;
    let open = app.streams.open(app.stack.metrics(), StreamKind::Socket)?;
    // Before the response, so that the client receives every change after it is connected.
    let (follower, _) = Follower::start(&app.hub, socket_part()).await?;
    let session = SocketSession { follower, hub: Arc::clone(&app.hub), streams: app.streams.clone(), validity };
    let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).read_buffer_size(READ_BUFFER);
    Ok(upgrade.on_upgrade(async move |socket| {
        let _open = open;
        if let Err(error) = session.serve(socket).await {
            tracing::debug!(%error, "a WebSocket ended with an error");
        }
    }))
}

/// Rejects a cross-origin WebSocket. Browsers open these without a preflight request, but they send the origin of the page
/// (RFC 6455, section 10.2). Other clients send no origin.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match origin.is_some() && origin == host {
        true => Ok(()),
        false => Err(Problem::new(
            ProblemKind::ForeignOrigin,
            "only pages of this server, and of origins in --cors-origins, can open a WebSocket",
        )),
    }
}
