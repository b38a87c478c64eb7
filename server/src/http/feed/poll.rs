//! One page of changes for a client that waits.

use std::sync::Arc;
use std::time::Duration;

use strom_store::repository::RepositoryError;
use tokio::time::{Instant, timeout_at};

use super::follower::Follower;
use super::hub::Hub;
use super::page::{FeedPage, FeedPart};
use super::streams::Streams;
use crate::http::respond::Problem;
use crate::metrics::{Metrics, StreamKind};

/// Returns the next page with changes. Returns an empty page after `wait`, or when the server stops.
pub(crate) async fn poll(
    hub: &Arc<Hub>,
    streams: &Streams,
    metrics: &Metrics,
    part: FeedPart,
    wait: Duration,
) -> Result<FeedPage, Problem> {
    if wait.is_zero() {
        return Ok(hub.read_in_time(part).await?);
    }
    let deadline = Instant::now() + wait;
    let (mut follower, page) = Follower::start(hub, part).await?;
    if !page.changes.is_empty() {
        return Ok(page);
    }
    let _open = streams.open(metrics, StreamKind::Poll)?;
    let next = tokio::select! {
        next = timeout_at(deadline, follower.next()) => next,
        () = streams.ending() => return Ok(page),
    };
    match next {
        Ok(Some(page)) => Ok(page),
        Ok(None) => Err(RepositoryError::Gone.into()),
        Err(_) => Ok(FeedPage { changes: Vec::new(), next: follower.cursor() }),
    }
}
