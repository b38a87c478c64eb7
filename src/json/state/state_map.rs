//! All flows at one point in time. No I/O.

use std::sync::Arc;

use rpds::HashTrieMapSync;

use crate::flow::{Flow, FlowId};
use crate::json::file::{Member, Quarantined};
use crate::json::journal::{Hash, Tombstone};
use crate::repository::{Precondition, Stored, Version, ViolationKind};

/// A flow, its hash, and its position in the file.
#[derive(Debug)]
pub(crate) struct FlowEntry {
    pub(crate) stored: Stored<Flow>,
    pub(crate) hash: Hash,
    /// The file lists flows in the order of their positions.
    pub(crate) position: u64,
    /// Whether the document is known to be the one of its revision, without a report.
    pub(crate) is_unreported: bool,
}

/// All flows. Cheap to clone: a write changes a copy that shares everything unchanged, and readers keep their own
/// copy.
#[derive(Debug, Clone)]
pub(crate) struct State {
    flows: HashTrieMapSync<FlowId, Arc<FlowEntry>>,
    deleted: HashTrieMapSync<FlowId, Tombstone>,
    members: Arc<[Member]>,
    quarantined: Arc<[Quarantined]>,
    next_position: u64,
}

impl FlowEntry {
    /// Whether a document has the same text as this one.
    pub(crate) fn has_text_of(&self, flow: &Flow) -> bool {
        let (a, b) = (self.stored.item.document(), flow.document());
        std::ptr::eq(a, b) || a.get() == b.get()
    }

    /// Returns why the precondition does not hold for this flow.
    pub(crate) fn violation(&self, precondition: Precondition) -> Option<ViolationKind> {
        let precondition = match precondition {
            Precondition::Unreported(None) if self.is_unreported => Precondition::Present,
            Precondition::Unreported(Some(revision)) if self.is_unreported => Precondition::At(revision),
            other => other,
        };
        precondition.violation(Some(&self.stored))
    }
}

impl State {
    /// Builds a state without flows. New flows get positions after the quarantined values.
    pub(crate) fn new(members: Arc<[Member]>, quarantined: Arc<[Quarantined]>) -> Self {
        let next_position = quarantined.iter().map(|bad| bad.position + 1).max().unwrap_or(0);
        Self {
            flows: HashTrieMapSync::new_sync(),
            deleted: HashTrieMapSync::new_sync(),
            members,
            quarantined,
            next_position,
        }
    }

    pub(crate) fn get(&self, id: FlowId) -> Option<&Arc<FlowEntry>> {
        self.flows.get(&id)
    }

    /// Returns the hash of a flow.
    pub(crate) fn hash(&self, id: FlowId) -> Option<Hash> {
        self.get(id).map(|entry| entry.hash)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = FlowId> {
        self.flows.keys().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.flows.size()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<FlowEntry>> {
        self.flows.values()
    }

    pub(crate) fn flows(&self) -> impl Iterator<Item = &Stored<Flow>> {
        self.entries().map(|entry| &entry.stored)
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    pub(crate) fn deleted(&self) -> &HashTrieMapSync<FlowId, Tombstone> {
        &self.deleted
    }

    /// Returns the same flows for a file with these other contents.
    pub(crate) fn in_file_with(&self, members: Arc<[Member]>, quarantined: Arc<[Quarantined]>) -> Self {
        let next_position =
            self.next_position.max(Self::new(Arc::clone(&members), Arc::clone(&quarantined)).next_position);
        Self { members, quarantined, next_position, ..self.clone() }
    }

    pub(crate) fn insert_tombstone(&mut self, id: FlowId, tombstone: Tombstone) {
        self.flows.remove_mut(&id);
        self.deleted.insert_mut(id, tombstone);
    }

    /// Adds a flow of another state.
    pub(crate) fn share(&mut self, entry: &Arc<FlowEntry>) {
        self.next_position = self.next_position.max(entry.position + 1);
        self.flows.insert_mut(entry.stored.item.id(), Arc::clone(entry));
    }

    pub(crate) fn insert_last(&mut self, flow: Flow, version: Version, hash: Hash) {
        self.insert(flow, version, hash, self.next_position);
    }

    pub(crate) fn insert(&mut self, flow: Flow, version: Version, hash: Hash, position: u64) {
        let stored = Stored { item: flow, version };
        self.insert_entry(FlowEntry { stored, hash, position, is_unreported: false });
    }

    /// Inserts the document of a new revision. Without a position, it is the last one.
    pub(crate) fn insert_revision(&mut self, flow: Flow, version: Version, hash: Hash, position: Option<u64>) {
        let (stored, position) = (Stored { item: flow, version }, position.unwrap_or(self.next_position));
        self.insert_entry(FlowEntry { stored, hash, position, is_unreported: true });
    }

    fn insert_entry(&mut self, entry: FlowEntry) {
        let id = entry.stored.item.id();
        self.next_position = self.next_position.max(entry.position + 1);
        self.deleted.remove_mut(&id);
        self.flows.insert_mut(id, Arc::new(entry));
    }
}
