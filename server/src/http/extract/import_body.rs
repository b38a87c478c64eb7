//! The body of an import, read chunk by chunk.

use std::io::{self, ErrorKind};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream::{self, Stream, StreamExt};
use tokio::time::{Instant, timeout};

/// Maximum bytes of the body.
pub(crate) const MAX_IMPORT: u64 = 1 << 30;
/// Maximum time between two chunks of the body.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Maximum time for the whole body.
const MAX_TIME: Duration = Duration::from_secs(15 * 60);
/// Minimum bytes per second, on average after the first [`MAX_PAUSE`]. At most two imports run at a time, so a client that sends one
/// byte per pause would delay all others.
const MIN_RATE: u64 = 32 * 1024;

/// Returns the chunks of the body. Fails if the body exceeds [`MAX_IMPORT`] or [`MAX_TIME`], if the client pauses for [`MAX_PAUSE`],
/// or if it is slower than [`MIN_RATE`].
pub(crate) fn import_body(body: Body) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold((body.into_data_stream(), 0, Instant::now()), async |(mut chunks, mut length, begin)| {
        let chunk = match timeout(MAX_PAUSE, chunks.next()).await {
            Ok(chunk) => chunk?.map_err(io::Error::other),
            Err(_) => Err(ErrorKind::TimedOut.into()),
        };
        length += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        let chunk = match begin.elapsed() {
            _ if length > MAX_IMPORT => Err(ErrorKind::FileTooLarge.into()),
            elapsed if elapsed > MAX_TIME || length < expected_length(elapsed) => Err(ErrorKind::TimedOut.into()),
            _ => chunk,
        };
        Some((chunk, (chunks, length, begin)))
    })
}

/// Returns the minimum length of a body after this time.
fn expected_length(elapsed: Duration) -> u64 {
    elapsed.saturating_sub(MAX_PAUSE).as_secs() * MIN_RATE
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use futures::stream::{self, StreamExt};
    use tokio::time::sleep;

    use super::{MAX_PAUSE, import_body};

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_ends_with_an_error() {
        let drip = stream::unfold((), async |()| {
            sleep(MAX_PAUSE / 2).await;
            Some((Ok::<_, Infallible>("x"), ()))
        });
        let chunks: Vec<_> = Box::pin(import_body(Body::from_stream(drip))).take(4).collect().await;
        let outcomes: Vec<_> = chunks.iter().map(Result::is_ok).collect();
        assert_eq!(outcomes, [true, true, false, false]);
    }
}
