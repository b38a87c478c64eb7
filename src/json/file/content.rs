//! The parsed contents of the file.

use std::collections::HashSet;
use std::sync::Arc;

use super::member::{Member, Quarantined};
use crate::flow::{Flow, FlowId};
use crate::json::journal::Hash;

/// The contents of a file.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) flows: Vec<FileFlow>,
    pub(crate) members: Arc<[Member]>,
    pub(crate) quarantined: Arc<[Quarantined]>,
}

/// A flow and its position in the file.
#[derive(Debug)]
pub(crate) struct FileFlow {
    pub(crate) flow: Flow,
    pub(crate) hash: Hash,
    pub(crate) position: u64,
}

impl Content {
    /// Returns the contents for a store without a file.
    pub(crate) fn empty() -> Self {
        let members = [Member::Other("version".into(), "1".into()), Member::Flows];
        Self { flows: Vec::new(), members: members.into(), quarantined: [].into() }
    }

    /// Returns the ids in the file, including those of quarantined values.
    pub(crate) fn ids(&self) -> HashSet<FlowId> {
        let good = self.flows.iter().map(|found| found.flow.id());
        good.chain(self.quarantined.iter().filter_map(|bad| bad.id)).collect()
    }
}
