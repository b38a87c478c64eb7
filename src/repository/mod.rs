//! The repository: one interface, and the promises that every backend keeps.
//!
//! # The contract
//!
//! 1. **Atomic and durable.** A call has happened entirely when it returns `Ok`, and survives a crash; when it returns
//!    an error nothing of it has happened, except after [`RepositoryError::Unavailable`] from a write, whose outcome a
//!    lost connection may leave open. A caller who drops the future cancels nothing that has begun.
//! 2. **No transactions, preconditions.** Several changes are one [`apply`](FlowRepository::apply), all or nothing; who
//!    must not overwrite says what he expects to find with a [`Precondition`], checked under the same lock as the write.
//! 3. **Revisions.** A flow's [`Revision`] grows by one with each change to what people wrote, its deletion included,
//!    and never starts again for an id that existed before. A change to runtime members alone is stored and makes none.
//! 4. **Documents come back equal**: every member and every number, known or not, in any order.
//! 5. **Order is total** and the same everywhere: names compare by bytes (UTF-8), equal keys by id; see
//!    [`Sort`].
//! 6. **No clock, no chance.** Times and ids are arguments; times have microseconds. `created_at` is set once,
//!    `updated_at` moves with the revision.
//! 7. **Absent is `None`**, errors are outcomes a caller can act on; see [`RepositoryError`].
//!
//! The functions in `strom::testkit` (feature `testkit`) hold a backend to it. What is *not* here yet: history, restore
//! and the change feed. They need nothing that is not kept already: a revision, a time and an author per change.

mod change;
mod cursor;
mod error;
mod query;

pub use change::{Applied, Author, Change, Outcome, Precondition, Revision, Stamp};
pub use cursor::{Cursor, InvalidCursor};
pub use error::{OpenError, RepositoryError, Violation, ViolationKind};
pub use query::{Containment, Filter, InvalidQuery, ListQuery, NamePart, Page, Sort, SortField, SortKey};

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;

use crate::flow::{Flow, FlowId, Head};

/// The result of a repository call.
pub type Result<T> = std::result::Result<T, RepositoryError>;

/// Where flows live. Used as `Arc<dyn FlowRepository>`; see the [module](self) for what it promises.
#[async_trait]
pub trait FlowRepository: Debug + Send + Sync + 'static {
    /// One flow, or `None` when there is no such flow.
    async fn get(&self, id: FlowId) -> Result<Option<Stored<Flow>>>;

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

    /// Every flow as of one moment, sorted by name and id, read as the caller consumes it.
    fn snapshot(&self) -> BoxStream<'static, Result<Stored<Flow>>>;

    /// How the storage is. Does not fail and does not wait long.
    async fn health(&self) -> Health;

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
}

/// Whether a storage answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It does, and its schema is up to date.
    Ready,
    /// It does not, and this is why.
    Unavailable(String),
}
