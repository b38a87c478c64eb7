//! Selects the flows of the copy: all with `auto_restart`, then the most recently changed ones that fit.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;

use chrono::{DateTime, Utc};
use rpds::HashTrieMapSync;

use crate::flow::{Flow, FlowId};
use crate::repository::Stored;

/// Flows by id. Cheap to clone.
pub(super) type Flows = HashTrieMapSync<FlowId, Stored<Flow>>;

/// The selected flows, and the sizes of the others.
#[derive(Debug)]
pub(super) struct Selection {
    /// The maximum size of the documents, not counting flows with `auto_restart`.
    limit: u64,
    flows: Flows,
    /// The size of the flows with `auto_restart`, which always stay.
    staying: u64,
    /// The size of the other flows.
    yielding: u64,
    /// The other flows, the least recently changed first. They are evicted in this order.
    order: BTreeSet<(DateTime<Utc>, FlowId)>,
    /// The sizes of the flows that do not fit.
    left_out: HashMap<FlowId, u64>,
    touched: HashSet<FlowId>,
}

impl Selection {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            flows: Flows::new_sync(),
            staying: 0,
            yielding: 0,
            order: BTreeSet::new(),
            left_out: HashMap::new(),
            touched: HashSet::new(),
        }
    }

    pub(super) fn flows(&self) -> &Flows {
        &self.flows
    }

    /// Whether the selection contains every flow.
    pub(super) fn is_complete(&self) -> bool {
        self.left_out.is_empty()
    }

    /// Whether the flows that were left out would fit now.
    pub(super) fn could_be_complete(&self) -> bool {
        !self.is_complete() && self.yielding + self.left_out.values().sum::<u64>() <= self.available()
    }

    /// Returns the flows that were added, replaced or removed since the last call.
    pub(super) fn take_touched(&mut self) -> HashSet<FlowId> {
        mem::take(&mut self.touched)
    }

    /// Adds or replaces a flow. Returns the flows that no longer fit.
    pub(super) fn put(&mut self, stored: Stored<Flow>) -> Vec<FlowId> {
        let (id, size) = (stored.item.id(), size_of(&stored));
        self.remove(id);
        if stored.item.head().auto_restart {
            self.staying += size;
        } else if size > self.available() {
            // A flow that can never fit evicts no others.
            self.left_out.insert(id, size);
            return Vec::new();
        } else {
            self.yielding += size;
            self.order.insert((stored.version.updated_at, id));
        }
        self.flows.insert_mut(id, stored);
        self.evict()
    }

    /// Adds or replaces a flow as it is in another selection, which may have left it out.
    pub(super) fn carry(&mut self, id: FlowId, from: &Self) {
        if let Some(stored) = from.flows.get(&id) {
            self.put(stored.clone());
        } else if let Some(size) = from.left_out.get(&id) {
            self.remove(id);
            self.left_out.insert(id, *size);
        }
    }

    /// Removes a deleted flow.
    pub(super) fn remove(&mut self, id: FlowId) {
        self.left_out.remove(&id);
        self.take(id);
    }

    fn evict(&mut self) -> Vec<FlowId> {
        let mut evicted = Vec::new();
        while self.yielding > self.available()
            && let Some(&(_, id)) = self.order.first()
        {
            if let Some(size) = self.take(id) {
                self.left_out.insert(id, size);
            }
            evicted.push(id);
        }
        evicted
    }

    fn take(&mut self, id: FlowId) -> Option<u64> {
        self.touched.insert(id);
        let stored = self.flows.get(&id)?;
        let size = size_of(stored);
        if stored.item.head().auto_restart {
            self.staying -= size;
        } else {
            self.yielding -= size;
            self.order.remove(&(stored.version.updated_at, id));
        }
        self.flows.remove_mut(&id);
        Some(size)
    }

    fn available(&self) -> u64 {
        self.limit.saturating_sub(self.staying)
    }
}

fn size_of(stored: &Stored<Flow>) -> u64 {
    stored.item.document().get().len() as u64
}

#[cfg(test)]
mod tests {
    use super::Selection;
    use crate::flow::{Flow, FlowId};
    use crate::repository::{Author, Revision, Stored, Version};

    fn id(number: u8) -> FlowId {
        uuid::Uuid::from_u128(number.into()).into()
    }

    /// Builds a flow with a document of this size that was changed at this second.
    fn flow(number: u8, bytes: usize, second: i64, auto_restart: bool) -> Stored<Flow> {
        let text = |filling: usize| {
            let (id, filling) = (id(number), "x".repeat(filling));
            format!(r#"{{"id":"{id}","name":"n","f":"{filling}","properties":{{"auto_restart":{auto_restart}}}}}"#)
        };
        let flow = Flow::parse(&text(bytes - text(0).len())).unwrap();
        assert_eq!(flow.document().get().len(), bytes);
        let at = chrono::DateTime::from_timestamp(second, 0).unwrap();
        let author = Author::new("tester");
        let version = Version { revision: Revision::FIRST, created_at: at, updated_at: at, author };
        Stored { item: flow, version }
    }

    fn ids(selection: &Selection) -> Vec<FlowId> {
        let mut ids: Vec<_> = selection.flows().keys().copied().collect();
        ids.sort();
        ids
    }

    #[test]
    fn the_longest_unchanged_evict() {
        let mut selection = Selection::new(350);
        for (number, second) in [(1, 10), (2, 30), (3, 20)] {
            selection.put(flow(number, 110, second, false));
        }
        assert!(selection.is_complete());
        selection.put(flow(4, 110, 40, false));
        assert_eq!(ids(&selection), [id(2), id(3), id(4)]);
        assert!(!selection.is_complete() && !selection.could_be_complete());
        selection.put(flow(5, 110, 5, false));
        assert_eq!(ids(&selection), [id(2), id(3), id(4)], "it is the longest unchanged itself");
        selection.put(flow(1, 110, 50, false));
        assert_eq!(ids(&selection), [id(1), id(2), id(4)], "changed by now");
        selection.put(flow(6, 351, 60, false));
        assert_eq!(ids(&selection), [id(1), id(2), id(4)], "no flow is dropped for one that does not fit anyway");
    }

    #[test]
    fn flows_that_start_by_themselves_always_stay() {
        let mut selection = Selection::new(300);
        selection.put(flow(1, 120, 90, false));
        for number in 2..6 {
            selection.put(flow(number, 120, i64::from(number), true));
        }
        assert_eq!(ids(&selection), [2, 3, 4, 5].map(id), "though they are larger than the limit");
        assert!(!selection.is_complete());
        selection.put(flow(5, 120, 100, false));
        assert_eq!(ids(&selection), [2, 3, 4].map(id), "this one does not start by itself any more");
    }

    #[test]
    fn room_for_the_rest_is_noticed() {
        let mut selection = Selection::new(300);
        for number in 1..4 {
            selection.put(flow(number, 120, number.into(), false));
        }
        assert!(!selection.is_complete() && !selection.could_be_complete());
        selection.remove(id(3));
        assert!(selection.could_be_complete());
        selection.remove(id(1));
        assert!(selection.is_complete() && !selection.could_be_complete(), "what was left out is gone, too");
        assert_eq!(selection.take_touched().len(), 3);
        selection.put(flow(9, 120, 9, false));
        assert_eq!(selection.take_touched().into_iter().collect::<Vec<_>>(), [id(9)]);
    }
}
