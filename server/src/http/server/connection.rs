//! An accepted connection: its permit, and a timeout for clients that read nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_io_timeout::TimeoutWriter;

use super::parse_error::Replacement;

/// A connection with its permit. The permit belongs to the stream and not to the task that serves requests, because a WebSocket
/// outlives that task.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Pin<Box<TimeoutWriter<TcpStream>>>,
    /// The replacement that is being written, and the number of bytes that it replaces.
    replacement: Option<(Replacement, usize)>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Writes fail if the client reads nothing for `write_timeout`. Otherwise such a client would hold its permit and its response
    /// forever.
    pub(super) fn new(stream: TcpStream, write_timeout: Duration, permit: OwnedSemaphorePermit) -> Self {
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(write_timeout));
        Self { stream: Box::pin(stream), replacement: None, _permit: permit }
    }

    /// Writes the replacement of a response of hyper. `None` if these bytes are not such a response.
    fn poll_replacement(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.replacement.is_none() {
            self.replacement = Some((Replacement::of(from)?, from.len()));
        }
        let (replacement, length) = self.replacement.as_mut()?;
        let (written, length) = (replacement.poll_write(self.stream.as_mut(), cx), *length);
        if written.is_ready() {
            self.replacement = None;
        }
        Some(written.map_ok(|()| length))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self.poll_replacement(cx, from) {
            Some(written) => written,
            None => Pin::new(&mut self.stream).poll_write(cx, from),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = from.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
        match self.poll_replacement(cx, first) {
            Some(written) => written,
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, from),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
