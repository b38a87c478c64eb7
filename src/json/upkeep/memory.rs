//! Remembers the versions of the file, to recognise edits that are based on an earlier one.
//!
//! The log contains the flows of every version. Therefore this only remembers when versions were written, and which reports
//! they contained.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::flow::FlowId;
use crate::json::recovery::FileVersions;
use crate::json::state::State;

/// The number of versions of the file to remember, and for how long.
const VERSIONS: usize = 100;
const AGE: Duration = Duration::from_secs(3_600);
/// The number of versions without a note to remember after the next note.
const UNNOTED: u64 = 25;
/// The number of reports to remember per flow.
const REPORTS: usize = 256;
/// The number of reports per flow that the next process remembers.
const RECENT_REPORTS: usize = 32;
/// The number of versions by editors to remember. Each one holds the documents that differ from the current ones.
const EDITED: usize = 16;

/// The versions of the file.
#[derive(Debug)]
pub(crate) struct FileMemory {
    /// The last change of each version, and when it was written.
    versions: VecDeque<(u64, Instant)>,
    /// The changes after which an earlier process may have written a version without a note, and when this process began.
    unnoted: (Range<u64>, Instant),
    /// The marks of the runtime members that earlier versions contained.
    reports: HashMap<FlowId, VecDeque<u64>>,
    last: State,
    /// The versions that editors wrote, and the last change at that time.
    edited: VecDeque<(u64, State, Instant)>,
}

impl FileMemory {
    /// Begins with the versions that the journal knows, and the file that the start has read. An editor may have written
    /// it. `seq` is the last change.
    pub(crate) fn new(versions: FileVersions, seq: u64, last: State) -> Self {
        let now = Instant::now();
        let FileVersions { mut earlier, unnoted, read, .. } = versions;
        let earlier = earlier.split_off(earlier.len().saturating_sub(VERSIONS));
        Self {
            unnoted: (unnoted, now),
            versions: earlier.into_iter().map(|seq| (seq, now)).collect(),
            reports: read.into_iter().map(|(id, marks)| (id, marks.into())).collect(),
            edited: VecDeque::from([(seq, last.clone(), now)]),
            last,
        }
    }

    /// Adds a version of the file. `seq` is its last change, unless it contains an edit that is not yet merged.
    pub(crate) fn add(&mut self, seq: Option<u64>, state: &State) {
        if let Some(seq) = seq {
            self.versions.push_back((seq, Instant::now()));
            let excess = self.versions.len().saturating_sub(VERSIONS);
            self.versions.drain(..excess);
        }
        for entry in self.last.entries() {
            let id = entry.stored.item.id();
            match state.get(id) {
                Some(now) if Arc::ptr_eq(now, entry) || now.has_text_of(&entry.stored.item) => {}
                // An edited file may lack flows that exist.
                None if seq.is_some() => drop(self.reports.remove(&id)),
                _ => remember(self.reports.entry(id).or_default(), entry.marks()),
            }
        }
        self.last = state.clone();
    }

    /// Adds a version that an editor wrote.
    pub(crate) fn add_edited(&mut self, seq: u64, state: &State) {
        self.edited.push_back((seq, state.clone(), Instant::now()));
        let excess = self.edited.len().saturating_sub(EDITED);
        self.edited.drain(..excess);
    }

    /// Returns the versions that editors wrote.
    pub(crate) fn edited(&self) -> Vec<(u64, State)> {
        let recent = self.edited.iter().filter(|(_, _, written)| written.elapsed() < AGE);
        recent.map(|(seq, state, _)| (*seq, state.clone())).collect()
    }

    /// Returns the last changes of the versions.
    pub(crate) fn versions(&self) -> Vec<u64> {
        self.versions.iter().filter(|(_, written)| written.elapsed() < AGE).map(|(seq, _)| *seq).collect()
    }

    /// Returns the changes after which an earlier process may have written a version without a note.
    pub(crate) fn unnoted(&self) -> Range<u64> {
        let (unnoted, begin) = &self.unnoted;
        if begin.elapsed() < AGE { unnoted.clone() } else { 0..0 }
    }

    /// Returns the last versions that an earlier process may have written without a note.
    pub(crate) fn unnoted_versions(&self) -> Vec<u64> {
        let Range { start, end } = self.unnoted();
        (start.max(end.saturating_sub(UNNOTED))..end).collect()
    }

    /// Adds versions that were without a note until now.
    pub(crate) fn note(&mut self, versions: Vec<u64>) {
        self.unnoted.0 = 0..0;
        let now = Instant::now();
        self.versions.extend(versions.into_iter().map(|seq| (seq, now)));
    }

    /// Returns the marks of the runtime members of a flow that a version contains.
    pub(crate) fn reports(&self, id: FlowId) -> HashSet<u64> {
        let earlier = self.reports.get(&id).into_iter().flatten().copied();
        earlier.chain(self.last_marks(id)).collect()
    }

    /// Returns the marks of the current version and of the last ones before it.
    pub(crate) fn recent_reports(&self, id: FlowId) -> Vec<u64> {
        let earlier = self.reports.get(&id).into_iter().flatten().rev().take(RECENT_REPORTS).copied();
        let last: Vec<_> = self.last_marks(id).collect();
        let mut marks: Vec<_> = earlier.filter(|mark| !last.contains(mark)).collect();
        marks.reverse();
        marks.extend(last);
        marks
    }

    fn last_marks(&self, id: FlowId) -> impl Iterator<Item = u64> {
        self.last.get(id).map(|entry| entry.marks().to_vec()).into_iter().flatten()
    }
}

fn remember(reports: &mut VecDeque<u64>, marks: &[u64]) {
    reports.extend(marks.iter().copied().filter(|mark| !reports.contains(mark)).collect::<Vec<_>>());
    let excess = reports.len().saturating_sub(REPORTS);
    reports.drain(..excess);
}
