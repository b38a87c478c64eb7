//! The body of an import, read chunk by chunk.

use std::io::{self, ErrorKind};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream::{self, Stream, StreamExt};
use tokio::time::timeout;

/// Maximum bytes of the body.
pub(crate) const MAX_IMPORT: u64 = 1 << 30;
/// Maximum time between two chunks of the body.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Returns the chunks of the body. Fails if the body exceeds [`MAX_IMPORT`], or if the client pauses for [`MAX_PAUSE`].
pub(crate) fn import_body(body: Body) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold((body.into_data_stream(), 0), async |(mut chunks, mut length)| {
        let chunk = match timeout(MAX_PAUSE, chunks.next()).await {
            Ok(chunk) => chunk?.map_err(io::Error::other),
            Err(_) => Err(ErrorKind::TimedOut.into()),
        };
        length += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        let chunk = if length > MAX_IMPORT { Err(ErrorKind::FileTooLarge.into()) } else { chunk };
        Some((chunk, (chunks, length)))
    })
}
