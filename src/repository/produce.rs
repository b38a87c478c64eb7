//! Streams whose producer is a task of its own.

use std::io;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use super::error::RepositoryError;

/// The task that produces a stream panicked or was aborted, so items are missing.
#[derive(Debug, thiserror::Error)]
#[error("the stream ended early, so it is incomplete: {0}")]
pub struct EndedEarly(JoinError);

impl From<EndedEarly> for io::Error {
    fn from(error: EndedEarly) -> Self {
        Self::other(error)
    }
}

impl From<EndedEarly> for RepositoryError {
    fn from(error: EndedEarly) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// Runs `producer` as a task, and streams what it sends. At most `buffer` items wait for a slow reader.
///
/// A closed channel looks like a complete stream, whatever has ended the producer. Therefore the stream ends without an
/// error only if the producer has returned `Ok`. An error of the producer is the last item, and a panic becomes
/// [`EndedEarly`]. The producer ends when a send fails, because the reader has left.
///
/// # Panics
/// If the caller is not in a Tokio runtime.
pub fn produce<T, E, P>(buffer: usize, producer: impl FnOnce(mpsc::Sender<T>) -> P) -> BoxStream<'static, Result<T, E>>
where
    T: Send + 'static,
    E: From<EndedEarly> + Send + 'static,
    P: Future<Output = Result<(), E>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(buffer);
    let task = tokio::spawn(producer(sender));
    stream::unfold(Some((receiver, task)), |state| async move {
        let (mut receiver, task): (mpsc::Receiver<T>, JoinHandle<Result<(), E>>) = state?;
        match receiver.recv().await {
            Some(item) => Some((Ok(item), Some((receiver, task)))),
            None => {
                let ended = task.await.unwrap_or_else(|error| Err(EndedEarly(error).into()));
                ended.err().map(|error| (Err(error), None))
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::produce;
    use crate::repository::{RepositoryError, Result};

    async fn read(items: u8, end: fn() -> Result<()>) -> (Vec<u8>, Option<RepositoryError>) {
        let stream = produce(2, async move |sender| {
            for item in 0..items {
                sender.send(item).await.expect("the reader waits");
            }
            end()
        });
        let (mut read, mut error) = (Vec::new(), None);
        let mut stream = Box::pin(stream);
        while let Some(item) = stream.next().await {
            assert!(error.is_none(), "an error is the last item");
            match item {
                Ok(item) => read.push(item),
                Err(found) => error = Some(found),
            }
        }
        (read, error)
    }

    #[tokio::test]
    async fn only_a_producer_that_returns_ends_the_stream_without_an_error() {
        let (items, error) = read(3, || Ok(())).await;
        assert_eq!((items, error.is_none()), (vec![0, 1, 2], true));
        let (items, error) = read(3, || Err(RepositoryError::Gone)).await;
        assert!(items == [0, 1, 2] && matches!(error, Some(RepositoryError::Gone)), "{error:?}");
        let (items, error) = read(3, || panic!("expected by the test")).await;
        assert_eq!(items, [0, 1, 2]);
        let Some(RepositoryError::Failed(source)) = error else { panic!("{error:?}") };
        assert!(source.to_string().contains("ended early"), "{source}");
    }
}
