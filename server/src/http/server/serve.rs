//! Accepts connections until the server stops.
//!
//! This replaces `axum::serve`, which waits for the head of a request forever and accepts any number of connections. A client that
//! opens connections and sends nothing could use up all file descriptors. Bodies have their own timeout.
//!
//! The server supports HTTP/1.1 only; a proxy can add TLS and HTTP/2. It uses hyper's `http1` and not `auto` of hyper-util: `auto`
//! waits without a timeout for the first bytes, and serves HTTP/2 on connections that may be upgraded.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::middleware;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower_http::add_extension::AddExtension;
use tower_http::metrics::InFlightRequests;

use super::admission::{Activity, Admission};
use super::connection::Connection;
use super::track::track;

/// Maximum time for running requests to finish after the stop signal.
pub const GRACE: Duration = Duration::from_secs(10);

/// Maximum time from the connection to the complete head of the first request. A client that has connected has a request to send.
const FIRST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time for the head of a request, counted from the previous response. So this is also the maximum idle time of a connection.
/// Longer than the usual 60 seconds of proxies: otherwise a proxy could send a request on a connection that the server closes.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Maximum time without progress of a response. After it the server closes the connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum bytes that a connection buffers for a slow client, and maximum bytes of the head of a request.
const BUFFER: usize = 64 * 1024;

/// Maximum number of connections, including WebSockets and streams. Lower if the process has few file descriptors. A further
/// connection replaces an idle one. If no connection is idle, it waits in the queue of the operating system.
const MAX_CONNECTIONS: usize = 4096;

/// Additional connections for `/health`, `/ready` and `/metrics`, while all others serve requests. Other requests receive 503 there.
const RESERVE: usize = 32;

/// Serves the routes until `stop` completes. Then it accepts no further connections and waits up to [`GRACE`] for running requests.
/// Routes receive the address of the client as [`ConnectInfo`].
///
/// Longer requests and WebSockets still run when this function returns. They end with the runtime.
pub async fn serve(listener: TcpListener, routes: Router, stop: impl Future<Output = ()> + Send + 'static) {
    let bounds = Bounds {
        first_head: FIRST_HEAD_TIMEOUT,
        head: HEAD_TIMEOUT,
        write: WRITE_TIMEOUT,
        connections: MAX_CONNECTIONS.min(affordable()),
        reserve: RESERVE,
    };
    serve_within(bounds, listener, routes, stop).await;
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

/// The limits of a server.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    first_head: Duration,
    head: Duration,
    write: Duration,
    connections: usize,
    reserve: usize,
}

async fn serve_within(bounds: Bounds, listener: TcpListener, routes: Router, stop: impl Future<Output = ()>) {
    let admission = Admission::new(bounds.connections, bounds.reserve);
    let stopping = CancellationToken::new();
    // The receiver learns when the tasks of all connections have ended.
    let (running, mut ended) = mpsc::channel::<Infallible>(1);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(BUFFER);
    // Here, because it is expensive for every request.
    let routes = routes.layer(middleware::from_fn(track)).with_state(());
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let accepted = accept(&listener).await;
            (accepted, admission.admit().await)
        };
        let ((stream, peer), (registered, permit)) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        // Responses and events are sent without delay. If this fails, the connection is only slower.
        let _ = stream.set_nodelay(true);
        let Activity { is_reserved, in_flight, .. } = &*registered.activity;
        let routes = AddExtension::new(routes.clone(), Arc::clone(&registered.activity));
        let routes = InFlightRequests::new(AddExtension::new(routes, ConnectInfo(peer)), in_flight.clone());
        http.keep_alive(!is_reserved);
        let stream = TokioIo::new(Connection::new(stream, bounds.write, permit));
        let connection = http.serve_connection(stream, TowerToHyperService::new(routes)).with_upgrades();
        let (stopping, running) = (stopping.clone(), running.clone());
        tokio::spawn(async move {
            let _running = running;
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = silent(&registered.activity, bounds.first_head) => Ok(()),
                () = registered.activity.close.cancelled() => {
                    // Dropped while idle: hyper would wait for the rest of an incomplete head.
                    if registered.activity.is_idle() {
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
                () = stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "a connection ended with an error");
            }
        });
    }
    drop((listener, running));
    stopping.cancel();
    tracing::info!("shutting down: running requests have {} seconds to finish", GRACE.as_secs());
    if timeout(GRACE, ended.recv()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

/// Ends if the connection has sent no complete head in time.
async fn silent(activity: &Activity, first_head: Duration) {
    sleep(first_head).await;
    if activity.has_served.load(Ordering::Relaxed) {
        pending().await
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
