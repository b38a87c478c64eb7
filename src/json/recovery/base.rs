//! Finds the version of the file that an edit started from.
//!
//! An editor may have read the file long before it wrote it. Nothing in the file says when. But the flows that it did
//! not edit are versions that existed at that time, so the base of an edit is found by its content:
//!
//! - It is not older than any version of a flow that a client has saved and that the edited file contains.
//! - Among the remaining versions of the file, it differs from the edited file in the fewest flows. An added or a missing
//!   flow counts twice.
//! - If several differ equally, it is the newest.
//!
//! A file that equals an earlier version is not an edit, unless all changes since then were edits of the file: then an
//! editor has undone them.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::timeline::Timeline;
use crate::flow::FlowId;
use crate::json::journal::Hash;
use crate::json::state::State;

/// The versions of the file that an edit may have started from, with the numbers of their last changes.
#[derive(Debug, Default)]
pub(crate) struct FileVersions {
    /// The versions that the store wrote earlier.
    pub(crate) earlier: Vec<u64>,
    /// The versions that editors wrote. The log contains the results of the merges instead.
    pub(crate) edited: Vec<(u64, State)>,
    /// The last version that is known to have been written.
    pub(crate) written: u64,
    /// The changes after which the file may have been written without a note in the journal, because of a crash.
    pub(crate) unnoted: Range<u64>,
    /// The marks of the runtime members that the versions before the journal contain.
    pub(crate) read: HashMap<FlowId, Vec<u64>>,
    /// Whether the file is to be taken as an edit of the last version, because no process was running.
    pub(crate) is_only_last: bool,
}

/// The version of the file that an edit started from.
#[derive(Debug)]
pub(crate) struct Base<'a> {
    timeline: &'a Timeline,
    now: &'a State,
    version: Candidate<'a>,
    /// Versions that may be the base, newest first.
    equals: Vec<Candidate<'a>>,
}

/// A version of the file.
#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    seq: u64,
    /// The flows, if an editor wrote them.
    edited: Option<&'a State>,
}

impl<'a> Base<'a> {
    pub(crate) fn find(
        timeline: &'a Timeline,
        now: &'a State,
        in_file: &HashMap<FlowId, Hash>,
        unclear: &HashSet<FlowId>,
        versions: &'a FileVersions,
    ) -> Self {
        let FileVersions { written, ref unnoted, is_only_last, .. } = *versions;
        let last = Candidate { seq: written, edited: None };
        let base = |version, equals| Self { timeline, now, version, equals };
        if is_only_last {
            return base(last, vec![last]);
        }
        let earliest = |flows: &mut dyn Iterator<Item = (FlowId, Hash)>| {
            flows.filter_map(|(id, hash)| timeline.created(id, hash)).max().unwrap_or(0)
        };
        let read = earliest(&mut in_file.iter().map(|(id, hash)| (*id, *hash)));
        let differs = |id, version: Option<Hash>| match (in_file.get(&id), version) {
            _ if unclear.contains(&id) => 0,
            (Some(hash), Some(version)) => i64::from(*hash != version),
            // Edits are more frequent than deletions and creations.
            (Some(_), None) | (None, Some(_)) => 2,
            (None, None) => 0,
        };
        let ids: HashSet<_> = now.ids().chain(in_file.keys().copied()).chain(timeline.ids()).collect();
        let mut seqs = versions.earlier.clone();
        seqs.push(written);
        seqs.retain(|seq| *seq <= written);
        let noted: HashSet<_> = seqs.iter().copied().collect();
        seqs.extend(timeline.steps.iter().map(|step| step.seq).filter(|seq| unnoted.contains(seq)));
        seqs.sort_unstable_by_key(|seq| Reverse(*seq));
        seqs.dedup();
        let mut differences: i64 =
            ids.iter().map(|id| differs(*id, timeline.version_at(*id, u64::MAX, now.hash(*id)))).sum();
        let mut later = timeline.steps.iter().rev().peekable();
        let mut ranked = Vec::new();
        for seq in seqs {
            while let Some(step) = later.next_if(|step| step.seq > seq) {
                differences += differs(step.id, step.before) - differs(step.id, step.after);
            }
            ranked.push(((seq < read, differences, !noted.contains(&seq)), Candidate { seq, edited: None }));
        }
        for (seq, edited) in &versions.edited {
            let differences = ids.iter().map(|id| differs(*id, edited.hash(*id))).sum();
            let was_read = earliest(&mut edited.entries().map(|entry| (entry.stored.item.id(), entry.hash)));
            ranked.push(((was_read < read, differences, false), Candidate { seq: *seq, edited: Some(edited) }));
        }
        ranked.sort_by_key(|(rank, version)| (*rank, Reverse(version.seq), version.edited.is_none()));
        let Some((rank, version)) = ranked.first().copied() else { return base(last, vec![last]) };
        let equals: Vec<_> =
            ranked.into_iter().take_while(|(other, _)| *other == rank).map(|(_, equal)| equal).collect();
        let is_undone = |equal: &Candidate<'_>| {
            equal.edited.is_none() && equal.seq < written && timeline.has_only_edits_after(equal.seq)
        };
        if rank.1 == 0 && equals.iter().any(is_undone) {
            return base(last, vec![last]);
        }
        base(version, equals)
    }

    /// Returns the number of the last change that the editor may have read.
    pub(crate) fn seq(&self) -> u64 {
        self.version.seq
    }

    /// Returns the version of a flow in the base.
    pub(crate) fn version(&self, id: FlowId) -> Option<Hash> {
        // A flow that an editor made invalid was removed without a change, and has no version now.
        let was_removed = self.now.get(id).is_none() && self.timeline.version_at(id, u64::MAX, None).is_some();
        if was_removed { None } else { self.version_in(&self.version, id) }
    }

    fn version_in(&self, version: &Candidate<'_>, id: FlowId) -> Option<Hash> {
        match version.edited {
            Some(edited) => edited.hash(id),
            None => self.timeline.version_at(id, version.seq, self.now.hash(id)),
        }
    }

    /// Returns the versions of a flow that may be the base of an edit of it, newest first.
    pub(crate) fn versions(&self, id: FlowId) -> Vec<Hash> {
        let mut versions: Vec<_> = self.equals.iter().filter_map(|version| self.version_in(version, id)).collect();
        versions.dedup();
        versions
    }
}
