//! The number of open streams, and their end.
//!
//! A stream is a response that continues until the client disconnects: server-sent events, a WebSocket, or a page of changes
//! with `wait`. Each one needs a connection and some memory, so at most [`MAX_STREAMS`] are open.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use crate::http::respond::{Problem, ProblemKind};
use crate::metrics::{Metrics, OpenStream as CountedStream, StreamKind};

/// Maximum number of open streams.
const MAX_STREAMS: u32 = 2_000;
/// `Retry-After` of a rejected stream.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Maximum time that streams may take to end.
const MAX_CLOSE_TIME: Duration = Duration::from_secs(1);

/// The open streams of a router. All clones refer to the same streams.
#[derive(Debug, Clone)]
pub struct Streams {
    permits: Arc<Semaphore>,
    end: CancellationToken,
}

impl Default for Streams {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(MAX_STREAMS as usize)), end: CancellationToken::new() }
    }
}

impl Streams {
    /// Ends all streams: event streams end, WebSockets close with 1001, and pages with `wait` return immediately. New streams
    /// end at once.
    pub fn end(&self) {
        self.end.cancel();
    }

    /// Waits until all streams have ended, for at most one second.
    pub async fn ended(&self) {
        if timeout(MAX_CLOSE_TIME, self.permits.acquire_many(MAX_STREAMS)).await.is_err() {
            tracing::debug!(
                open = MAX_STREAMS as usize - self.permits.available_permits(),
                "some streams did not end in time"
            );
        }
    }

    /// Waits until the streams must end.
    pub(crate) fn ending(&self) -> WaitForCancellationFuture<'_> {
        self.end.cancelled()
    }

    /// Opens a stream. Fails if too many streams are open.
    pub(crate) fn open(&self, metrics: &Metrics, kind: StreamKind) -> Result<OpenStream, Problem> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| {
            tracing::warn!(most = MAX_STREAMS, "the limit of open streams is reached");
            let detail = format!("{MAX_STREAMS} streams are open; try again later");
            Problem::new(ProblemKind::TooManyStreams, detail).retry_after(RETRY_AFTER)
        })?;
        Ok(OpenStream { _counted: metrics.streams().open(kind), _permit: permit })
    }
}

/// An open stream. It closes when this value is dropped. Fields are dropped in the order of their declaration: the permit comes
/// last, so a stream that [`Streams::ended`] waited for is no longer counted.
#[derive(Debug)]
pub(crate) struct OpenStream {
    _counted: CountedStream,
    _permit: OwnedSemaphorePermit,
}
