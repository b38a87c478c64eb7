//! Ephemeral flows: those whose document says `"properties": {"ephemeral": true}` are in memory alone.
//!
//! They are scratch flows of an engine or an operator. [`Ephemeral`] decorates any repository: it serves such flows beside
//! those that are stored, by the same calls and under the same preconditions, never gives one to the storage to
//! write, and has forgotten them when the process ends. All other flows go through it as they are.
//!
//! | file | what |
//! |---|---|
//! | `scratch` | the flows in memory: what readers see, what changes make of it, how much there may be |
//! | `plan` | which part of a call is for memory and which for the storage |
//! | `apply` | a call: both parts or none |
//! | `turns` | who changes a flow has it to himself |
//! | `reading`, `each` | the two as one repository |
//!
//! # What the contract says of them
//!
//! It holds (see [`repository`](crate::repository)), but for this:
//!
//! - **Durable** (1) they are not: that is what they are for. A call is all or nothing over memory and storage.
//! - **Revisions** (3) count by one, and begin at a number that no flow ever had: above 2^40, made of the time at
//!   which the process started, and below 2^53, the last that JavaScript counts to. A stored flow counts from 1. So no
//!   revision means two contents, in this process or after it, and an `If-Match` never holds for what its sender has not
//!   seen. Where a flow goes from memory into the storage its revision is a smaller number than before.
//! - **History** (8) has their current revision, on top of what the storage may know of the id; the others are
//!   forgotten, and so is a deleted one.
//! - **The feed** (9) and **snapshots** tell of what is stored. A flow that becomes ephemeral is deleted there, one that
//!   is stored again is created. So exports, copies and whoever follows the feed have none, and streams of events say
//!   nothing of them: a feed that can be resumed cannot be made of what is gone after a restart.
//!
//! # From one to the other
//!
//! A stored flow that is saved with `ephemeral: true` is deleted from the storage, whose history keeps it, and lives on
//! in memory with its time of creation. An ephemeral flow that is saved without it is created in the storage, then
//! leaves memory; for the storage it is a new flow, and its time of creation is that of the save. To the caller both are
//! replacements.
//!
//! What somebody else has stored with `ephemeral: true`, by SQL, by hand or by an older Strom, is served as it is stored,
//! and an engine may report to it; the next change to its content by this interface takes it over into memory.
//!
//! # With a storage that others write to
//!
//! Each instance has ephemeral flows of its own. Nobody can keep another one from storing a flow under the id of one of
//! ours; then ours is the one that is shown here, everywhere and once, until it is deleted. Saved without
//! `ephemeral: true` it replaces the other, which the history keeps.
//!
//! While the storage is away ephemeral flows are served and changed as ever, except that none can be created: nobody knows
//! whether the id is free. Nor can what is in the storage and what is in memory be moved.
//!
//! What it refuses: more than a number of bytes of documents, by default [`ROOM`]; and to decorate a repository that was
//! opened to read only, which has to stay undecorated to refuse every change.

mod apply;
mod each;
mod plan;
mod reading;
mod scratch;
mod turns;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use self::scratch::Scratch;
use crate::repository::FlowRepository;

/// So many bytes the documents of ephemeral flows may have together, unless another number is given: 64 MiB.
pub const ROOM: u64 = 64 * 1024 * 1024;

/// A repository whose ephemeral flows are in memory; see the [module](self) for what that means. A clone shares them.
///
/// ```
/// use std::sync::Arc;
/// use strom::ephemeral::Ephemeral;
/// use strom::repository::{Author, Change, FlowRepository, Stamp};
/// use strom::storage::Storage;
/// use strom::{Flow, clock};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("flows.json");
/// # let place = path.to_str().unwrap();
/// let store = Storage::parse(place)?.open(clock::now()).await?;
/// let flows = Ephemeral::over(Arc::clone(&store), clock::now());
///
/// let id = clock::new_id();
/// let flow = Flow::parse(&format!(r#"{{"id": "{id}", "name": "try", "properties": {{"ephemeral": true}}}}"#))?;
/// flows.apply(vec![Change::create(flow)], Stamp::new(clock::now(), Author::new("docs"))).await?;
///
/// assert!(flows.get(id).await?.is_some());
/// assert!(store.get(id).await?.is_none(), "nobody finds it in the file");
/// # flows.close().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ephemeral {
    store: Arc<dyn FlowRepository>,
    scratch: Arc<Scratch>,
}

impl Ephemeral {
    /// Decorates this repository, with room for [`ROOM`]. `now` is what revisions begin with: it must be later than that of
    /// the process before.
    pub fn over(store: Arc<dyn FlowRepository>, now: DateTime<Utc>) -> Self {
        Self::with_room(store, now, ROOM)
    }

    /// As [`over`](Self::over), with room for so many bytes of documents.
    pub fn with_room(store: Arc<dyn FlowRepository>, now: DateTime<Utc>, bytes: u64) -> Self {
        Self { store, scratch: Arc::new(Scratch::new(now, bytes)) }
    }

    /// The same ephemeral flows beside those of a copy of the repository, such as the last known ones, for the time when
    /// it is away.
    pub fn beside(&self, copy: Arc<dyn FlowRepository>) -> Self {
        Self { store: copy, scratch: Arc::clone(&self.scratch) }
    }
}
