//! The repository that the server serves: a backend and its decorators. Only this file decides their order.
//!
//! ```text
//! route ─ Metrics ─ Ephemeral ─ recorder ─ backend      PostgreSQL or JSON
//!             └──── Ephemeral ─ last-known copy         reads, while the backend is unreachable
//! ```
//!
//! `Metrics` is the outermost layer, so that it counts what a request waits for. `Ephemeral` is above the backend, so that
//! ephemeral flows also exist during an outage; both branches share them. The recorder adds acknowledged changes to the
//! last-known copy. It is below `Ephemeral`, whose calls for one flow run one after the other, and which hides ephemeral
//! flows.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use strom_store::FlowRepository;
use strom_store::ephemeral::Ephemeral;
use strom_store::last_known::LastKnown;

use crate::commit::Commit;
use crate::metrics::Metrics;

/// A backend with the decorators of the server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stack {
    repository: Arc<dyn FlowRepository>,
    fallback: Option<Fallback>,
    metrics: Arc<Metrics>,
    commit: Commit,
}

/// The source of reads while the backend is unreachable.
#[derive(Debug, Clone)]
pub struct Fallback {
    /// The age and extent of the copy.
    pub last_known: LastKnown,
    /// The copy and the ephemeral flows.
    pub repository: Arc<dyn FlowRepository>,
}

/// The layers of a [`Stack`].
#[derive(Debug)]
pub struct Layers {
    backend: Arc<dyn FlowRepository>,
    last_known: Option<LastKnown>,
    ephemeral_since: Option<DateTime<Utc>>,
    commit: Commit,
}

impl Layers {
    /// Reads from this copy of the backend while the backend is unreachable.
    #[must_use]
    pub fn last_known(self, last_known: LastKnown) -> Self {
        Self { last_known: Some(last_known), ..self }
    }

    /// Keeps [ephemeral flows](strom_store::ephemeral) in memory. Their revisions start at `now`.
    ///
    /// Not for a backend that was opened read-only: memory would accept changes that the backend rejects.
    #[must_use]
    pub fn ephemeral(self, now: DateTime<Utc>) -> Self {
        Self { ephemeral_since: Some(now), ..self }
    }

    /// The commit that the program was built from, for metrics and `GET /api/version`.
    #[must_use]
    pub fn commit(self, commit: Commit) -> Self {
        Self { commit, ..self }
    }

    /// Puts the layers on top of each other.
    pub fn build(self) -> Stack {
        let Self { backend, last_known, ephemeral_since, commit } = self;
        let backend =
            last_known.as_ref().map_or_else(|| Arc::clone(&backend), |copy| copy.recorded(Arc::clone(&backend)));
        let copy = last_known.clone().map(|copy| Arc::new(copy) as Arc<dyn FlowRepository>);
        let (repository, copy) = match ephemeral_since {
            Some(now) => {
                let ephemeral = Ephemeral::over(backend, now);
                let copy = copy.map(|copy| Arc::new(ephemeral.with_store(copy)) as Arc<dyn FlowRepository>);
                (Arc::new(ephemeral) as Arc<dyn FlowRepository>, copy)
            }
            None => (backend, copy),
        };
        let fallback = last_known.zip(copy).map(|(last_known, repository)| Fallback { last_known, repository });
        let metrics = Arc::new(Metrics::of(repository).built_from(commit.hash));
        Stack { repository: metrics.observed(), fallback, metrics, commit }
    }
}

impl Stack {
    /// Starts with a backend and no decorator but the metrics.
    pub fn over(backend: Arc<dyn FlowRepository>) -> Layers {
        Layers { backend, last_known: None, ephemeral_since: None, commit: Commit::UNKNOWN }
    }

    /// The outermost layer: what routes call.
    pub fn repository(&self) -> &Arc<dyn FlowRepository> {
        &self.repository
    }

    /// The source of reads while the backend is unreachable.
    pub fn fallback(&self) -> Option<&Fallback> {
        self.fallback.as_ref()
    }

    /// The counters of all calls.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The commit that the program was built from.
    pub fn commit(&self) -> Commit {
        self.commit
    }
}

impl From<Layers> for Stack {
    fn from(layers: Layers) -> Self {
        layers.build()
    }
}

impl From<Arc<dyn FlowRepository>> for Stack {
    fn from(backend: Arc<dyn FlowRepository>) -> Self {
        Self::over(backend).build()
    }
}

impl From<LastKnown> for Stack {
    /// The repository that the copy follows, with the copy.
    fn from(last_known: LastKnown) -> Self {
        Self::over(Arc::clone(last_known.followed())).last_known(last_known).build()
    }
}
