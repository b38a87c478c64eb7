//! One stream's way along the feed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tokio::time::sleep;

use super::page::{Change, Page};
use super::recent::Recent;
use super::{Hub, Part, RETRY};
use crate::repository::{FeedCursor, RepositoryError, Result, Since};

/// Goes along the feed, page by page, as fast as whoever it is for takes them.
#[derive(Debug)]
pub(in crate::http) struct Follower {
    hub: Arc<Hub>,
    recent: watch::Receiver<Recent>,
    place: FeedCursor,
    part: Part,
}

impl Follower {
    /// Begins, and brings the first page, which may be empty.
    ///
    /// # Errors
    /// Those of the repository: a place that is none, or a storage that is away, is told while there can be an answer.
    pub(super) async fn begin(hub: Arc<Hub>, part: Part) -> Result<(Self, Page)> {
        hub.documents_wanted.fetch_add(usize::from(part.documents), Ordering::Relaxed);
        // From here on its end counts down again, however it ends.
        let mut follower = Self { recent: hub.join(), hub, place: BEGIN, part };
        let known = match part.since {
            Since::After(place) => follower.known(place).map(|changes| page(changes, place)),
            Since::Oldest | Since::Now => None,
        };
        let page = match known {
            Some(page) => page,
            None => follower.hub.read_in_time(part).await?,
        };
        follower.place = page.next;
        Ok((follower, page))
    }

    /// Behind all that was taken.
    pub(in crate::http) fn place(&self) -> FeedCursor {
        self.place
    }

    /// The next page that has changes; `None` when they are no longer kept. Goes on while the storage is away. Whoever
    /// drops the future misses nothing, but may lose a turn.
    pub(in crate::http) async fn next(&mut self) -> Option<Page> {
        loop {
            let page = match self.known(self.place) {
                Some(changes) => page(changes, self.place),
                None => match self.hub.read(Part { since: Since::After(self.place), ..self.part }).await {
                    Ok(page) => page,
                    Err(RepositoryError::Gone) => return None,
                    Err(error) => {
                        tracing::debug!(%error, "a stream of changes waits for the storage");
                        sleep(RETRY).await;
                        continue;
                    }
                },
            };
            self.place = page.next;
            if !page.changes.is_empty() {
                return Some(page);
            }
            // What has come since `known` looked wakes at once. The sender lives in the hub that we hold.
            let _ = self.recent.changed().await;
        }
    }

    /// What the hub has behind a place, where it knows it.
    fn known(&mut self, place: FeedCursor) -> Option<Vec<Change>> {
        let Part { limit, bytes, documents, .. } = self.part;
        self.recent.borrow_and_update().behind(place, limit, documents.then_some(bytes))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.hub.documents_wanted.fetch_sub(usize::from(self.part.documents), Ordering::Relaxed);
    }
}

fn page(changes: Vec<Change>, place: FeedCursor) -> Page {
    Page { next: changes.last().map_or(place, |change| change.cursor), changes }
}

/// Before the first page has told the place.
const BEGIN: FeedCursor = FeedCursor { log: 0, transaction: 0, number: 0 };
