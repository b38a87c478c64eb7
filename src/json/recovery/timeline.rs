//! The recent versions of the flows, in the order of their changes. An earlier version of the file contains one of them.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use crate::flow::{Flow, FlowId};
use crate::json::history::Log;
use crate::json::journal::Hash;
use crate::json::journal::line::{self, Line};
use crate::repository::{Author, Operation, Result};

/// The number of changes to look back. Edits that are based on an earlier file are not recognised as stale.
const RANGE: u64 = 20_000;

/// The hash of a version that the log does not contain. No flow has it.
const UNKNOWN: Hash = [0; 32];

/// The recent changes of contents.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) steps: Vec<Step>,
    /// The indices of the steps of each flow.
    by_flow: HashMap<FlowId, Vec<usize>>,
    /// The runtime members that the file has contained, by flow.
    read: HashMap<FlowId, HashSet<u64>>,
}

/// A change of the content of a flow. A version is `None` if the flow does not exist.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) seq: u64,
    pub(crate) id: FlowId,
    pub(crate) before: Option<Hash>,
    pub(crate) after: Option<Hash>,
    /// Whether the change was an edit of the file.
    pub(crate) is_edit: bool,
}

impl Timeline {
    /// Reads the recent changes, and the runtime members of these flows up to the change that the file contains.
    pub(crate) fn read(log: &Log, written: u64, runtime_of: &HashSet<FlowId>) -> Result<Self> {
        let mut timeline = Self::default();
        let mut latest: HashMap<FlowId, Option<Hash>> = HashMap::new();
        log.each_change(written.min(log.last.saturating_sub(RANGE)), |text| {
            let Some(Line::Change(change)) = line::parse(text) else { return Ok(ControlFlow::Continue(())) };
            let id = change.id;
            if change.seq <= written
                && runtime_of.contains(&id)
                && let Ok(marks) = Flow::parse(change.flow.get()).and_then(|flow| flow.runtime_marks())
            {
                timeline.read.entry(id).or_default().extend(marks);
            }
            let operation = change.meta.operation;
            if operation == Operation::State {
                return Ok(ControlFlow::Continue(()));
            }
            let after = (operation != Operation::Delete).then_some(change.meta.hash);
            let unknown = (operation != Operation::Create).then_some(UNKNOWN);
            let before = latest.insert(id, after).unwrap_or(unknown);
            let is_edit = change.meta.author == Author::file();
            timeline.by_flow.entry(id).or_default().push(timeline.steps.len());
            timeline.steps.push(Step { seq: change.seq, id, before, after, is_edit });
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(timeline)
    }

    /// Returns the flows that have changed.
    pub(crate) fn ids(&self) -> impl Iterator<Item = FlowId> {
        self.by_flow.keys().copied()
    }

    fn steps_of(&self, id: FlowId) -> impl DoubleEndedIterator<Item = &Step> {
        self.by_flow.get(&id).into_iter().flatten().map(|index| &self.steps[*index])
    }

    /// Returns the version of a flow after the change with this number. `now` is its current version.
    pub(crate) fn version_at(&self, id: FlowId, seq: u64, now: Option<Hash>) -> Option<Hash> {
        let Some(first) = self.steps_of(id).next() else { return now };
        let last = self.steps_of(id).rev().find(|step| step.seq <= seq);
        last.map_or(first.before, |step| step.after)
    }

    /// Returns the number of the call that created this version of a flow. Returns `None` if it may be older than the
    /// timeline, is unknown, or is an edit of the file: an editor has its own edits before it reads anything else.
    pub(crate) fn created(&self, id: FlowId, hash: Hash) -> Option<u64> {
        self.steps_of(id).next().filter(|first| first.before != Some(hash))?;
        self.steps_of(id).find(|step| step.after == Some(hash)).filter(|step| !step.is_edit).map(|step| step.seq)
    }

    /// Returns the versions of a flow after this change that are edits of the file, newest first.
    pub(crate) fn edited_after(&self, id: FlowId, seq: u64) -> impl Iterator<Item = Hash> {
        self.steps_of(id).rev().filter(move |step| step.seq > seq && step.is_edit).filter_map(|step| step.after)
    }

    /// Whether an editor that has read the file after this change would not have changed a flow to this version: a client
    /// has replaced the version, or it came later.
    pub(crate) fn is_outdated(&self, id: FlowId, hash: Hash, seq: u64) -> bool {
        let mut is_replaced = false;
        for step in self.steps_of(id).rev() {
            if step.after == Some(hash) {
                return is_replaced || step.seq > seq;
            }
            is_replaced |= !step.is_edit;
        }
        is_replaced && self.steps_of(id).next().is_some_and(|first| first.before == Some(hash))
    }

    /// Whether a client has changed a flow after this change.
    pub(crate) fn is_saved_after(&self, id: FlowId, seq: u64) -> bool {
        self.steps_of(id).any(|step| step.seq > seq && !step.is_edit)
    }

    /// Whether only edits of the file have changed flows after this change.
    pub(crate) fn has_only_edits_after(&self, seq: u64) -> bool {
        self.steps.iter().rev().take_while(|step| step.seq > seq).all(|step| step.is_edit)
    }

    /// Returns the marks of the runtime members of a flow that the file has contained.
    pub(crate) fn runtime_of(&self, id: FlowId) -> HashSet<u64> {
        self.read.get(&id).cloned().unwrap_or_default()
    }
}
