//! The service manager: its notifications, the socket that it passes, and the reload that it requests with SIGHUP.
//!
//! Protocol: <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>.

use std::io;
use std::net::TcpListener;
use std::path::Path;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use strom_server::http::KeysFile;
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;

use super::failure::Failure;
use crate::config::Server;

/// Reports the state of the server. Does nothing without a service manager.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}

/// Reports that the server accepts connections.
pub(super) fn notify_ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Returns the socket that the service manager has opened, if any.
pub(super) fn passed_socket() -> Result<Option<TcpListener>, Failure> {
    let mut passed = ListenFd::from_env();
    let listener = match passed.len() {
        0 | 1 => passed.take_tcp_listener(0),
        count => Err(io::Error::other(format!("there are {count} sockets"))),
    };
    let listener = listener.map_err(Failure::PassedSocket)?;
    listener.iter().try_for_each(|listener| listener.set_nonblocking(true)).map_err(Failure::PassedSocket)?;
    Ok(listener)
}

/// Reloads at each SIGHUP, until the future is dropped.
pub(super) async fn reload_on(mut hangups: Signal, server: Server, status: String) {
    while hangups.recv().await.is_some() {
        // A service manager that waits for the reload compares this time with that of its signal.
        let time = NotifyState::monotonic_usec_now();
        notify(&[&[NotifyState::Reloading][..], &time.ok().into_iter().collect::<Vec<_>>()].concat());
        let server = server.clone();
        let _ = spawn_blocking(move || check_keys(&server)).await;
        notify_ready(&status);
    }
}

/// Logs whether the file of keys is valid. The server reads it twice a second and applies a change by itself.
fn check_keys(Server { key, keys_file, .. }: &Server) {
    // Reading a pipe would block, and its content is not available twice.
    let Some(path) = keys_file.as_ref().filter(|path| Path::is_file(path)) else {
        tracing::info!("SIGHUP: no file to reload");
        return;
    };
    match KeysFile::open(path.clone(), key.clone()) {
        Ok(_) => {
            tracing::info!(path = %path.display(), "SIGHUP: the API keys file is valid; changes apply within a second")
        }
        Err(error) => {
            tracing::error!("SIGHUP: {}; the previous API keys remain valid", error.to_string().replace('\n', "; "));
        }
    }
}
