//! Finds the records of a flow in the history file, in memory.
//!
//! A thread reads the file after the start. Until it has finished, a look-up reads the rest of the file itself. The index needs 32
//! bytes per record, and up to twice as much while it grows. It only says where a record may be: a reader verifies the line.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chrono::{DateTime, Utc};

use crate::flow::FlowId;
use crate::json::journal::Segment;
use crate::json::journal::line::{self, Change, Line};
use crate::json::mutex::lock;
use crate::repository::{Operation, Revision};

/// The size of the part of the file that is read before readers see it in the index, in bytes.
const PART: u64 = 1 << 20;

/// The records of one history file, as far as it was read. A file only grows until another one replaces it.
#[derive(Debug, Default)]
pub(crate) struct Index {
    lines: RwLock<Lines>,
    /// Allows one reader of the file at a time.
    reading: Mutex<()>,
}

#[derive(Debug, Default)]
struct Lines {
    /// The records of each flow, in the order of the file.
    flows: HashMap<FlowId, Vec<IndexedLine>>,
    /// The end of the last line.
    end: u64,
    damage: Damage,
}

/// The location of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexedLine {
    pub(crate) offset: u64,
    pub(crate) revision: Revision,
    /// In microseconds of Unix time.
    pub(super) at: i64,
    pub(crate) length: u32,
    pub(crate) operation: Operation,
}

/// The unreadable lines of a history file. What is between two consecutive changes does not count: it is the rest of an append that
/// a power cut has interrupted and that was repeated.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Damage {
    pub(crate) lines: usize,
    /// The last change that may be missing because of them.
    pub(crate) last: u64,
    /// The last change, and the unreadable lines after it.
    before: Option<u64>,
    since: usize,
}

impl IndexedLine {
    pub(crate) fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.at).unwrap_or_default()
    }
}

impl Index {
    /// Returns the index of a file without lines that begin before this offset.
    pub(crate) fn from(start: u64) -> Self {
        Self { lines: RwLock::new(Lines { end: start, ..Lines::default() }), reading: Mutex::default() }
    }

    /// Adds at most this many bytes of the file. Returns whether the index contains all of it then.
    pub(crate) fn extend(&self, segment: &Segment, at_most: u64) -> io::Result<bool> {
        let _one = lock(&self.reading);
        let begin = self.end().max(segment.start);
        let limit = segment.end.min(begin.saturating_add(at_most));
        let mut found = Vec::new();
        let mut damage = self.damage();
        let mut part = begin;
        segment.each_line(begin, |offset, text, _| {
            let end = offset + text.len() as u64 + 1;
            match line::parse(text) {
                Some(Line::Change(change)) => {
                    damage.pass(change.seq);
                    found.push((change.id, IndexedLine::of(&change, offset, text.len())));
                }
                Some(_) => {}
                None => damage.since += 1,
            }
            if end >= limit || end - part >= PART {
                part = end;
                self.write().add(found.drain(..), end, damage);
            }
            Ok(if end >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(self.end() >= segment.end)
    }

    /// Returns the offset up to which the file was read.
    pub(crate) fn end(&self) -> u64 {
        self.read().end
    }

    /// Returns the unreadable lines.
    pub(crate) fn damage(&self) -> Damage {
        self.read().damage
    }

    /// Returns at most `limit` records of a flow that begin before this offset, with revisions before this one, the newest first.
    pub(crate) fn newest(&self, id: FlowId, end: u64, before: Option<Revision>, limit: usize) -> Vec<IndexedLine> {
        let lines = self.read();
        let of_flow = lines.flows.get(&id).into_iter().flatten().rev().copied();
        let wanted = of_flow.filter(|line| {
            let is_before = before.is_none_or(|before| line.revision < before);
            line.offset < end && is_before && line.operation != Operation::State
        });
        wanted.take(limit).collect()
    }

    /// Returns the record of a revision that begins before this offset.
    pub(crate) fn find(&self, id: FlowId, end: u64, revision: Revision) -> Option<IndexedLine> {
        let lines = self.read();
        let mut of_flow = lines.flows.get(&id)?.iter().rev().copied();
        of_flow.find(|line| line.revision == revision && line.offset < end && line.operation != Operation::State)
    }

    /// Returns all lines of a flow that begin before this offset, in the order of the file.
    pub(crate) fn lines_of(&self, id: FlowId, end: u64) -> Vec<IndexedLine> {
        let lines = self.read();
        let of_flow = lines.flows.get(&id).into_iter().flatten().copied();
        of_flow.take_while(|line| line.offset < end).collect()
    }

    /// Visits the lines of each flow that begin before this offset, in the order of the file.
    pub(crate) fn each_flow(&self, end: u64, mut visit: impl FnMut(FlowId, &[IndexedLine])) {
        for (id, lines) in &self.read().flows {
            visit(*id, &lines[..lines.partition_point(|line| line.offset < end)]);
        }
    }

    /// Adds lines up to this offset, in the order of the file.
    pub(crate) fn add(&self, found: impl Iterator<Item = (FlowId, IndexedLine)>, end: u64) {
        self.write().add(found, end, Damage::default());
    }

    fn read(&self) -> RwLockReadGuard<'_, Lines> {
        self.lines.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Lines> {
        self.lines.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn add(&mut self, found: impl Iterator<Item = (FlowId, IndexedLine)>, end: u64, damage: Damage) {
        for (id, line) in found {
            self.flows.entry(id).or_default().push(line);
        }
        (self.end, self.damage) = (end, damage);
    }
}

impl IndexedLine {
    fn of(change: &Change<'_>, offset: u64, length: usize) -> Self {
        let (revision, at, operation) =
            (change.meta.revision, change.meta.at.timestamp_micros(), change.meta.operation);
        // A document has at most 16 MiB.
        Self { offset, revision, at, length: u32::try_from(length).unwrap_or(u32::MAX), operation }
    }
}

impl Damage {
    fn pass(&mut self, seq: u64) {
        if self.since > 0 && self.before.is_none_or(|before| seq > before + 1) {
            self.lines += self.since;
            self.last = seq - 1;
        }
        (self.before, self.since) = (Some(seq), 0);
    }

    /// Returns the number of unreadable lines.
    pub(crate) fn count(&self) -> usize {
        self.lines + self.since
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use chrono::DateTime;

    use super::Index;
    use crate::flow::{Flow, FlowId, Runtime};
    use crate::json::history::Log;
    use crate::json::journal::line::print_change;
    use crate::json::journal::{JournalEntry, Segment};
    use crate::repository::{Author, Operation, Revision, Stamp};

    const FLOWS: u64 = 3;
    const REVISIONS: u64 = 40;

    fn id(number: u64) -> FlowId {
        uuid::Uuid::from_u128(number.into()).into()
    }

    /// Returns a history of flows that were saved and reported in turn. One line is damaged.
    fn history() -> Segment {
        let mut text = Vec::new();
        let (mut seq, mut damaged) = (0, 0);
        for revision in 1..=REVISIONS {
            for number in 0..FLOWS {
                let document = format!(r#"{{"id":"{}","name":"{revision}"}}"#, id(number).as_uuid());
                let flow = Flow::parse(&document).unwrap();
                let at = DateTime::from_timestamp(revision as i64, 0).unwrap();
                let (stamp, hash) = (Stamp::new(at, Author::new("a")), flow.hash(Runtime::Exclude).unwrap());
                for operation in [Operation::Update, Operation::State] {
                    seq += 1;
                    let entry = JournalEntry::by(&stamp, operation, Revision::new(revision), at, hash, flow.clone());
                    print_change(&mut text, &entry, seq, seq - 1, (seq, seq));
                }
                if (revision, number) == (7, 1) {
                    damaged = text.len() - 700;
                }
            }
        }
        text[damaged] ^= 1;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&text).unwrap();
        Segment { file: Arc::new(file), start: 0, end: text.len() as u64, last: seq }
    }

    #[test]
    fn index_finds_what_a_scan_of_the_file_finds() {
        let history = history();
        let log = |read: u64| {
            let index = Arc::new(Index::from(0));
            assert_eq!(index.extend(&history, read).unwrap(), read >= history.end);
            Log { id: 1, last: history.last, horizon: 0, history: Some(history.clone()), index, journal: None }
        };
        let whole = log(history.end);
        assert_eq!(whole.index.damage().count(), 1);
        let scanned = log(0);
        for log in [whole, log(history.end / 2), log(1)] {
            for number in 0..=FLOWS {
                let id = id(number);
                for before in [None, Some(Revision::new(9)), Some(Revision::new(1))] {
                    let page = |log: &Log, limit| {
                        let records = log.history(id, before, limit).unwrap();
                        records.into_iter().map(|record| (record.cursor, record.item)).collect::<Vec<_>>()
                    };
                    for limit in [0, 1, 5, 1_000] {
                        assert_eq!(page(&log, limit), page(&scanned, limit));
                    }
                }
                for revision in [0, 1, 7, 20, 40, 41].map(Revision::new) {
                    let found = |log: &Log| log.revision(id, revision).unwrap().map(|record| record.cursor);
                    assert_eq!(found(&log), found(&scanned));
                }
                let hashes = (1..=3).map(|name| {
                    let flow = Flow::parse(&format!(r#"{{"id":"{}","name":"{name}"}}"#, id.as_uuid())).unwrap();
                    (id, flow.hash(Runtime::Exclude).unwrap())
                });
                let wanted = hashes.collect();
                let found = |log: &Log| log.versions(&wanted).unwrap().len();
                assert_eq!(found(&log), found(&scanned));
            }
        }
    }
}
