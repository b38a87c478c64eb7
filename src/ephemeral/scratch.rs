//! The flows in memory: what readers see, and what changes make of it. No I/O.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rpds::{HashTrieMapSync, HashTrieSetSync};
use tokio::sync::watch;

use super::turns::Turns;
use crate::flow::{Flow, FlowId};
use crate::repository::{
    Applied, FeedCursor, Operation, Outcome, Record, RepositoryError, Result, Revision, Stamp, Stored, Version,
};

/// Revisions are above those of any stored flow, which counts from 1…
const FLOOR: i64 = 1 << 40;
/// …and begin so far below 2^53 that they never come there. As microseconds since 1970 it is the year 2112.
const CEILING: i64 = 1 << 52;

/// Flows by their ids. Cheap to clone, whatever its size.
pub(super) type Flows = HashTrieMapSync<FlowId, Arc<Entry>>;

/// A flow in memory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) stored: Stored<Flow>,
    /// SHA-256 of what people wrote.
    pub(super) hash: [u8; 32],
    /// What has made it what it is.
    operation: Operation,
}

impl Entry {
    /// The one change to it that is remembered.
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
    /// Of their documents.
    pub(super) bytes: u64,
    /// For calls under way.
    reserved: u64,
    /// The highest revision that was ever given.
    highest: Revision,
    /// The flows of the calls under way that change memory and storage.
    pub(super) joint: HashTrieSetSync<FlowId>,
    /// How many such calls have begun.
    begun: u64,
    is_closed: bool,
}

/// What a call does to one flow in memory.
#[derive(Debug)]
pub(super) enum Effect {
    Put(Put),
    Delete(FlowId),
    /// It is stored instead.
    Leave(FlowId),
}

/// A flow that stays in memory or comes there.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) flow: Flow,
    pub(super) hash: [u8; 32],
    pub(super) is_restore: bool,
    /// When it was created, where it comes from the storage.
    pub(super) created_at: Option<DateTime<Utc>>,
}

/// The flows in memory, shared by all who read and change them.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) turns: Turns,
    /// The most bytes of documents.
    pub(super) room: u64,
    view: watch::Sender<View>,
}

impl Scratch {
    /// Revisions begin with this time.
    pub(super) fn new(now: DateTime<Utc>, room: u64) -> Self {
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
        Self { turns: Turns::default(), room, view: watch::Sender::new(view) }
    }

    pub(super) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// What there is as soon as it is not so any more.
    pub(super) async fn view_unless(&self, waits: impl Fn(&View) -> bool) -> View {
        let mut view = self.view.subscribe();
        // The sender is our own, so there is always somebody who sends.
        view.wait_for(|view| !waits(view)).await.map_or_else(|_| self.view(), |view| view.clone())
    }

    /// Whether no call has begun since that changes memory and storage: what was read of both belongs together.
    pub(super) fn is_still(&self, view: &View) -> bool {
        self.view.borrow().begun == view.begun
    }

    /// Makes room for what a call will do. `joint` are its flows, when it changes the storage as well.
    ///
    /// # Errors
    /// [`RepositoryError::NoRoom`]. A call after which there is no more than before is always made.
    pub(super) fn begin<'e>(
        &self,
        effects: impl Iterator<Item = &'e Effect>,
        joint: Option<Vec<FlowId>>,
    ) -> Result<UnderWay<'_>> {
        let (mut freed, mut wanted) = (0, 0);
        let flows = self.view().flows;
        for effect in effects {
            let (id, size) = match effect {
                Effect::Put(put) => (put.flow.id(), size_of(&put.flow)),
                Effect::Delete(id) | Effect::Leave(id) => (*id, 0),
            };
            wanted += size;
            freed += flows.get(&id).map_or(0, |entry| size_of(&entry.stored.item));
        }
        let reserved = wanted.saturating_sub(freed);
        let joint = joint.unwrap_or_default();
        let mut room = Ok(());
        self.view.send_modify(|view| {
            let wanted = view.bytes + view.reserved + reserved;
            if reserved > 0 && wanted > self.room {
                room = Err(RepositoryError::NoRoom { limit: self.room, wanted });
                return;
            }
            view.reserved += reserved;
            view.begun += u64::from(!joint.is_empty());
            joint.iter().for_each(|id| view.joint.insert_mut(*id));
        });
        room?;
        Ok(UnderWay { scratch: self, reserved, joint })
    }

    /// Forgets all flows, and takes no more.
    pub(super) fn close(&self) {
        self.view.send_modify(|view| {
            (view.flows, view.bytes, view.is_closed) = (Flows::new_sync(), 0, true);
        });
    }
}

/// A call for which there is room. Dropped, it gives the room back and lets those go on who wait to read.
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    scratch: &'a Scratch,
    reserved: u64,
    joint: Vec<FlowId>,
}

impl UnderWay<'_> {
    /// Does it, all at once, and says what came of each.
    pub(super) fn commit(self, effects: Vec<(usize, Effect)>, stamp: &Stamp) -> Vec<(usize, Applied)> {
        let mut applied = Vec::with_capacity(effects.len());
        self.scratch.view.send_modify(|view| {
            for (index, effect) in effects {
                match effect {
                    Effect::Put(put) => applied.push((index, view.put(put, stamp))),
                    Effect::Delete(id) => applied.push((index, view.delete(id, stamp))),
                    Effect::Leave(id) => drop(view.take(id)),
                }
            }
            if view.is_closed {
                (view.flows, view.bytes) = (Flows::new_sync(), 0);
            }
        });
        applied
    }
}

impl Drop for UnderWay<'_> {
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
        self.flows.insert_mut(id, Arc::new(Entry { stored, hash, operation }));
        Applied { id, outcome, version: Some(version) }
    }

    /// The deletion takes a revision, as every other one does.
    fn delete(&mut self, id: FlowId, stamp: &Stamp) -> Applied {
        let Some(entry) = self.take(id) else { return Applied { id, outcome: Outcome::Absent, version: None } };
        let Version { revision, created_at, .. } = entry.stored.version;
        let revision = revision.next();
        self.highest = self.highest.max(revision);
        let Stamp { at, author } = stamp.clone();
        let version = Version { revision, created_at, updated_at: at, author };
        Applied { id, outcome: Outcome::Deleted, version: Some(version) }
    }

    fn take(&mut self, id: FlowId) -> Option<Arc<Entry>> {
        let entry = self.flows.get(&id).cloned()?;
        self.flows.remove_mut(&id);
        self.bytes -= size_of(&entry.stored.item);
        Some(entry)
    }
}

/// Bytes of its document.
pub(super) fn size_of(flow: &Flow) -> u64 {
    flow.document().get().len() as u64
}
