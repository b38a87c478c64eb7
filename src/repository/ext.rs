//! Shorter forms of the calls of a repository.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::change::{Applied, Change};
use super::error::{RepositoryError, Result};
use super::feed::Since;
use super::flow_repository::FlowRepository;
use super::precondition::Precondition;
use super::record::Record;
use super::revision::Revision;
use super::save::{self, Saved};
use super::stamp::Stamp;
use super::stored::Stored;
use crate::flow::{Flow, FlowId};

/// The number of changes that [`FlowRepositoryExt::follow`] reads at once.
const PAGE: u32 = 100;

/// Shorter forms of the calls of every [`FlowRepository`].
///
/// ```
/// # use strom_store::storage::Storage;
/// use strom_store::repository::{Author, Change, FlowRepositoryExt, Precondition, Revision, Stamp};
/// use strom_store::{Draft, FlowId};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("flows.json");
/// # let flows = Storage::parse(path.to_str().unwrap())?.open(chrono::Utc::now()).await?;
/// let id = FlowId::from(uuid::Uuid::new_v4());
/// let stamp = || Stamp::new(chrono::Utc::now(), Author::new("docs"));
/// for name in ["Studio 1", "Studio 2"] {
///     let flow = Draft::parse(&format!(r#"{{"name": "{name}"}}"#))?.into_flow(id)?;
///     flows.apply_one(Change::Put(flow, Precondition::Any), stamp()).await?;
/// }
/// let restored = flows.restore(id, Revision::FIRST, Precondition::Present, stamp()).await?;
/// assert_eq!(restored.unwrap().version.unwrap().revision, Revision::new(3));
/// # flows.close().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait FlowRepositoryExt: FlowRepository {
    /// Makes all of these changes or none.
    ///
    /// # Errors
    /// As [`FlowRepository::apply`].
    fn apply_all(&self, changes: Vec<Change>, stamp: Stamp) -> impl Future<Output = Result<Vec<Applied>>> + Send {
        self.apply(Arc::new(changes), stamp)
    }

    /// Makes one change.
    ///
    /// # Errors
    /// As [`FlowRepository::apply`].
    fn apply_one(&self, change: Change, stamp: Stamp) -> impl Future<Output = Result<Applied>> + Send {
        save::apply_one(self, change, stamp)
    }

    /// Stores a document as an editor sends it: what people write in it replaces what is stored, and no report of an
    /// engine is undone. [`Change::Put`] stores a document exactly, runtime members included.
    ///
    /// # Errors
    /// As [`FlowRepository::get`] and [`FlowRepository::apply`]. [`RepositoryError::Busy`] if other writers changed the
    /// flow during every attempt.
    fn save(&self, flow: Flow, precondition: Precondition, stamp: Stamp) -> impl Future<Output = Result<Saved>> + Send {
        save::save(self, flow, precondition, stamp)
    }

    /// Returns the document to store if an editor replaces `current` with `flow`, for [`Precondition::exactly`]:
    ///
    /// - `flow`, if both have the same content: then the caller reports.
    /// - `flow` with the runtime members of `current`, if an engine has reported since its revision was stored.
    /// - `flow` otherwise: there is no report to undo.
    ///
    /// # Errors
    /// As [`FlowRepository::revision`].
    fn replacement(&self, flow: &Flow, current: &Stored<Flow>) -> impl Future<Output = Result<Flow>> + Send {
        save::replacement(self, flow, current)
    }

    /// Restores what people wrote in a flow at a revision, whether the flow exists or was deleted. Runtime members of
    /// an existing flow stay as the engine has reported them. The restore is a change like any other: it creates a
    /// revision if the content differs. Returns `None` if the revision is unknown.
    ///
    /// # Errors
    /// As [`FlowRepository::revision`] and [`FlowRepository::apply`].
    fn restore(
        &self,
        id: FlowId,
        revision: Revision,
        precondition: Precondition,
        stamp: Stamp,
    ) -> impl Future<Output = Result<Option<Applied>>> + Send {
        async move { Ok(self.restore_document(id, revision, precondition, stamp).await?.map(|saved| saved.applied)) }
    }

    /// As [`restore`](Self::restore), and also returns the document as it was stored.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    fn restore_document(
        &self,
        id: FlowId,
        revision: Revision,
        precondition: Precondition,
        stamp: Stamp,
    ) -> impl Future<Output = Result<Option<Saved>>> + Send {
        save::restore(self, id, revision, precondition, stamp)
    }

    /// Returns the change feed after a position as a stream of records with documents. The stream waits for further
    /// changes and never ends without an error.
    ///
    /// A reader that stores the [cursor](Record::cursor) of the last record that it has processed can resume after it,
    /// also in another process. With [`Since::Now`] the position is that of the first poll. To miss nothing between
    /// reading all flows and following the feed, take the position first:
    ///
    /// ```
    /// # use strom_store::storage::Storage;
    /// use futures::TryStreamExt;
    /// use strom_store::repository::{Author, Change, FlowRepositoryExt, Operation, Since, Stamp};
    /// use strom_store::{Draft, FlowId};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("flows.json");
    /// # let flows = Storage::parse(path.to_str().unwrap())?.open(chrono::Utc::now()).await?;
    /// let position = flows.change_summaries(Since::Now, 0).await?.next;
    /// let all: Vec<_> = flows.snapshot().try_collect().await?;
    /// assert!(all.is_empty());
    ///
    /// let flow = Draft::parse(r#"{"name": "Studio 1"}"#)?.into_flow(FlowId::from(uuid::Uuid::new_v4()))?;
    /// flows.apply_one(Change::create(flow), Stamp::new(chrono::Utc::now(), Author::new("docs"))).await?;
    ///
    /// let mut feed = flows.follow(Since::After(position));
    /// let record = feed.try_next().await?.expect("the feed waits for the next change");
    /// assert_eq!((record.operation, record.item.head().name.as_str()), (Operation::Create, "Studio 1"));
    /// # drop(feed);
    /// # flows.close().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first error of [`FlowRepository::changes`] is the last item. After an error that
    /// [`is_retryable`](super::RepositoryError::is_retryable), resume from the cursor of the last record. After
    /// [`RepositoryError::Gone`](super::RepositoryError::Gone), read all flows again.
    fn follow(&self, since: Since) -> BoxStream<'_, Result<Record<Flow>>> {
        let pages = stream::try_unfold(since, async move |since| {
            let page = self.changes(since, PAGE).await?;
            if page.changes.is_empty() {
                self.changed(page.next).await;
            }
            Ok::<_, RepositoryError>(Some((stream::iter(page.changes).map(Ok), Since::After(page.next))))
        });
        pages.try_flatten().boxed()
    }
}

impl<R: FlowRepository + ?Sized> FlowRepositoryExt for R {}
