//! The listening socket and its connections, until it is time to stop.
//!
//! Not `axum::serve`, which waits for the head of a request for ever and takes any number of connections: whoever opens
//! connections and says nothing, or one letter a minute, would hold all that the process may open. Bodies have a limit of
//! their own. Requests are HTTP/1.1; TLS and HTTP/2 are for a proxy in front.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower_http::add_extension::AddExtension;

use super::connection::Connection;

/// How long running requests may take to finish after the signal to stop.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long the head of a request may take, counted from the answer before: so it is also how long a connection may be
/// idle. Longer than the 60 seconds for which proxies keep theirs; if ours ended first, requests would meet a closed door.
const PATIENCE: Duration = Duration::from_secs(75);

/// How long a client may take nothing of an answer before its connection is cut.
const STALLED: Duration = Duration::from_secs(60);

/// Bytes that a connection keeps for a client that is slow, and of the head of a request, at most.
const BUFFER: usize = 64 * 1024;

/// The most connections, WebSockets and streams among them; fewer where the process may not open so many files. Who comes
/// when all are taken waits in the system's queue and is not turned away.
const CONNECTIONS: usize = 4096;

/// Serves the routes until `stop` is done; then accepts nothing more and gives running requests [`GRACE`] to finish. The
/// routes find the address of the client as [`ConnectInfo`].
///
/// Requests that take longer, and WebSockets, are still running when this returns, and end with the runtime.
pub async fn serve(listener: TcpListener, routes: Router, stop: impl Future<Output = ()> + Send + 'static) {
    serve_within(PATIENCE, STALLED, CONNECTIONS.min(affordable()), listener, routes, stop).await;
}

/// A quarter of the descriptors is for others: a store that cannot open a file cannot save.
#[cfg(unix)]
fn affordable() -> usize {
    use rustix::process::{Resource, getrlimit};

    let descriptors = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    descriptors.map_or(usize::MAX, |limit| limit - limit / 4)
}

#[cfg(not(unix))]
fn affordable() -> usize {
    usize::MAX
}

async fn serve_within(
    patience: Duration,
    stalled: Duration,
    connections: usize,
    listener: TcpListener,
    routes: Router,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(connections));
    let running = GracefulShutdown::new();
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(BUFFER);
    // Once, and not for every request.
    let routes = routes.with_state(());
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
            (accept(&listener).await, place)
        };
        let ((stream, peer), place) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        // An answer, and an event, is sent when it is there. A socket that cannot do so is a slow one and no more.
        let _ = stream.set_nodelay(true);
        let routes = TowerToHyperService::new(AddExtension::new(routes.clone(), ConnectInfo(peer)));
        let stream = TokioIo::new(Connection::new(stream, stalled, place));
        let connection = running.watch(http.serve_connection_with_upgrades(stream, routes).into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection has broken off");
            }
        });
    }
    drop(listener);
    tracing::info!("stopping: running requests have {} seconds to finish", GRACE.as_secs());
    if timeout(GRACE, running.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

/// The next connection. Some end before they are accepted; when there are no descriptors left, some must end first.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset => {}
                _ => {
                    tracing::error!(%error, "cannot accept a connection");
                    sleep(Duration::from_secs(1)).await;
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Instant;

    use axum::http::Uri;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Routes on a socket of their own.
    async fn served(patience: Duration, stalled: Duration, connections: usize) -> SocketAddr {
        let routes =
            Router::new().fallback(async |ConnectInfo(peer): ConnectInfo<SocketAddr>, uri: Uri| match uri.path() {
                "/long" => vec![b'x'; 16 << 20],
                _ => peer.to_string().into_bytes(),
            });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve_within(patience, stalled, connections, listener, routes, pending()));
        address
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    async fn answer(stream: &mut TcpStream) -> String {
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer).await.unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// Everything until it is closed, and how long that took.
    async fn rest(stream: &mut TcpStream) -> (String, Duration) {
        let (begin, mut text) = (Instant::now(), Vec::new());
        let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut text)).await.expect("it is closed");
        (String::from_utf8(text).unwrap(), begin.elapsed())
    }

    #[tokio::test]
    async fn half_a_head_and_silence_are_cut_off() {
        let patience = Duration::from_millis(400);
        let address = served(patience, STALLED, 10).await;
        let mut drips = TcpStream::connect(address).await.unwrap();
        drips.write_all(&REQUEST[..20]).await.unwrap();
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(REQUEST).await.unwrap();
        let answered = answer(&mut idle).await;
        assert!(answered.starts_with("HTTP/1.1 200 ") && answered.ends_with(&idle.local_addr().unwrap().to_string()));
        idle.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200 "), "it is kept");
        let ((said, _), (said_idle, took)) = tokio::join!(rest(&mut drips), rest(&mut idle));
        assert!(!said.contains("200") && said_idle.is_empty(), "{said}{said_idle}");
        assert!(took >= patience / 2, "{took:?}");
    }

    #[tokio::test]
    async fn who_comes_when_all_places_are_taken_waits() {
        let address = served(PATIENCE, STALLED, 1).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(REQUEST).await.unwrap();
        answer(&mut first).await;
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(REQUEST).await.unwrap();
        let early = timeout(Duration::from_millis(200), answer(&mut second)).await;
        assert!(early.is_err(), "there is one place");
        drop(first);
        assert!(answer(&mut second).await.starts_with("HTTP/1.1 200 "));
    }
    #[tokio::test]
    async fn who_takes_nothing_is_cut_off_and_who_is_slow_is_not() {
        let address = served(PATIENCE, Duration::from_millis(400), 1).await;
        let long = b"GET /long HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut stalled = TcpStream::connect(address).await.unwrap();
        stalled.write_all(long).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(long).await.unwrap();
        // There is one place, so the second is answered when the first is cut off.
        let (mut buffer, mut taken) = (vec![0; 1 << 20], 0);
        loop {
            let length = timeout(Duration::from_secs(30), slow.read(&mut buffer)).await.expect("it is served").unwrap();
            if length == 0 {
                break;
            }
            taken += length;
            sleep(Duration::from_millis(10)).await;
        }
        assert!(taken > 16 << 20, "all of it: {taken}");
        let (cut, _) = rest(&mut stalled).await;
        assert!(cut.len() < 16 << 20, "{}", cut.len());
    }
}
