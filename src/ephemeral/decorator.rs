//! The decorator that adds ephemeral flows to a repository.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::scratch::Scratch;
use crate::repository::FlowRepository;

/// The default maximum size of all ephemeral documents in bytes: 64 MiB.
pub const MEMORY_BUDGET: u64 = 64 * 1024 * 1024;

/// A repository that keeps ephemeral flows in memory; see the [module](crate::ephemeral). Clones share them.
///
/// ```
/// use std::sync::Arc;
///
/// use chrono::Utc;
/// use strom_store::Flow;
/// use strom_store::ephemeral::Ephemeral;
/// use strom_store::repository::{Author, Change, FlowRepository, FlowRepositoryExt, Stamp};
/// use strom_store::storage::Storage;
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("flows.json");
/// # let location = path.to_str().unwrap();
/// let store = Storage::parse(location)?.open(Utc::now()).await?;
/// let flows = Ephemeral::over(Arc::clone(&store), Utc::now());
///
/// let id = uuid::Uuid::new_v4();
/// let flow = Flow::parse(&format!(r#"{{"id": "{id}", "name": "try", "properties": {{"ephemeral": true}}}}"#))?;
/// flows.apply_one(Change::create(flow), Stamp::new(Utc::now(), Author::new("docs"))).await?;
///
/// assert!(flows.get(id.into()).await?.is_some());
/// assert!(store.get(id.into()).await?.is_none(), "it is not in the file");
/// # flows.close().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ephemeral {
    pub(super) store: Arc<dyn FlowRepository>,
    pub(super) scratch: Arc<Scratch>,
}

impl Ephemeral {
    /// Decorates this repository with a memory budget of [`MEMORY_BUDGET`]. Revisions start from `now`, which must be
    /// later than in the previous process.
    pub fn over(store: Arc<dyn FlowRepository>, now: DateTime<Utc>) -> Self {
        Self::with_budget(store, now, MEMORY_BUDGET)
    }

    /// Like [`over`](Self::over), with a memory budget in bytes of documents.
    pub fn with_budget(store: Arc<dyn FlowRepository>, now: DateTime<Utc>, bytes: u64) -> Self {
        Self { store, scratch: Arc::new(Scratch::new(now, bytes)) }
    }

    /// Returns the same ephemeral flows on top of a copy of the repository, such as the last-known copy, for an
    /// outage.
    pub fn with_store(&self, copy: Arc<dyn FlowRepository>) -> Self {
        Self { store: copy, scratch: Arc::clone(&self.scratch) }
    }
}
