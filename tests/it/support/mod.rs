//! What the tests stand on: databases and files of their own.

pub(crate) mod blocked;
pub(crate) mod cable;
pub(crate) mod cluster;
pub(crate) mod exposition;
pub(crate) mod json;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod tls;

use std::ops::Deref;
use std::sync::Arc;

use strom::FlowRepository;

/// A repository, and what goes away with it: its directory or its database.
pub(crate) struct Opened<T> {
    repository: Arc<dyn FlowRepository>,
    _place: T,
}

impl<T> Opened<T> {
    /// The same, seen through a decorator.
    pub(crate) fn decorated(self, by: impl FnOnce(Arc<dyn FlowRepository>) -> Arc<dyn FlowRepository>) -> Self {
        Self { repository: by(self.repository), ..self }
    }
}

impl<T> Deref for Opened<T> {
    type Target = Arc<dyn FlowRepository>;

    fn deref(&self) -> &Self::Target {
        &self.repository
    }
}
