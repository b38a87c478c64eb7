//! The position of one client in the feed, and its next page.

use std::sync::Arc;

use strom_store::repository::{FeedCursor, RepositoryError, Result, Since};
use tokio::sync::watch;
use tokio::time::sleep;

use super::hub::{Hub, RETRY_INTERVAL};
use super::page::{FeedChange, FeedPage, FeedPart};
use super::recent::Recent;

/// A reader that follows the feed page by page, at the speed of its client.
#[derive(Debug)]
pub(crate) struct Follower {
    hub: Arc<Hub>,
    recent: watch::Receiver<Recent>,
    cursor: FeedCursor,
    part: FeedPart,
}

impl Follower {
    /// Starts at a position and returns the first page, which may be empty.
    ///
    /// # Errors
    /// Returns the errors of the repository. So an unknown position or an outage is reported before the response starts.
    pub(crate) async fn start(hub: &Arc<Hub>, part: FeedPart) -> Result<(Self, FeedPage)> {
        hub.count_follower(&part);
        // From here on, `drop` undoes the count, however the follower ends.
        let mut follower = Self { recent: hub.join(), hub: Arc::clone(hub), cursor: FeedCursor::new(0, 0, 0), part };
        let known = match part.since {
            Since::After(cursor) => follower.recent_after(cursor).map(|changes| page(changes, cursor)),
            Since::Oldest | Since::Now => None,
        };
        let page = match known {
            Some(page) => page,
            None => follower.hub.read_in_time(part).await?,
        };
        follower.cursor = page.next;
        Ok((follower, page))
    }

    /// Returns the cursor after the last returned page.
    pub(crate) fn cursor(&self) -> FeedCursor {
        self.cursor
    }

    /// Waits for the next page with changes. Returns `None` if the changes have expired. Continues during an outage.
    ///
    /// A caller that drops the future misses no change, but the next call may wait for a read permit again.
    pub(crate) async fn next(&mut self) -> Option<FeedPage> {
        loop {
            let page = match self.recent_after(self.cursor) {
                Some(changes) => page(changes, self.cursor),
                None => match self.hub.read(FeedPart { since: Since::After(self.cursor), ..self.part }).await {
                    Ok(page) => page,
                    Err(RepositoryError::Gone) => return None,
                    Err(error) => {
                        tracing::debug!(%error, "a change stream waits for the storage");
                        sleep(RETRY_INTERVAL).await;
                        continue;
                    }
                },
            };
            self.cursor = page.next;
            if !page.changes.is_empty() {
                return Some(page);
            }
            // A change since `recent_after` wakes this immediately. The hub owns the sender, and this value owns the hub.
            let _ = self.recent.changed().await;
        }
    }

    /// Returns the changes after a cursor, if `Recent` contains them.
    fn recent_after(&mut self, cursor: FeedCursor) -> Option<Vec<FeedChange>> {
        let FeedPart { limit, bytes, documents, .. } = self.part;
        self.recent.borrow_and_update().after(cursor, limit, documents.then_some(bytes))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.hub.discount_follower(&self.part);
    }
}

fn page(changes: Vec<FeedChange>, cursor: FeedCursor) -> FeedPage {
    FeedPage { next: changes.last().map_or(cursor, |change| change.cursor), changes }
}
