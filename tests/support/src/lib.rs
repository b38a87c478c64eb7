//! Shared helpers of the tests: databases, files, networks and loads.

#![allow(missing_docs, clippy::missing_errors_doc, reason = "only the tests of this workspace use it")]

pub mod blocked;
pub mod cable;
pub mod clock;
pub mod cluster;
pub mod eventually;
pub mod exposition;
pub mod given_table;
pub mod json;
pub mod ledger;
pub mod load;
pub mod mount;
pub mod pair;
pub mod pgbouncer;
pub mod postgres;
pub mod proxy;
pub mod samples;
pub mod tls;

use std::ops::Deref;
use std::sync::Arc;

use strom_store::FlowRepository;

/// A repository and the directory or database that is removed with it.
pub struct Opened<T> {
    repository: Arc<dyn FlowRepository>,
    _resources: T,
}

impl<T> Opened<T> {
    /// Decorates the repository.
    pub fn decorated(self, by: impl FnOnce(Arc<dyn FlowRepository>) -> Arc<dyn FlowRepository>) -> Self {
        Self { repository: by(self.repository), ..self }
    }
}

impl<T> Deref for Opened<T> {
    type Target = Arc<dyn FlowRepository>;

    fn deref(&self) -> &Self::Target {
        &self.repository
    }
}
