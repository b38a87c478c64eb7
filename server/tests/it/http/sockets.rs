//! WebSockets, tested with an independent client.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use strom_server::http::{Access, ApiKey, router, serve};
use strom_store::FlowRepository;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::HANGS;
use super::client::{Client, ID};

type Repository = Arc<dyn FlowRepository>;
pub(super) type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// Starts a server on a free port. It runs until the test ends.
async fn served(repository: Repository, access: Access) -> SocketAddr {
    listening(router(repository, access)).await
}

/// Serves these routes on a free port until the test ends.
pub(super) async fn listening(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, routes, std::future::pending()));
    address
}

pub(super) async fn open(address: SocketAddr) -> Socket {
    let (mut socket, _) = connect_async(format!("ws://{address}/api/ws")).await.unwrap();
    assert_eq!(next(&mut socket).await, json!({ "type": "Ping" }));
    socket
}

/// Reads messages until the server closes the socket. Returns the close code.
pub(super) async fn closed(mut socket: Socket) -> u16 {
    loop {
        let message = timeout(HANGS, socket.next()).await.expect("the server sends a message");
        if let Message::Close(frame) = message.expect("the server sends a close frame").unwrap() {
            return frame.expect("the close frame has a code").code.into();
        }
    }
}

/// Returns the next event, or `pong`.
pub(super) async fn next(socket: &mut Socket) -> Value {
    loop {
        let message = timeout(HANGS, socket.next()).await.expect("the server sends a message");
        match message.expect("the socket is open").unwrap() {
            Message::Text(text) if text.as_str() == "pong" => return json!("pong"),
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            _ => {}
        }
    }
}

pub(super) async fn sockets_send_an_event_per_change(repository: Repository) {
    let client = Client::new(repository.clone());
    let address = served(repository, Access::Anonymous).await;
    let mut socket = open(address).await;
    socket.send(Message::text("ping")).await.unwrap();
    assert_eq!(next(&mut socket).await, json!("pong"));

    let document = format!(r#"{{"id":"{ID}","name":"one"}}"#);
    let event = |name: &str| json!({ "type": name, "data": { "flow_id": ID } });
    client.send("POST /api/flows", &[], &document).await;
    assert_eq!(next(&mut socket).await, event("FlowCreated"));
    client.send(&format!("PUT /api/flows/{ID}/state"), &[], r#"{"state":"Playing"}"#).await;
    let state = json!({ "type": "FlowStateChanged", "data": { "flow_id": ID, "state": "Playing" } });
    assert_eq!(next(&mut socket).await, state);
    client.send(&format!("PUT /api/flows/{ID}"), &[], &document.replace("one", "two")).await;
    assert_eq!(next(&mut socket).await, event("FlowUpdated"));
    client.send(&format!("POST /api/flows/{ID}/restore"), &[], r#"{"revision":1}"#).await;
    assert_eq!(next(&mut socket).await, event("FlowUpdated"));
    client.send(&format!("DELETE /api/flows/{ID}"), &[], "").await;
    assert_eq!(next(&mut socket).await, event("FlowDeleted"));
    client.send(&format!("POST /api/flows/{ID}/restore"), &[], r#"{"revision":1}"#).await;
    assert_eq!(next(&mut socket).await, event("FlowCreated"), "a restore of a deleted flow creates it");
    socket.close(None).await.unwrap();
}

pub(super) async fn sockets_answer_close_frames(repository: Repository) {
    let address = served(repository, Access::Anonymous).await;
    let closing = |code| Message::Close(Some(CloseFrame { code, reason: "done".into() }));
    let not_utf8 = Message::Frame(Frame::message(&b"\xff"[..], OpCode::Data(Data::Text), true));
    for (sent, code) in [
        (closing(CloseCode::Normal), 1000),
        (closing(CloseCode::Away), 1001),
        (not_utf8, 1007),
        (Message::text("x".repeat(8 << 10)), 1009),
        (Message::binary(vec![0; 1 << 20]), 1009),
    ] {
        let mut socket = open(address).await;
        socket.send(sent).await.unwrap();
        assert_eq!(closed(socket).await, code);
    }
}

/// Returns the status of a WebSocket handshake.
async fn handshake(address: SocketAddr, path: &str, origin: Option<&str>) -> u16 {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    match connect_async(request).await {
        Ok(_) => 101,
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

pub(super) async fn sockets_check_keys_and_origins(repository: Repository) {
    let client = Client::new(repository.clone());
    assert_eq!(client.send("GET /api/ws", &[], "").await.json()["type"], "urn:strom:problem:invalid-header");
    let address = served(repository.clone(), Access::Anonymous).await;
    assert_eq!(handshake(address, "/api/ws", Some(&format!("http://{address}"))).await, 101);
    for foreign in ["http://example.org", "null", "http://127.0.0.1"] {
        assert_eq!(handshake(address, "/api/ws", Some(foreign)).await, 403, "{foreign}");
    }
    let address = served(repository, Access::Key(ApiKey::new("a key"))).await;
    for wrong in ["/api/ws", "/api/ws?auth_token=", "/api/ws?auth_token=a+keys"] {
        assert_eq!(handshake(address, wrong, None).await, 401, "{wrong}");
    }
    for right in ["/api/ws?auth_token=a%20key", "/api/ws?_x=1&auth_token=a+key"] {
        assert_eq!(handshake(address, right, None).await, 101, "{right}");
    }
}
