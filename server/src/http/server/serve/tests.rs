use std::future::ready;
use std::time::Instant;

use axum::body::Body;
use axum::http::Uri;
use futures::stream::{self, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Serves test routes on a free port.
async fn served(bounds: Bounds) -> SocketAddr {
    let routes =
        Router::new().fallback(async |ConnectInfo(peer): ConnectInfo<SocketAddr>, uri: Uri| match uri.path() {
            "/long" => vec![b'x'; 16 << 20].into(),
            "/forever" => {
                let begin = stream::once(ready(Ok::<_, io::Error>("begin")));
                Body::from_stream(begin.chain(stream::pending()))
            }
            _ => Body::from(peer.to_string()),
        });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_within(bounds, listener, routes, pending()));
    address
}

const BOUNDS: Bounds =
    Bounds { first_head: FIRST_HEAD_TIMEOUT, head: HEAD_TIMEOUT, write: WRITE_TIMEOUT, connections: 10, reserve: 0 };

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn answer(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 1024];
    let length = stream.read(&mut buffer).await.unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// Ends a test that hangs. Much longer than the slowest machine needs.
const HANGS: Duration = Duration::from_secs(120);

/// Opens a connection that serves a request until it is dropped.
async fn busy(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&request("/forever")).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
    stream
}

/// Reads until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = timeout(HANGS, stream.read_to_end(&mut text)).await.expect("it is closed");
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn incomplete_heads_and_idle_connections_are_closed() {
    let head_timeout = Duration::from_millis(400);
    let address = served(Bounds { head: head_timeout, ..BOUNDS }).await;
    let mut drips = TcpStream::connect(address).await.unwrap();
    drips.write_all(&REQUEST[..20]).await.unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    let begin = Instant::now();
    // Both at once, because a slow machine may take longer than the timeout between two writes.
    idle.write_all(&[REQUEST, REQUEST].concat()).await.unwrap();
    let (said, (said_idle, kept)) = tokio::join!(rest(&mut drips), async { (rest(&mut idle).await, begin.elapsed()) });
    assert!(kept >= head_timeout, "the idle connection is kept for a while: {kept:?}");
    assert!(!said.contains("200"), "{said}");
    let answers: Vec<_> = said_idle.split_inclusive(&idle.local_addr().unwrap().to_string()).collect();
    assert_eq!(answers.len(), 2, "both requests are served on it: {said_idle}");
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200 ")), "{said_idle}");
}

#[tokio::test]
async fn silent_connections_and_other_protocols_are_closed() {
    let address = served(Bounds { first_head: Duration::from_millis(400), ..BOUNDS }).await;
    let mut streams = Vec::new();
    for sent in ["", "G", "PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        streams.push((sent, stream));
    }
    for (sent, mut stream) in streams {
        let said = rest(&mut stream).await;
        assert!(!said.contains("200") && !said.contains('\0'), "{sent}: {said}");
    }
}

#[tokio::test]
async fn a_new_connection_replaces_a_silent_one_and_then_an_idle_one() {
    let address = served(Bounds { connections: 2, ..BOUNDS }).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(REQUEST).await.unwrap();
    answer(&mut idle).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut third).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(rest(&mut silent).await, "", "the silent connection is closed, although it is newer");
    idle.write_all(&request("/forever")).await.unwrap();
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200 "));
    third.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut third).await.starts_with("HTTP/1.1 200 "));
    let mut fourth = TcpStream::connect(address).await.unwrap();
    fourth.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut fourth).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(rest(&mut third).await, "", "the idle connection is closed, not the running request");
}

#[tokio::test]
async fn a_connection_waits_while_all_others_serve_requests() {
    let address = served(Bounds { connections: 1, ..BOUNDS }).await;
    let first = busy(address).await;
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    drop(first);
    assert!(answer(&mut second).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn reserved_places_serve_monitoring_only() {
    let address = served(Bounds { connections: 1, reserve: 1, ..BOUNDS }).await;
    let _busy = busy(address).await;
    for (path, status) in [("/health", 200), ("/ready", 200), ("/metrics", 200), ("/api/flows", 503)] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&request(path)).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {said}");
        assert!(said.to_ascii_lowercase().contains("connection: close"), "{said}");
    }
}

#[tokio::test]
async fn requests_that_cannot_be_parsed_receive_problems() {
    let address = served(BOUNDS).await;
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(4 * BUFFER));
    for (sent, status) in [("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400), ("?\r\n\r\n", 400), (&long, 431)] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let said = rest(&mut stream).await;
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["status"], status);
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected_and_a_slow_client_is_not() {
    let silence = Duration::from_secs(1);
    let address = served(Bounds { write: silence, connections: 1, ..BOUNDS }).await;
    let long = b"GET /long HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut stalled = TcpStream::connect(address).await.unwrap();
    stalled.write_all(long).await.unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(long).await.unwrap();
    // There is one permit, so the server serves the second connection after it closes the first.
    let (mut buffer, mut taken, mut slowness) = (vec![0; 1 << 20], 0, Duration::ZERO);
    loop {
        let length = timeout(HANGS, slow.read(&mut buffer)).await.expect("it is served").unwrap();
        if length == 0 {
            break;
        }
        taken += length;
        // The sum of all pauses exceeds the timeout, and no single pause comes near it.
        let pause = Duration::from_millis(70);
        sleep(pause).await;
        slowness += pause;
    }
    assert!(taken > 16 << 20, "all of it: {taken}");
    assert!(slowness > silence, "{slowness:?}");
    let cut = rest(&mut stalled).await;
    assert!(cut.len() < 16 << 20, "{}", cut.len());
}
