//! The repository: one interface, and the promises that every backend keeps.
//!
//! # The contract
//!
//! 1. **Atomic and durable.** A call has happened entirely when it returns `Ok`, and survives a crash; when it returns
//!    an error nothing of it has happened, except after [`RepositoryError::Unavailable`] from a write that says so: a lost
//!    connection may leave its outcome open. A caller who drops the future cancels nothing that has begun.
//! 2. **No transactions, preconditions.** Several changes are one [`apply`](FlowRepository::apply), all or nothing; who
//!    must not overwrite says what he expects to find with a [`Precondition`], checked under the same lock as the write.
//! 3. **Revisions.** A flow's [`Revision`] grows by one with each change to what people wrote, its deletion included,
//!    and never starts again for an id that existed before. A change to runtime members alone is stored and makes none. A
//!    flow that [moves here](Change::Adopt) from another store goes on from the revision that it had there.
//! 4. **Documents come back equal**: every member and every number, known or not, in any order.
//! 5. **Order is total** and the same everywhere: names compare by bytes (UTF-8), equal keys by id; see
//!    [`Sort`].
//! 6. **No clock, no chance.** Times and ids are arguments; times have microseconds. `created_at` is set once,
//!    `updated_at` moves with the revision. A flow that moves here keeps both.
//! 7. **Absent is `None`**, errors are outcomes a caller can act on; see [`RepositoryError`].
//! 8. **Nothing is forgotten.** Every change leaves a [`Record`] with its document: one per revision in the
//!    [`history`](FlowRepository::history) of its flow, deleted or not, as long as [`Retention`] keeps it; and one more
//!    per engine report in the [feed](FlowRepository::changes). Only a report that somebody edits into a JSON file by hand
//!    is shown without a record.
//! 9. **The feed is ordered and gapless.** Who goes on from the cursor that he got last sees each change once, in one
//!    order, never one that may still be rolled back; the changes of one call follow each other. Within a flow the order
//!    is that of the revisions. Who has been away for longer than changes are kept is told so
//!    ([`RepositoryError::Gone`]). A report is dropped from the past when its flow has changed again: who copies the
//!    documents ends with the same copy.
//!
//! Flows that a document calls ephemeral are none of a backend's business; what a decorator makes of these promises for
//! them is written in [`ephemeral`](crate::ephemeral).
//!
//! The functions in `strom::testkit` (feature `testkit`) hold a backend to it.

mod change;
mod change_list;
mod chronicle;
mod cursor;
mod error;
mod measurement;
mod query;
mod record;

pub use change::{Applied, Author, Change, Outcome, Precondition, Revision, Stamp};
pub use change_list::ChangeList;
pub(crate) use change_list::check_ids;
pub use chronicle::{Chronicle, InvalidChronicle};
pub use cursor::{Cursor, InvalidCursor};
pub use error::{OpenError, RepositoryError, Violation, ViolationKind};
pub use measurement::{FeedLag, Measurement, MeasurementKind};
pub use query::{Containment, Filter, InvalidQuery, ListQuery, NamePart, Page, Sort, SortField, SortKey};
pub use record::{Feed, FeedCursor, InvalidFeedCursor, Operation, Record, Retention, Since, UnknownOperation};

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use futures::stream::BoxStream;

use crate::flow::{Flow, FlowId, Head};

/// The result of a repository call.
pub type Result<T> = std::result::Result<T, RepositoryError>;

/// Where flows live. Used as `Arc<dyn FlowRepository>`; see the [module](self) for what it promises.
#[async_trait]
pub trait FlowRepository: Debug + Send + Sync + 'static {
    /// One flow, or `None` when there is no such flow.
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>>;

    /// Those of these flows that exist, in any order, read as the caller consumes them. Each is as of some moment of the
    /// reading.
    fn get_each(&self, ids: Vec<FlowId>) -> BoxStream<'static, Result<Stored<Flow>>>;

    /// The flows that pass the filter, sorted, at most one page of them, with their documents.
    async fn list(&self, query: &ListQuery) -> Result<Page<Stored<Flow>>>;

    /// As [`list`](Self::list), without the documents, which are then not read.
    async fn summaries(&self, query: &ListQuery) -> Result<Page<Stored<Head>>>;

    /// Makes all the changes or none, and says for each, in their order, what came of it.
    ///
    /// # Errors
    /// [`RepositoryError::Conflict`] with every change whose precondition does not hold, in their order;
    /// [`RepositoryError::RepeatedId`] when two changes concern one flow.
    async fn apply(&self, changes: Vec<Change>, stamp: Stamp) -> Result<Vec<Applied>>;

    /// As [`apply`](Self::apply), for changes that are too many to be in memory: they are read as they are made, and may be
    /// read again. By default they are all read first.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); [`RepositoryError::Failed`] when the list cannot be read.
    async fn apply_all(&self, changes: Arc<dyn ChangeList>, stamp: Stamp) -> Result<Vec<Applied>> {
        let read = (0..changes.len()).map(|index| changes.change(index)).collect::<io::Result<_>>();
        self.apply(read.map_err(|error| RepositoryError::Failed(Box::new(error)))?, stamp).await
    }

    /// Every flow as of one moment, sorted by name and id, read as the caller consumes it.
    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>>;

    /// The revisions of a flow that are kept, newest first, whether the flow is there or was deleted: at most `limit` of
    /// those before `before`. Empty for a flow that never was.
    async fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>>;

    /// One revision with its document; that of a deletion has the document that was deleted. `None` when the flow never
    /// had it, or it is no longer kept.
    async fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>>;

    /// Every revision that is kept of every flow, there or deleted, with its document and as of one moment, read as the caller
    /// consumes it: flow after flow in the order of ids, each one's in the order of its revisions.
    fn histories(&self) -> BoxStream<'static, Result<Record<Flow>>>;

    /// The deletions of the flows that are not there now and can be restored, the latest first.
    async fn deleted(&self) -> Result<Vec<Record<Head>>>;

    /// Makes a flow, deleted or not, what it was at a revision, which is a change like any other: a new revision where
    /// the content differs. `None` when there is no such revision.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    async fn restore(
        &self,
        id: FlowId,
        revision: Revision,
        precondition: Precondition,
        stamp: Stamp,
    ) -> Result<Option<Applied>> {
        let Some(record) = self.revision(id, revision).await? else { return Ok(None) };
        // What was at a revision never changes, so nothing can come in between.
        let applied = self.apply(vec![Change::Restore(record.item, precondition)], stamp).await?;
        Ok(applied.into_iter().next())
    }

    /// At most `limit` changes, with their documents. Does not wait for any.
    ///
    /// # Errors
    /// [`RepositoryError::Gone`] when changes behind the place are no longer kept, or it is none of this store.
    async fn changes(&self, since: Since, limit: u32) -> Result<Feed<Flow>>;

    /// As [`changes`](Self::changes), without the documents.
    async fn change_summaries(&self, since: Since, limit: u32) -> Result<Feed<Head>>;

    /// Returns when there may be a change behind this place, be it for an error that asking would show. Whoever waits
    /// asks again, and waits again when there was none.
    async fn changed(&self, after: FeedCursor);

    /// How the storage is. Does not fail and does not wait long.
    async fn health(&self) -> Health;

    /// What the backend measures of itself, as of now. Looks at counters in memory alone: it neither waits nor fails, also
    /// while the storage is away and after the close. None by default.
    fn measurements(&self) -> Vec<Measurement> {
        Vec::new()
    }

    /// How far the feed is behind what is committed. Asks the storage, and may wait for it; whoever cannot wait sets a time.
    /// By default nothing, which is right for a backend whose feed has every change as soon as it is committed.
    ///
    /// # Errors
    /// When the storage does not answer.
    async fn feed_lag(&self) -> Result<FeedLag> {
        Ok(FeedLag::default())
    }

    /// Finishes what is under way and lets go of connections and locks. Calls after it fail.
    async fn close(&self);
}

/// A flow, or its head, with what the store keeps beside it.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    /// The flow or its head.
    pub item: T,
    /// Which change made it what it is.
    pub version: Version,
}

impl Stored<Flow> {
    /// The same without the document.
    pub fn to_head(&self) -> Stored<Head> {
        Stored { item: self.item.head().clone(), version: self.version.clone() }
    }
}

/// Which change made a flow what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Counts the changes to what people wrote.
    pub revision: Revision,
    /// When the flow was created.
    pub created_at: DateTime<Utc>,
    /// When this revision was made.
    pub updated_at: DateTime<Utc>,
    /// Who made it.
    pub author: Author,
}

impl Version {
    /// The version of a flow that moves here from another store, where its id is free and `last` is the last revision that
    /// was given to it.
    ///
    /// # Errors
    /// [`RepositoryError::Failed`] for a revision that is none: 0, or one above [`Revision::HIGHEST_ADOPTED`].
    pub(crate) fn adopted(&self, last: Option<Revision>) -> Result<Self> {
        let Self { revision, created_at, updated_at, author } = self.clone();
        if !(Revision::FIRST..=Revision::HIGHEST_ADOPTED).contains(&revision) {
            return Err(RepositoryError::Failed(format!("{revision} is not the revision of a flow").into()));
        }
        let revision = last.map_or(revision, |last| revision.max(last.next()));
        Ok(Self { revision, created_at: created_at.trunc_subsecs(6), updated_at: updated_at.trunc_subsecs(6), author })
    }
}

/// How a storage is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `postgresql` or `json`.
    pub kind: &'static str,
    /// Where it is: a path, or a URL without its password.
    pub location: String,
    /// Whether it answers.
    pub status: Status,
    /// For how long it has been so.
    pub for_the_last: Duration,
    /// Whether it was opened to read only, and so refuses every change with [`RepositoryError::ReadOnlyInstance`].
    pub read_only: bool,
    /// What somebody should look at while the storage goes on: a flow that cannot be read, a file that cannot be written.
    pub faults: Vec<String>,
}

/// Whether a storage answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It does, and its schema is up to date.
    Ready,
    /// It does not, and this is why.
    Unavailable(String),
}
