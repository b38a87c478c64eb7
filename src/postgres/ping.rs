//! Whether a server answers at all, asked without a session: what is slow or full is told from what is away.
//!
//! The question is the request for TLS with which many sessions begin, and the answer one byte, yes or no:
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>. The server gives it before it knows
//! who asks, so it costs none of the connections that a database, or we, may have. A server that speaks TLS notes in its
//! log that the session did not follow; so this is asked in doubt only.

use std::io;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long an answer takes at most of a server that is there.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// The length of the request, and its code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Fails when the server does not answer within this time, with the reason.
pub(super) async fn ping(server: &PgConnectOptions, patience: Duration) -> io::Result<()> {
    let asking = async {
        let (host, port) = (server.get_host(), server.get_port());
        let directory = server.get_socket().and_then(|directory| directory.to_str());
        match directory.or_else(|| Some(host).filter(|host| host.starts_with('/'))) {
            Some(directory) => ask(UnixStream::connect(format!("{directory}/.s.PGSQL.{port}")).await?).await,
            None => ask(TcpStream::connect((host.trim_matches(['[', ']']), port)).await?).await,
        }
    };
    timeout(patience, asking).await.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")))
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.write_all(&SSL_REQUEST).await?;
    stream.read_u8().await?;
    Ok(())
}
