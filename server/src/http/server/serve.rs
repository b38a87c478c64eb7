//! Accepts connections until the server stops.
//!
//! This replaces `axum::serve`, which waits for the head of a request forever and accepts any number of connections. A client that
//! opens connections and sends nothing could use up all file descriptors. Bodies have their own timeout. The server supports
//! HTTP/1.1; a proxy can add TLS and HTTP/2.

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

/// Maximum time for running requests to finish after the stop signal.
pub const GRACE: Duration = Duration::from_secs(10);

/// Maximum time for the head of a request, counted from the previous response. So this is also the maximum idle time of a connection.
/// Longer than the usual 60 seconds of proxies: otherwise a proxy could send a request on a connection that the server closes.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Maximum time without progress of a response. After it the server closes the connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum bytes that a connection buffers for a slow client, and maximum bytes of the head of a request.
const BUFFER: usize = 64 * 1024;

/// Maximum number of connections, including WebSockets and streams. Lower if the process has few file descriptors. Further clients
/// wait in the queue of the operating system.
const MAX_CONNECTIONS: usize = 4096;

/// Serves the routes until `stop` completes. Then it accepts no further connections and waits up to [`GRACE`] for running requests.
/// Routes receive the address of the client as [`ConnectInfo`].
///
/// Longer requests and WebSockets still run when this function returns. They end with the runtime.
pub async fn serve(listener: TcpListener, routes: Router, stop: impl Future<Output = ()> + Send + 'static) {
    serve_within(HEAD_TIMEOUT, WRITE_TIMEOUT, MAX_CONNECTIONS.min(affordable()), listener, routes, stop).await;
}

/// Returns three quarters of the file descriptors. The storage needs the others: without a descriptor it cannot save.
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
    head_timeout: Duration,
    write_timeout: Duration,
    max_connections: usize,
    listener: TcpListener,
    routes: Router,
    stop: impl Future<Output = ()>,
) {
    let permits = Arc::new(Semaphore::new(max_connections));
    let running = GracefulShutdown::new();
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(BUFFER);
    // Here, because it is expensive for every request.
    let routes = routes.with_state(());
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("nothing closes the semaphore");
            (accept(&listener).await, permit)
        };
        let ((stream, peer), permit) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        // Responses and events are sent without delay. If this fails, the connection is only slower.
        let _ = stream.set_nodelay(true);
        let routes = TowerToHyperService::new(AddExtension::new(routes.clone(), ConnectInfo(peer)));
        let stream = TokioIo::new(Connection::new(stream, write_timeout, permit));
        let connection = running.watch(http.serve_connection_with_upgrades(stream, routes).into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended with an error");
            }
        });
    }
    drop(listener);
    tracing::info!("shutting down: running requests have {} seconds to finish", GRACE.as_secs());
    if timeout(GRACE, running.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

/// Accepts the next connection. Ignores connections that the client has already closed. If there are no file descriptors left, waits
/// until connections end.
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
mod tests;
