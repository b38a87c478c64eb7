//! The flows of the copy, and how the feed and acknowledged changes change them.

use std::collections::HashSet;
use std::mem;

use super::acknowledged::{Acknowledged, Acknowledgement, Effect};
use super::selection::Selection;
use super::view::{Coverage, Moment, View};
use crate::flow::{Flow, FlowId};
use crate::repository::{FeedCursor, Operation, Record, Revision, Stored, Version};

/// The state of a copy. The follower adds the records of the feed, which readers see when the state of one point in time
/// is complete. Acknowledged changes are added at once, for readers too.
#[derive(Debug)]
pub(super) struct State {
    /// The flows as far as the feed was read, and the acknowledged changes.
    selection: Selection,
    view: Option<View>,
    acknowledged: Acknowledged,
    /// Flows that readers see and that are not in the file.
    unsaved: HashSet<FlowId>,
}

impl State {
    /// Builds the state of a copy that begins with these flows.
    pub(super) fn new(limit: u64, view: Option<View>) -> Self {
        let mut selection = Selection::new(limit);
        for stored in view.iter().flat_map(|view| view.flows.values()) {
            selection.put(stored.clone());
        }
        selection.take_touched();
        Self { selection, view, acknowledged: Acknowledged::default(), unsaved: HashSet::new() }
    }

    /// Returns what readers see.
    pub(super) fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Returns whether the flows that were left out would fit now.
    pub(super) fn could_be_complete(&self) -> bool {
        self.selection.could_be_complete()
    }

    /// Returns whether readers see flows that are not in the file.
    pub(super) fn is_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Returns the flows that may have changed since the last call.
    pub(super) fn take_unsaved(&mut self) -> HashSet<FlowId> {
        mem::take(&mut self.unsaved)
    }

    /// Returns the number of changes that were acknowledged until now.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.count()
    }

    /// Adds an acknowledged change. Readers see it at once. A change that is older than the copy has no effect.
    pub(super) fn acknowledge(&mut self, id: FlowId, acknowledgement: Acknowledgement) {
        let mut changed = vec![id];
        let known = self.revision(id);
        let is_new = match acknowledgement.effect {
            // The feed may have delivered the report already, and a later one. The flow is read again if it has.
            Effect::Reported(..) => known.is_none_or(|known| known <= acknowledgement.revision),
            Effect::Saved(_) => known.is_none_or(|known| known < acknowledgement.revision),
            Effect::Deleted => known.is_none_or(|known| known <= acknowledgement.revision),
        };
        if is_new && !self.acknowledged.is_outdated(id, &acknowledgement) {
            self.acknowledged.add(id, &acknowledgement);
            match acknowledgement.effect {
                Effect::Saved(stored) | Effect::Reported(stored, _) => changed.extend(self.selection.put(stored)),
                Effect::Deleted => self.selection.remove(id),
            }
        }
        self.show(changed);
    }

    /// Shows these flows to readers as they are in the selection, which is never older than what readers see.
    fn show(&mut self, ids: Vec<FlowId>) {
        let view = self.view.get_or_insert_with(|| View {
            flows: Default::default(),
            coverage: Coverage::Changes,
            as_of: Moment::now(),
        });
        for id in &ids {
            match self.selection.flows().get(id) {
                Some(stored) => view.flows.insert_mut(*id, stored.clone()),
                None => {
                    view.flows.remove_mut(id);
                }
            }
        }
        if view.coverage == Coverage::Complete && !self.selection.is_complete() {
            view.coverage = Coverage::Limited;
        }
        self.unsaved.extend(ids);
    }

    /// Applies a record of the feed. A change that the copy contains already has no effect. Returns the flow if it has to
    /// be read, because the feed does not contain the time of its creation.
    pub(super) fn take(&mut self, record: Record<Flow>) -> Option<FlowId> {
        let id = record.item.id();
        if !self.acknowledged.accepts(&record) {
            return None;
        }
        let known = self.selection.flows().get(&id).map(|stored| stored.version.clone());
        match known {
            Some(version) if record.revision < version.revision => {}
            Some(_) if record.operation == Operation::Delete => self.selection.remove(id),
            Some(version) if record.operation == Operation::State => {
                self.selection.put(Stored { item: record.item, version });
            }
            Some(Version { created_at, .. }) => {
                let Record { item, revision, at, author, .. } = record;
                let version = Version { revision, created_at, updated_at: at, author };
                self.selection.put(Stored { item, version });
            }
            None => return Some(id),
        }
        None
    }

    /// Adds a flow that was read from the storage, or removes it if it does not exist. Has no effect if a change was
    /// acknowledged since then.
    pub(super) fn put_read(&mut self, id: FlowId, stored: Option<Stored<Flow>>) {
        let revision = stored.as_ref().map(|stored| stored.version.revision);
        if self.acknowledged.is_ahead_of(id, revision) {
            return;
        }
        match stored {
            Some(stored) if self.revision(id).is_some_and(|known| known > stored.version.revision) => {}
            Some(stored) => drop(self.selection.put(stored)),
            None => self.selection.remove(id),
        }
    }

    /// Returns the acknowledged changes whose flows have to be read again after a page of the feed. `asked` is
    /// [`acknowledged`](Self::acknowledged) before the page was read.
    pub(super) fn overdue(&mut self, next: FeedCursor, newest: FeedCursor, asked: u64) -> Vec<(FlowId, u64)> {
        self.acknowledged.overdue(next, newest, asked)
    }

    /// Replaces an overdue change by the flow that was read.
    pub(super) fn settle(&mut self, id: FlowId, number: u64, stored: Option<Stored<Flow>>) {
        if self.acknowledged.settle(id, number) {
            self.put_read(id, stored);
        }
    }

    /// Replaces all flows by those that were read. `asked` is [`acknowledged`](Self::acknowledged) before the read.
    /// Returns the replaced flows, so that the caller drops them without a lock.
    pub(super) fn replace(&mut self, mut selection: Selection, asked: u64, as_of: Moment) -> (Selection, Option<View>) {
        let later = self.acknowledged.retain_later(asked, |id| revision(&selection, id));
        for (id, is_deleted) in later {
            match is_deleted {
                true => selection.remove(id),
                false => selection.carry(id, &self.selection),
            }
        }
        let before = mem::replace(&mut self.selection, selection);
        let seen = self.view.clone();
        self.unsaved.extend(before.flows().keys().chain(seen.iter().flat_map(|view| view.flows.keys())));
        self.publish(as_of);
        (before, seen)
    }

    /// Shows readers the state of the storage at this time.
    pub(super) fn publish(&mut self, as_of: Moment) {
        self.unsaved.extend(self.selection.take_touched());
        let coverage = if self.selection.is_complete() { Coverage::Complete } else { Coverage::Limited };
        self.view = Some(View { flows: self.selection.flows().clone(), coverage, as_of });
    }

    fn revision(&self, id: FlowId) -> Option<Revision> {
        revision(&self.selection, id)
    }
}

fn revision(selection: &Selection, id: FlowId) -> Option<Revision> {
    selection.flows().get(&id).map(|stored| stored.version.revision)
}

#[cfg(test)]
mod tests;
