//! The listening socket, until it is time to stop.

use std::io;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// How long running requests may take to finish after the signal to stop.
pub const GRACE: Duration = Duration::from_secs(10);

/// Serves the routes until `stop` is done; then accepts nothing more and gives running requests [`GRACE`] to finish.
///
/// Requests that take longer are still running when this returns, and end with the runtime.
///
/// # Errors
/// The socket's.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let signal = async move {
        stop.await;
        tracing::info!("stopping: running requests have {} seconds to finish", GRACE.as_secs());
        let _ = stopping.send(());
    };
    let grace_is_over = async {
        // The sender goes without a word only when the server ends by itself, and then this is not asked any more.
        let _ = stopped.await;
        sleep(GRACE).await;
    };
    tokio::select! {
        ended = async { axum::serve(listener, routes).with_graceful_shutdown(signal).await } => ended,
        () = grace_is_over => {
            tracing::warn!("some requests did not finish in time");
            Ok(())
        }
    }
}
