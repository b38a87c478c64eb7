//! The flows in memory and the effect of changes. No I/O.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rpds::{HashTrieMapSync, HashTrieSetSync};
use tokio::sync::watch;

use super::permits::Permits;
use crate::flow::{Flow, FlowId};
use crate::repository::{
    Applied, FeedCursor, Operation, Outcome, Record, RepositoryError, Result, Revision, Stamp, Stored, Version,
};

/// The lowest first revision, above those of stored flows, which count from 1.
const FLOOR: i64 = 1 << 40;
/// The highest first revision, far below 2^53. As microseconds since 1970 it is in the year 2112.
const CEILING: i64 = 1 << 52;

/// Flows by id. Cheap to clone.
pub(super) type Flows = HashTrieMapSync<FlowId, Arc<MemoryFlow>>;

/// A flow in memory.
#[derive(Debug)]
pub(super) struct MemoryFlow {
    pub(super) stored: Stored<Flow>,
    /// The SHA-256 of the document without its runtime members.
    pub(super) hash: [u8; 32],
    /// The last operation.
    operation: Operation,
}

impl MemoryFlow {
    /// Returns the record of the last change, the only one that is remembered.
    pub(super) fn record(&self) -> Record<Flow> {
        let Stored { item, version } = self.stored.clone();
        let Version { revision, updated_at: at, author, .. } = version;
        Record { cursor: FeedCursor::NOWHERE, operation: self.operation, item, revision, at, author }
    }
}

/// What readers see.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) flows: Flows,
    /// The size of the documents.
    pub(super) bytes: u64,
    /// The size reserved by running calls.
    reserved: u64,
    /// The highest revision so far.
    highest: Revision,
    /// The flows of running calls that change memory and storage.
    pub(super) joint: HashTrieSetSync<FlowId>,
    /// The number of such calls that have begun.
    begun: u64,
    is_closed: bool,
}

/// The effect of a call on one flow in memory.
#[derive(Debug)]
pub(super) enum Effect {
    Put(Put),
    Delete(FlowId),
    /// The flow moves to the storage.
    MoveToStorage(FlowId),
}

/// A flow to store in memory.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) flow: Flow,
    pub(super) hash: [u8; 32],
    pub(super) is_restore: bool,
    /// The time of creation, if the flow comes from the storage.
    pub(super) created_at: Option<DateTime<Utc>>,
}

/// The flows in memory, shared by all clones.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) permits: Permits,
    /// The maximum size of the documents in bytes.
    pub(super) budget: u64,
    view: watch::Sender<View>,
}

impl Scratch {
    /// Creates an empty memory whose revisions start from this time.
    pub(super) fn new(now: DateTime<Utc>, budget: u64) -> Self {
        let highest = now.timestamp_micros().clamp(FLOOR, CEILING).unsigned_abs();
        let view = View {
            flows: Flows::new_sync(),
            bytes: 0,
            reserved: 0,
            highest: Revision::new(highest),
            joint: HashTrieSetSync::new_sync(),
            begun: 0,
            is_closed: false,
        };
        Self { permits: Permits::default(), budget, view: watch::Sender::new(view) }
    }

    pub(super) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Waits until `waits` returns false, and returns the view.
    pub(super) async fn view_unless(&self, waits: impl Fn(&View) -> bool) -> View {
        let mut view = self.view.subscribe();
        // The sender belongs to `self`, so the channel is open.
        view.wait_for(|view| !waits(view)).await.map_or_else(|_| self.view(), |view| view.clone())
    }

    /// Whether no call that changes memory and storage has begun since this view, so that reads of both are
    /// consistent.
    pub(super) fn is_consistent(&self, view: &View) -> bool {
        self.view.borrow().begun == view.begun
    }

    /// Reserves memory for a call. `joint` contains its flows if it also changes the storage.
    ///
    /// # Errors
    /// [`RepositoryError::NoRoom`] if the call would exceed the budget. A call that does not increase the size always
    /// succeeds.
    pub(super) fn begin<'e>(
        &self,
        effects: impl Iterator<Item = &'e Effect>,
        joint: Option<Vec<FlowId>>,
    ) -> Result<Reservation<'_>> {
        let (mut freed, mut wanted) = (0, 0);
        let flows = self.view().flows;
        for effect in effects {
            let (id, size) = match effect {
                Effect::Put(put) => (put.flow.id(), size_of(&put.flow)),
                Effect::Delete(id) | Effect::MoveToStorage(id) => (*id, 0),
            };
            wanted += size;
            freed += flows.get(&id).map_or(0, |entry| size_of(&entry.stored.item));
        }
        let reserved = wanted.saturating_sub(freed);
        let joint = joint.unwrap_or_default();
        let mut fits = Ok(());
        self.view.send_modify(|view| {
            let wanted = view.bytes + view.reserved + reserved;
            if reserved > 0 && wanted > self.budget {
                fits = Err(RepositoryError::NoRoom { limit: self.budget, wanted });
                return;
            }
            view.reserved += reserved;
            view.begun += u64::from(!joint.is_empty());
            joint.iter().for_each(|id| view.joint.insert_mut(*id));
        });
        fits?;
        Ok(Reservation { scratch: self, reserved, joint })
    }

    /// Discards all flows and stores no more.
    pub(super) fn close(&self) {
        self.view.send_modify(|view| {
            (view.flows, view.bytes, view.is_closed) = (Flows::new_sync(), 0, true);
        });
    }
}

/// A running call with reserved memory. Dropping it releases the reservation and wakes waiting readers.
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    scratch: &'a Scratch,
    reserved: u64,
    joint: Vec<FlowId>,
}

impl Reservation<'_> {
    /// Applies all effects at once and returns their results.
    pub(super) fn commit(self, effects: Vec<(usize, Effect)>, stamp: &Stamp) -> Vec<(usize, Applied)> {
        let mut applied = Vec::with_capacity(effects.len());
        self.scratch.view.send_modify(|view| {
            for (index, effect) in effects {
                match effect {
                    Effect::Put(put) => applied.push((index, view.put(put, stamp))),
                    Effect::Delete(id) => applied.push((index, view.delete(id, stamp))),
                    Effect::MoveToStorage(id) => drop(view.take(id)),
                }
            }
            if view.is_closed {
                (view.flows, view.bytes) = (Flows::new_sync(), 0);
            }
        });
        applied
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.scratch.view.send_modify(|view| {
            view.reserved -= self.reserved;
            for id in &self.joint {
                view.joint.remove_mut(id);
            }
        });
    }
}

impl View {
    fn put(&mut self, put: Put, stamp: &Stamp) -> Applied {
        let Put { flow, hash, is_restore, created_at } = put;
        let id = flow.id();
        let before = self.take(id);
        let changed = if is_restore { Operation::Restore } else { Operation::Update };
        let new = |revision, created_at| {
            let Stamp { at, author } = stamp.clone();
            Version { revision, created_at, updated_at: at, author }
        };
        let (outcome, operation, version) = match (before, created_at) {
            (Some(before), _) if before.hash == hash => {
                (Outcome::Unchanged, before.operation, before.stored.version.clone())
            }
            (Some(before), _) => {
                let Version { revision, created_at, .. } = before.stored.version;
                (Outcome::Replaced, changed, new(revision.next(), created_at))
            }
            (None, Some(created_at)) => (Outcome::Replaced, changed, new(self.highest.next(), created_at)),
            (None, None) => {
                let operation = if is_restore { changed } else { Operation::Create };
                (Outcome::Created, operation, new(self.highest.next(), stamp.at))
            }
        };
        self.highest = self.highest.max(version.revision);
        self.bytes += size_of(&flow);
        let stored = Stored { item: flow, version: version.clone() };
        self.flows.insert_mut(id, Arc::new(MemoryFlow { stored, hash, operation }));
        Applied { id, outcome, version: Some(version) }
    }

    /// Deletes a flow. The deletion has a revision of its own.
    fn delete(&mut self, id: FlowId, stamp: &Stamp) -> Applied {
        let Some(entry) = self.take(id) else { return Applied { id, outcome: Outcome::Absent, version: None } };
        let Version { revision, created_at, .. } = entry.stored.version;
        let revision = revision.next();
        self.highest = self.highest.max(revision);
        let Stamp { at, author } = stamp.clone();
        let version = Version { revision, created_at, updated_at: at, author };
        Applied { id, outcome: Outcome::Deleted, version: Some(version) }
    }

    fn take(&mut self, id: FlowId) -> Option<Arc<MemoryFlow>> {
        let entry = self.flows.get(&id).cloned()?;
        self.flows.remove_mut(&id);
        self.bytes -= size_of(&entry.stored.item);
        Some(entry)
    }
}

/// Returns the size of the document in bytes.
pub(super) fn size_of(flow: &Flow) -> u64 {
    flow.document().get().len() as u64
}
