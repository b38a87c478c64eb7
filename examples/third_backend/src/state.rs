//! The flows and tombstones at one point in time.

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use strom_store::repository::{ListQuery, Result};
use strom_store::repository::{Page, Revision, Stored};
use strom_store::{Flow, FlowId, listing};

use crate::log::Log;

/// Everything that the repository stores. A clone is cheap.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) flows: RedBlackTreeMapSync<FlowId, Stored<Flow>>,
    /// The last revision of each deleted flow. A flow that is created again continues from it, also when its history
    /// has expired.
    pub(crate) tombstones: HashTrieMapSync<FlowId, Revision>,
    pub(crate) log: Log,
}

impl State {
    /// Returns a state without flows.
    pub(crate) fn new(log: Log) -> Self {
        Self { flows: RedBlackTreeMapSync::new_sync(), tombstones: HashTrieMapSync::new_sync(), log }
    }

    /// Stores the flow.
    pub(crate) fn insert(&mut self, stored: Stored<Flow>) {
        let id = stored.item.id();
        self.tombstones.remove_mut(&id);
        self.flows.insert_mut(id, stored);
    }

    /// Deletes the flow, if it exists. `revision` is the revision of its deletion.
    pub(crate) fn remove(&mut self, id: FlowId, revision: Revision) {
        self.flows.remove_mut(&id);
        self.tombstones.insert_mut(id, revision);
    }

    /// Returns one page of flows. `strom_store::listing` filters, sorts and cuts.
    pub(crate) fn list(&self, query: &ListQuery) -> Result<Page<&Stored<Flow>>> {
        listing::list(self.flows.values(), query)
    }
}
