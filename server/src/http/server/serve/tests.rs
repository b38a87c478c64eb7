use std::future::pending;
use std::time::Instant;

use axum::http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Serves test routes on a free port.
async fn served(head_timeout: Duration, write_timeout: Duration, connections: usize) -> SocketAddr {
    let routes =
        Router::new().fallback(async |ConnectInfo(peer): ConnectInfo<SocketAddr>, uri: Uri| match uri.path() {
            "/long" => vec![b'x'; 16 << 20],
            _ => peer.to_string().into_bytes(),
        });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_within(head_timeout, write_timeout, connections, listener, routes, pending()));
    address
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn answer(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 1024];
    let length = stream.read(&mut buffer).await.unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// Ends a test that hangs. Much longer than the slowest machine needs.
const HANGS: Duration = Duration::from_secs(120);

/// Reads until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = timeout(HANGS, stream.read_to_end(&mut text)).await.expect("it is closed");
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn incomplete_heads_and_idle_connections_are_closed() {
    let head_timeout = Duration::from_millis(400);
    let address = served(head_timeout, WRITE_TIMEOUT, 10).await;
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
async fn a_connection_over_the_limit_waits() {
    let address = served(HEAD_TIMEOUT, WRITE_TIMEOUT, 1).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(REQUEST).await.unwrap();
    answer(&mut first).await;
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    // The second request has arrived before each of these, but the first connection has the only permit.
    for _ in 0..10 {
        first.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut first).await.starts_with("HTTP/1.1 200 "));
    }
    let early = second.try_read(&mut [0]).expect_err("there is one permit");
    assert_eq!(early.kind(), io::ErrorKind::WouldBlock);
    drop(first);
    assert!(answer(&mut second).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected_and_a_slow_client_is_not() {
    let silence = Duration::from_secs(1);
    let address = served(HEAD_TIMEOUT, silence, 1).await;
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
