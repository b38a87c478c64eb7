//! Long bodies in small chunks.
//!
//! A connection buffers what its client has not read, and nothing can take it back. Therefore the server copies long
//! responses into small chunks, and hands over the next chunk when the client has read the previous one. If a client reads
//! nothing for [`READ_TIMEOUT`], the server drops the source of the copies, whatever happens to the connection.

use std::time::Duration;
use std::{io, iter};

use axum::body::{Body, Bytes};
use futures::stream::StreamExt;
use strom_store::repository::produce;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Maximum bytes of a chunk.
pub(crate) const MAX_CHUNK: usize = 32 * 1024;
/// Maximum time that a client may take to read one chunk.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Concatenates texts and divides the result into chunks.
pub(crate) fn from_texts(texts: impl IntoIterator<Item = Bytes>) -> impl Iterator<Item = Bytes> {
    let mut texts = texts.into_iter().fuse();
    let mut rest = Bytes::new();
    iter::from_fn(move || {
        let mut chunk = Vec::new();
        while chunk.len() < MAX_CHUNK {
            if rest.is_empty() {
                let Some(text) = texts.next() else { break };
                rest = text;
            }
            chunk.extend_from_slice(&rest.split_to(rest.len().min(MAX_CHUNK - chunk.len())));
        }
        (!chunk.is_empty()).then(|| chunk.into())
    })
}

/// The sending half of a streamed body.
#[derive(Debug)]
pub(crate) struct ChunkSender(mpsc::Sender<Bytes>);

/// The client has disconnected or reads nothing.
#[derive(Debug, thiserror::Error)]
#[error("the client has disconnected or does not read")]
pub(crate) struct ClientGone;

impl From<ClientGone> for io::Error {
    fn from(gone: ClientGone) -> Self {
        Self::other(gone)
    }
}

impl ChunkSender {
    /// Sends a chunk when the client has read the previous one.
    pub(crate) async fn send(&self, chunk: Bytes) -> Result<(), ClientGone> {
        match timeout(READ_TIMEOUT, self.0.send(chunk)).await {
            Ok(sent) => sent.map_err(|_| ClientGone),
            Err(_) => {
                tracing::debug!("a client does not read its response, which is aborted");
                Err(ClientGone)
            }
        }
    }

    /// Waits until the client disconnects.
    pub(crate) async fn client_gone(&self) {
        self.0.closed().await;
    }
}

/// Returns a body that a task sends. If the task fails or panics, the body ends with an error: otherwise the client would take
/// an incomplete body for a complete one.
pub(crate) fn produced<P>(producer: impl FnOnce(ChunkSender) -> P) -> Body
where
    P: Future<Output = io::Result<()>> + Send + 'static,
{
    let chunks = produce(1, |sender| producer(ChunkSender(sender)));
    // The compression layer polls once more after the end, so the stream must be fused.
    Body::from_stream(chunks.fuse())
}

/// Returns a body of these chunks. A body of one chunk needs no task.
pub(crate) fn body(mut chunks: impl Iterator<Item = Bytes> + Send + 'static) -> Body {
    let (first, second) = (chunks.next().unwrap_or_default(), chunks.next());
    let Some(second) = second else { return first.into() };
    produced(async move |sender: ChunkSender| {
        for chunk in [first, second].into_iter().chain(chunks) {
            sender.send(chunk).await?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::{MAX_CHUNK, from_texts};

    #[test]
    fn texts_are_concatenated_and_divided_without_loss() {
        for (texts, chunks) in [
            (vec![], vec![]),
            (vec![0, 0], vec![]),
            (vec![0, 3, 4], vec![7]),
            (vec![MAX_CHUNK], vec![MAX_CHUNK]),
            (vec![MAX_CHUNK - 1, MAX_CHUNK - 1, 2], vec![MAX_CHUNK, MAX_CHUNK]),
            (vec![1, 2 * MAX_CHUNK + 7, 2], vec![MAX_CHUNK, MAX_CHUNK, 10]),
        ] {
            let bytes: Vec<u8> = (0..texts.iter().sum()).map(|index: usize| (index % 251) as u8).collect();
            let mut rest = Bytes::from(bytes.clone());
            let texts: Vec<_> = texts.into_iter().map(|length| rest.split_to(length)).collect();
            let found: Vec<_> = from_texts(texts).collect();
            assert_eq!(found.iter().map(Bytes::len).collect::<Vec<_>>(), chunks);
            assert!(found.concat() == bytes);
        }
    }
}
