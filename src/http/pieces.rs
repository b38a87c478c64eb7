//! Long answers, piece by piece, as fast as they are taken.
//!
//! A connection keeps what its client has not taken; there is no way to have it back. So it is given copies of few bytes, and
//! what they are copied from is let go when nobody has taken a piece for [`STALLED`], whatever becomes of the connection.

use std::time::Duration;
use std::{io, iter};

use axum::body::{Body, Bytes};
use futures::stream::{self, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Bytes of a piece, at most.
pub(super) const PIECE: usize = 32 * 1024;
/// How long a reader may take for one piece.
const STALLED: Duration = Duration::from_secs(30);

/// These texts, one behind the other, in pieces that are worth sending.
pub(super) fn of(texts: impl IntoIterator<Item = Bytes>) -> impl Iterator<Item = Bytes> {
    let mut texts = texts.into_iter().fuse();
    let mut rest = Bytes::new();
    iter::from_fn(move || {
        let mut piece = Vec::new();
        while piece.len() < PIECE {
            if rest.is_empty() {
                let Some(text) = texts.next() else { break };
                rest = text;
            }
            piece.extend_from_slice(&rest.split_to(rest.len().min(PIECE - piece.len())));
        }
        (!piece.is_empty()).then(|| piece.into())
    })
}

/// Where pieces are put that become a body.
#[derive(Debug)]
pub(super) struct Pieces(mpsc::Sender<io::Result<Bytes>>);

/// The reader has left, or takes nothing.
#[derive(Debug, thiserror::Error)]
#[error("its reader has left, or takes nothing")]
pub(super) struct Left;

impl Pieces {
    /// A body that goes on until its other half is dropped.
    pub(super) fn channel() -> (Self, Body) {
        let (sender, receiver) = mpsc::channel(1);
        let taken =
            stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| Some((receiver.recv().await?, receiver)));
        // The compression asks once more behind the end.
        (Self(sender), Body::from_stream(taken.fuse()))
    }

    /// Waits until there is room for a piece.
    pub(super) async fn send(&self, piece: Bytes) -> Result<(), Left> {
        match timeout(STALLED, self.0.send(Ok(piece))).await {
            Ok(sent) => sent.map_err(|_| Left),
            Err(_) => {
                tracing::debug!("a reader takes nothing and is given up");
                Err(Left)
            }
        }
    }

    /// Returns when the reader has left.
    pub(super) async fn left(&self) {
        self.0.closed().await;
    }

    /// Tells the reader that this is not the end: without it he would take what he has for all.
    pub(super) async fn break_off(self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        let _ = self.0.send(Err(io::Error::other(error))).await;
    }
}

/// All of these pieces as a body.
pub(super) fn body(mut pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Body {
    let (first, second) = (pieces.next().unwrap_or_default(), pieces.next());
    // Most answers are short.
    let Some(second) = second else { return first.into() };
    let (sender, body) = Pieces::channel();
    tokio::spawn(async move {
        let sending = async {
            for piece in [first, second].into_iter().chain(pieces) {
                sender.send(piece).await?;
            }
            Ok(())
        };
        if let Err(left @ Left) = sending.await {
            sender.break_off(left).await;
        }
    });
    body
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::{PIECE, of};

    #[test]
    fn texts_are_put_together_and_divided_without_a_loss() {
        for (texts, pieces) in [
            (vec![], vec![]),
            (vec![0, 0], vec![]),
            (vec![0, 3, 4], vec![7]),
            (vec![PIECE], vec![PIECE]),
            (vec![PIECE - 1, PIECE - 1, 2], vec![PIECE, PIECE]),
            (vec![1, 2 * PIECE + 7, 2], vec![PIECE, PIECE, 10]),
        ] {
            let bytes: Vec<u8> = (0..texts.iter().sum()).map(|place: usize| (place % 251) as u8).collect();
            let mut rest = Bytes::from(bytes.clone());
            let texts: Vec<_> = texts.into_iter().map(|length| rest.split_to(length)).collect();
            let found: Vec<_> = of(texts).collect();
            assert_eq!(found.iter().map(Bytes::len).collect::<Vec<_>>(), pieces);
            assert!(found.concat() == bytes);
        }
    }
}
