//! How many streams may be open, and when they end.
//!
//! A stream is an answer that goes on until its client leaves: server-sent events, a WebSocket, and for as long as it waits
//! a page that was asked for with `wait`. Each costs a connection and some memory, so there are never more than [`MOST`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::App;
use super::problem::{Kind, Problem};
use crate::metrics::{OpenStream, StreamKind};

/// So many streams are open at a time.
const MOST: u32 = 2_000;
/// When whoever is turned away should come again.
const RETRY: Duration = Duration::from_secs(5);
/// How long streams take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// The open streams of a router. The value may be cloned; all clones are about the same streams.
#[derive(Debug, Clone)]
pub struct Streams {
    free: Arc<Semaphore>,
    end: CancellationToken,
}

impl Default for Streams {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(MOST as usize)), end: CancellationToken::new() }
    }
}

impl Streams {
    /// Ends all streams: events end, WebSockets are closed as going away (1001), pages that wait are answered with what
    /// there is. Those that are opened from now on end at once.
    pub fn end(&self) {
        self.end.cancel();
    }

    /// Returns when all streams have ended, or have had a second for it.
    pub async fn ended(&self) {
        if timeout(FAREWELL, self.free.acquire_many(MOST)).await.is_err() {
            tracing::debug!(open = MOST as usize - self.free.available_permits(), "some streams have not ended");
        }
    }

    /// Returns when it is time to end.
    pub(super) fn ending(&self) -> WaitForCancellationFuture<'_> {
        self.end.cancelled()
    }
}

/// A stream that counts as open as long as this is there.
#[derive(Debug)]
pub(super) struct Open {
    _place: OwnedSemaphorePermit,
    _counted: OpenStream,
}

impl App {
    /// Opens a stream, if there is room for one more.
    pub(super) fn open_stream(&self, kind: StreamKind) -> Result<Open, Problem> {
        let place = Arc::clone(&self.streams.free).try_acquire_owned().map_err(|_| {
            tracing::warn!(most = MOST, "no more streams can be opened");
            Problem::new(Kind::TooManyStreams, format!("{MOST} streams are open; come again later")).retry_after(RETRY)
        })?;
        Ok(Open { _place: place, _counted: self.metrics.streams().open(kind) })
    }
}
