//! Probes a server without opening a session. This distinguishes a slow server and an exhausted pool from an
//! unreachable server.
//!
//! The probe sends the TLS request that begins many sessions, and the server answers with one byte:
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>. The server answers before it
//! authenticates the client, so a probe needs none of the connections that the server or the pool may have. A server
//! with TLS logs that the session did not follow, so the pool probes only in doubt.

use std::io;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// Minimum time limit for the answer of a reachable server.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// The SSLRequest message: its length, and its code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The outcome of a probe.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) begun_at: Instant,
    /// The reason if the server is unreachable.
    pub(super) error: Option<io::Error>,
}

impl Probe {
    /// Probes the server, twice if necessary: one answer may be late.
    pub(super) async fn of(server: &PgConnectOptions, limit: Duration) -> Self {
        let begun_at = Instant::now();
        let error = match ping(server, limit).await {
            Ok(()) => None,
            Err(_) => ping(server, limit).await.err(),
        };
        Self { begun_at, error }
    }
}

/// Waits for an answer of the server. Fails if it does not answer within `limit`.
pub(super) async fn ping(server: &PgConnectOptions, limit: Duration) -> io::Result<()> {
    let probe = async {
        let (host, port) = (server.get_host(), server.get_port());
        let directory = server.get_socket().and_then(|directory| directory.to_str());
        match directory.or_else(|| Some(host).filter(|host| host.starts_with('/'))) {
            Some(directory) => request(UnixStream::connect(format!("{directory}/.s.PGSQL.{port}")).await?).await,
            None => request(TcpStream::connect((host, port)).await?).await,
        }
    };
    timeout(limit, probe).await.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")))
}

async fn request(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.write_all(&SSL_REQUEST).await?;
    stream.read_u8().await?;
    Ok(())
}
