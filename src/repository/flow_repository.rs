//! The trait that every backend implements.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::change::Applied;
use super::change_list::ChangeList;
use super::error::Result;
use super::feed::{Feed, FeedLag, Since};
use super::feed_cursor::FeedCursor;
use super::health::Health;
use super::measurement::Measurement;
use super::query::{ListQuery, Page};
use super::record::Record;
use super::revision::Revision;
use super::stamp::Stamp;
use super::stored::Stored;
use crate::flow::{Flow, FlowId, Head};

/// A store of flows, used as `Arc<dyn FlowRepository>`. The [module](super) documents the contract.
///
/// [`FlowRepositoryExt`](super::FlowRepositoryExt) adds shorter forms of these calls.
///
/// Every call can return [`RepositoryError::Unavailable`](super::RepositoryError::Unavailable) while the storage is
/// unreachable, and returns it after [`close`](Self::close).
#[async_trait]
pub trait FlowRepository: Debug + Send + Sync + 'static {
    /// Returns a flow, or `None` if no flow has this id.
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>>;

    /// Returns the flows with these ids that exist, each once and in any order. The store reads them as the caller
    /// consumes the stream, so each flow is as of some moment during the stream.
    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>>;

    /// Returns one page of the flows that pass the filter, in the requested order, with their documents.
    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>>;

    /// Returns the same page as [`list`](Self::list), without reading documents.
    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>>;

    /// Makes all changes or none. Returns the outcome of each change in the order of the list.
    ///
    /// This is the only method that makes changes. The backend chooses the fastest way: PostgreSQL combines lists of
    /// one change from concurrent callers into one statement. A list that does not fit into memory is read while its
    /// changes are made, and may be read again. An empty list is not an error.
    ///
    /// # Errors
    /// - [`RepositoryError::Conflict`](super::RepositoryError::Conflict) with every violated precondition, in the order
    ///   of the list. All preconditions are checked before any change is made.
    /// - [`RepositoryError::RepeatedId`](super::RepositoryError::RepeatedId) if two changes concern the same flow.
    /// - [`RepositoryError::Failed`](super::RepositoryError::Failed) if the list cannot be read, or if it contains a
    ///   document or a revision that no store accepts.
    async fn apply(&self, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>>;

    /// Returns all flows as of one moment, by name and id. The store reads them as the caller consumes the stream.
    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>>;

    /// Returns at most `limit` retained revisions of a flow, newest first, whether the flow exists or was deleted. With
    /// `before`, returns only revisions below it; that revision need not exist. Returns an empty list if the id was
    /// never used.
    async fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>>;

    /// Returns one revision with its document. A deletion contains the document that was deleted. Returns `None` if the
    /// flow never had the revision, or if it is no longer retained.
    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>>;

    /// Returns every retained revision of every flow, existing or deleted, as of one moment, by id and revision. The
    /// store reads them as the caller consumes the stream.
    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>>;

    /// Returns the last deletion of each deleted flow that can be restored, latest first. Deletions with the same time
    /// are ordered by id.
    async fn deleted(&self) -> Result<Vec<Record<Head>>>;

    /// Returns at most `limit` changes after a position, with their documents. Does not wait for changes.
    ///
    /// # Errors
    /// [`RepositoryError::Gone`](super::RepositoryError::Gone) if a change after the position is no longer retained, or
    /// if the cursor does not belong to this store.
    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>>;

    /// Returns the same page as [`changes`](Self::changes), without reading documents.
    ///
    /// # Errors
    /// As [`changes`](Self::changes).
    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>>;

    /// Waits until there may be a change after this cursor. Call [`changes`](Self::changes) afterwards, and wait again
    /// if it returns none.
    ///
    /// Returns without waiting for a change if `changes` would fail: for a cursor that is unknown or no longer
    /// retained, and after [`close`](Self::close), which wakes all waiting readers. It may return early for no reason.
    /// Dropping the future is safe.
    async fn changed(&self, after: FeedCursor);

    /// Returns the condition of the storage. Never fails, and returns within a few seconds. After
    /// [`close`](Self::close) the status is [`Status::Unavailable`](super::Status::Unavailable).
    async fn health(&self) -> Health;

    /// Returns the metrics of the backend. Reads only counters in memory: it neither waits nor fails, also while the
    /// storage is unreachable and after [`close`](Self::close). The default is none.
    fn measurements(&self) -> Vec<Measurement> {
        Vec::new()
    }

    /// Returns how far the feed is behind the committed changes. Queries the storage, so callers should set a timeout.
    /// The default is no lag, which is right for a backend that publishes every change when it commits it.
    ///
    /// # Errors
    /// [`RepositoryError::Unavailable`](super::RepositoryError::Unavailable) if the storage is unreachable.
    async fn feed_lag(&self) -> Result<FeedLag> {
        Ok(FeedLag::default())
    }

    /// Finishes the writes in progress and releases connections and locks, also if it returns an error.
    ///
    /// Afterwards every other call that returns a `Result`, and every stream, fails with
    /// [`RepositoryError::Unavailable`](super::RepositoryError::Unavailable). [`feed_lag`](Self::feed_lag) may return
    /// no lag instead. A second call has no effect and returns `Ok`.
    ///
    /// # Errors
    /// [`RepositoryError::Incomplete`](super::RepositoryError::Incomplete) if other programs do not find all
    /// acknowledged changes where they expect them.
    async fn close(&self) -> Result<()>;
}
