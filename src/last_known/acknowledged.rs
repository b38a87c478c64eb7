//! The changes that this instance has acknowledged and that the feed has not delivered yet.
//!
//! The copy contains an acknowledged change at once. Until the feed delivers the change, it may still deliver older
//! records of the same flow, which must not replace the change. The feed has no cursor for a change that was just made,
//! so a record is recognized by its revision, and a report by its time and author.
//!
//! The feed omits some records: it contains at most the newest report of a flow. So an acknowledged change whose record
//! was not recognized is *overdue* when the feed has reached the end that it had after the acknowledgement. The
//! follower then reads the flow again.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, Utc};

use crate::flow::{Flow, FlowId};
use crate::repository::{Applied, Author, Change, FeedCursor, Operation, Outcome, Record, Revision, Stamp, Stored};

/// The number of deletions to remember. A change can be acknowledged after the feed has delivered a later deletion.
const DELETIONS: usize = 1_000;

/// An acknowledged change.
#[derive(Debug, Clone)]
pub(super) struct Acknowledgement {
    pub(super) revision: Revision,
    pub(super) effect: Effect,
}

/// The effect of an acknowledged change on the copy.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    /// The flow has a new revision.
    Saved(Stored<Flow>),
    /// The flow has the same revision, perhaps with other runtime members.
    Reported(Stored<Flow>, Source),
    Deleted,
}

/// The time and author of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    at: DateTime<Utc>,
    author: Author,
}

impl Acknowledgement {
    /// Returns the effect of a change. `None` if the change had no effect, because the flow to delete did not exist.
    pub(super) fn of(change: &Change, applied: &Applied, stamp: &Stamp) -> Option<Self> {
        let version = applied.version.clone()?;
        let revision = version.revision;
        let stored = |item: &Flow| Stored { item: item.clone(), version };
        let effect = match (applied.outcome, change.flow()) {
            (Outcome::Created | Outcome::Replaced, Some(flow)) => Effect::Saved(stored(flow)),
            (Outcome::Unchanged, Some(flow)) => {
                Effect::Reported(stored(flow), Source { at: stamp.at(), author: stamp.author().clone() })
            }
            (Outcome::Absent, _) => return None,
            (Outcome::Deleted, _) | (_, None) => Effect::Deleted,
        };
        Some(Self { revision, effect })
    }
}

/// The acknowledged changes whose records the feed has not delivered, by flow.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    pending: HashMap<FlowId, Pending>,
    /// The number of changes that were ever acknowledged.
    count: u64,
    /// A cursor, and the number of changes whose records come before it.
    fence: Option<(FeedCursor, u64)>,
    /// The last deletions that the feed has delivered.
    deletions: VecDeque<(FlowId, Revision)>,
}

#[derive(Debug)]
struct Pending {
    number: u64,
    revision: Revision,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Content,
    Report(Source),
    Deletion,
}

impl Acknowledged {
    /// Returns the number of changes that were acknowledged until now.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Returns whether a later change of the same flow was acknowledged before this one, or the feed has delivered a
    /// later deletion.
    pub(super) fn is_outdated(&self, id: FlowId, acknowledgement: &Acknowledgement) -> bool {
        let revision = acknowledgement.revision;
        let is_report = matches!(acknowledgement.effect, Effect::Reported(..));
        self.deletions.iter().any(|(deleted, at)| *deleted == id && *at >= revision)
            || self.pending.get(&id).is_some_and(|pending| match pending.revision.cmp(&revision) {
                Ordering::Less => false,
                // A report on a revision comes after the revision.
                Ordering::Equal => !is_report,
                Ordering::Greater => true,
            })
    }

    /// Adds a change.
    pub(super) fn add(&mut self, id: FlowId, acknowledgement: &Acknowledgement) {
        self.count += 1;
        let kind = match &acknowledgement.effect {
            Effect::Saved(_) => Kind::Content,
            Effect::Reported(_, source) => Kind::Report(source.clone()),
            Effect::Deleted => Kind::Deletion,
        };
        self.pending.insert(id, Pending { number: self.count, revision: acknowledgement.revision, kind });
    }

    /// Returns whether a record of the feed is the acknowledged change of its flow, or newer. Then the change is no
    /// longer pending.
    pub(super) fn accepts(&mut self, record: &Record<Flow>) -> bool {
        let id = record.item.id();
        if record.operation == Operation::Delete {
            self.deletions.truncate(DELETIONS - 1);
            self.deletions.push_front((id, record.revision));
        }
        let Some(pending) = self.pending.get(&id) else { return true };
        let is_accepted = match (record.revision.cmp(&pending.revision), &pending.kind) {
            (Ordering::Less, _) => false,
            (Ordering::Equal, Kind::Report(source)) => {
                let is_report = record.operation == Operation::State;
                is_report && *source == Source { at: record.at, author: record.author.clone() }
            }
            (Ordering::Equal, Kind::Content | Kind::Deletion) | (Ordering::Greater, _) => true,
        };
        if is_accepted {
            self.pending.remove(&id);
        }
        is_accepted
    }

    /// Returns the overdue changes, with their numbers, after a page of the feed. `asked` is the [`count`](Self::count)
    /// before the page was read.
    pub(super) fn overdue(&mut self, next: FeedCursor, newest: FeedCursor, asked: u64) -> Vec<(FlowId, u64)> {
        if self.pending.is_empty() {
            self.fence = None;
            return Vec::new();
        }
        let (fence, number) = if next >= newest { (newest, asked) } else { *self.fence.get_or_insert((newest, asked)) };
        if next < fence {
            return Vec::new();
        }
        self.fence = None;
        let overdue = self.pending.iter().filter(|(_, pending)| pending.number <= number);
        overdue.map(|(id, pending)| (*id, pending.number)).collect()
    }

    /// Removes a change whose flow was read again. Returns false if another change was acknowledged since then.
    pub(super) fn settle(&mut self, id: FlowId, number: u64) -> bool {
        let is_same = self.pending.get(&id).is_some_and(|pending| pending.number == number);
        if is_same {
            self.pending.remove(&id);
        }
        is_same
    }

    /// Returns whether a flow has a pending change that a version of the flow, or its absence, does not include.
    pub(super) fn is_ahead_of(&self, id: FlowId, revision: Option<Revision>) -> bool {
        let pending = self.pending.get(&id);
        pending.is_some_and(|pending| revision.is_none_or(|revision| revision <= pending.revision))
    }

    /// Removes the changes that a new read of all flows includes. `asked` is the [`count`](Self::count) before the read,
    /// and `read` returns the revision that was read. Returns the other changes, and whether they are deletions.
    pub(super) fn retain_later(
        &mut self,
        asked: u64,
        read: impl Fn(FlowId) -> Option<Revision>,
    ) -> Vec<(FlowId, bool)> {
        self.fence = None;
        self.pending.retain(|id, pending| {
            pending.number > asked && read(*id).is_none_or(|revision| revision <= pending.revision)
        });
        self.pending.iter().map(|(id, pending)| (*id, pending.kind == Kind::Deletion)).collect()
    }
}
