//! All flows at one point in time. No I/O.

use std::sync::{Arc, OnceLock};

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

use crate::flow::{Flow, FlowId};
use crate::json::file::{Member, Quarantined};
use crate::json::journal::{FlowVersion, Hash, JournalEntry, Report, Tombstone};
use crate::repository::{Precondition, Stored, Version, ViolationKind};

/// A flow, its hash, and its position in the file.
#[derive(Debug, Clone)]
pub(crate) struct FlowEntry {
    pub(crate) stored: Stored<Flow>,
    pub(crate) hash: Hash,
    /// The file lists flows in the order of their positions.
    pub(crate) position: u64,
    /// The newest report since the last change.
    pub(crate) report: Option<Report>,
    /// Whether the document is known to be the one of its revision, unless `report` is set.
    is_as_saved: bool,
    marks: OnceLock<Box<[u64]>>,
}

/// All flows. Cheap to clone: a write changes a copy that shares everything unchanged, and readers keep their own
/// copy.
#[derive(Debug, Clone)]
pub(crate) struct State {
    flows: HashTrieMapSync<FlowId, Arc<FlowEntry>>,
    deleted: HashTrieMapSync<FlowId, Tombstone>,
    /// The flows with a report, by the number of the report.
    reports: RedBlackTreeMapSync<u64, FlowId>,
    members: Arc<[Member]>,
    quarantined: Arc<[Quarantined]>,
    next_position: u64,
}

impl FlowEntry {
    fn new(stored: Stored<Flow>, hash: Hash, position: u64, report: Option<Report>) -> Self {
        Self { stored, hash, position, report, is_as_saved: false, marks: OnceLock::new() }
    }

    /// Returns why the precondition does not hold for this flow.
    pub(crate) fn violation(&self, precondition: Precondition) -> Option<ViolationKind> {
        let is_unreported = self.is_as_saved && self.report.is_none();
        let precondition = match precondition {
            Precondition::Unreported(None) if is_unreported => Precondition::Present,
            Precondition::Unreported(Some(revision)) if is_unreported => Precondition::At(revision),
            other => other,
        };
        precondition.violation(Some(&self.stored))
    }

    /// Returns the marks of the runtime members.
    pub(crate) fn marks(&self) -> &[u64] {
        let marks = || self.stored.item.runtime_marks().unwrap_or_default().into_iter().collect();
        self.marks.get_or_init(marks)
    }

    /// Returns the entry without its document.
    pub(crate) fn version(&self) -> FlowVersion {
        FlowVersion { version: self.stored.version.clone(), hash: self.hash, report: self.report.clone() }
    }

    /// Whether a document has the same text as this one.
    pub(crate) fn has_text_of(&self, flow: &Flow) -> bool {
        let (a, b) = (self.stored.item.document(), flow.document());
        std::ptr::eq(a, b) || a.get() == b.get()
    }
}

impl State {
    /// Builds a state without flows. New flows get positions after the quarantined values.
    pub(crate) fn new(members: Arc<[Member]>, quarantined: Arc<[Quarantined]>) -> Self {
        let next_position = quarantined.iter().map(|bad| bad.position + 1).max().unwrap_or(0);
        Self {
            flows: HashTrieMapSync::new_sync(),
            deleted: HashTrieMapSync::new_sync(),
            reports: RedBlackTreeMapSync::new_sync(),
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

    /// Returns the flows whose newest report came after this change, in the order of the reports.
    pub(crate) fn reported_after(&self, seq: u64) -> impl Iterator<Item = (u64, &Report, &Stored<Flow>)> {
        self.reports.range(seq + 1..).filter_map(|(seq, id)| {
            let entry = self.get(*id)?;
            Some((*seq, entry.report.as_ref()?, &entry.stored))
        })
    }

    /// Returns the same flows for a file with these other contents.
    pub(crate) fn in_file_with(&self, members: Arc<[Member]>, quarantined: Arc<[Quarantined]>) -> Self {
        let next_position =
            self.next_position.max(Self::new(Arc::clone(&members), Arc::clone(&quarantined)).next_position);
        Self { members, quarantined, next_position, ..self.clone() }
    }

    pub(crate) fn insert_tombstone(&mut self, id: FlowId, tombstone: Tombstone) {
        self.forget_report(id);
        self.flows.remove_mut(&id);
        self.deleted.insert_mut(id, tombstone);
    }

    /// Adds a flow of another state.
    pub(crate) fn share(&mut self, entry: &Arc<FlowEntry>) {
        self.insert_entry(Arc::clone(entry));
    }

    pub(crate) fn insert_last(&mut self, flow: Flow, version: Version, hash: Hash) {
        self.insert(flow, version, hash, self.next_position);
    }

    pub(crate) fn insert(&mut self, flow: Flow, version: Version, hash: Hash, position: u64) {
        let stored = Stored { item: flow, version };
        self.insert_entry(Arc::new(FlowEntry::new(stored, hash, position, None)));
    }

    /// Inserts the document of a new revision. Without a position, it is the last one.
    pub(crate) fn insert_revision(&mut self, flow: Flow, version: Version, hash: Hash, position: Option<u64>) {
        let (stored, position) = (Stored { item: flow, version }, position.unwrap_or(self.next_position));
        self.insert_entry(Arc::new(FlowEntry { is_as_saved: true, ..FlowEntry::new(stored, hash, position, None) }));
    }

    /// Inserts a flow that journal or history know.
    pub(crate) fn insert_known(&mut self, flow: Flow, known: FlowVersion, position: u64) {
        let FlowVersion { version, hash, report } = known;
        self.insert_entry(Arc::new(FlowEntry::new(Stored { item: flow, version }, hash, position, report)));
    }

    /// As [`insert_known`](Self::insert_known), at the end of the file.
    pub(crate) fn insert_known_last(&mut self, flow: Flow, known: FlowVersion) {
        self.insert_known(flow, known, self.next_position);
    }

    /// Moves a flow to another position in the file.
    pub(crate) fn reposition(&mut self, entry: &FlowEntry, position: u64) {
        self.insert_entry(Arc::new(FlowEntry { position, ..entry.clone() }));
    }

    /// Moves a flow to the end of the file.
    pub(crate) fn reposition_last(&mut self, entry: &FlowEntry) {
        self.reposition(entry, self.next_position);
    }

    /// Sets the newest report of a flow.
    pub(crate) fn set_report(&mut self, id: FlowId, report: Option<Report>) {
        if let Some(entry) = self.get(id).filter(|entry| entry.report != report) {
            self.insert_entry(Arc::new(FlowEntry { report, ..FlowEntry::clone(entry) }));
        }
    }

    /// Sets the reports among these entries, which are the last changes of their flows. `first` is the number of the first entry.
    pub(crate) fn set_reports(&mut self, entries: &[JournalEntry], first: u64) {
        for (entry, seq) in entries.iter().zip(first..) {
            self.set_report(entry.flow.id(), entry.meta.report(seq));
        }
    }

    fn insert_entry(&mut self, entry: Arc<FlowEntry>) {
        let id = entry.stored.item.id();
        self.forget_report(id);
        if let Some(report) = &entry.report {
            self.reports.insert_mut(report.seq, id);
        }
        self.next_position = self.next_position.max(entry.position + 1);
        self.deleted.remove_mut(&id);
        self.flows.insert_mut(id, entry);
    }

    fn forget_report(&mut self, id: FlowId) {
        if let Some(seq) = self.get(id).and_then(|entry| entry.report.as_ref()).map(|report| report.seq) {
            self.reports.remove_mut(&seq);
        }
    }
}
