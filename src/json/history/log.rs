//! Reads history and feed from the history file and the journal, as far as they are synced.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use rpds::HashTrieMapSync;

use super::index::{Index, IndexedLine};
use crate::flow::{Flow, FlowId, Head};
use crate::json::journal::line::{self, Change, Line};
use crate::json::journal::{ChangeMeta, Hash, JournalEntry, Report, Segment, Tombstone};
use crate::json::state::{FlowEntry, State};
use crate::repository::{Feed, FeedCursor, Operation, Record, RepositoryError, Result, Revision, Since, Stored};

/// The log at one point in time. Cheap to clone. Does not include later changes.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// The id of the log. Cursors of another log are invalid.
    pub(crate) id: u64,
    /// The number of the last change.
    pub(crate) last: u64,
    /// The last change that was removed. There is no gap after it.
    pub(crate) horizon: u64,
    pub(crate) history: Option<Segment>,
    /// The records in the history, as far as it was read.
    pub(crate) index: Arc<Index>,
    pub(crate) journal: Option<Segment>,
}

impl Log {
    /// Returns at most `limit` revisions of a flow before this one, the newest first.
    pub(crate) fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>> {
        let mut found = Vec::new();
        let limit = limit as usize;
        let indexed = self.indexed();
        self.revisions_after(indexed, id, |change| {
            if before.is_none_or(|before| change.meta.revision < before) {
                found.push(self.record(change)?.map(head));
            }
            // Revisions ascend, so only the last ones count.
            if found.len() > 2 * limit {
                found.drain(..found.len() - limit);
            }
            Ok(())
        })?;
        found.reverse();
        found.truncate(limit);
        let mut before = before;
        while found.len() < limit
            && let lines = self.index.newest(id, indexed, before, limit - found.len())
            && let Some(last) = lines.last()
        {
            before = Some(last.revision);
            for line in lines {
                found.extend(self.read(line)?.map(|record| record.map(head)));
            }
        }
        Ok(found)
    }

    /// Returns one revision of a flow.
    pub(crate) fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>> {
        let mut found = None;
        let indexed = self.indexed();
        self.revisions_after(indexed, id, |change| {
            if change.meta.revision == revision {
                found = Some(self.record(change)?);
            }
            Ok(())
        })?;
        match self.index.find(id, indexed, revision).filter(|_| found.is_none()) {
            Some(line) => self.read(line),
            None => Ok(found),
        }
    }

    /// Returns the offset in the history up to which the index contains all lines.
    fn indexed(&self) -> u64 {
        self.history.as_ref().map_or(0, |history| history.end.min(self.index.end()))
    }

    /// Reads a line of the history. Returns `None` if it is damaged.
    fn read(&self, line: IndexedLine) -> Result<Option<Record<Flow>>> {
        let Some(history) = &self.history else { return Ok(None) };
        let text = history.read(line.offset, line.length as usize).map_err(unreadable)?;
        match line::parse(&text) {
            Some(Line::Change(change)) => self.record(change).map(Some),
            _ => Ok(None),
        }
    }

    /// Visits the revisions of a flow after this offset in the history.
    fn revisions_after(&self, indexed: u64, id: FlowId, mut visit: impl FnMut(Change<'_>) -> Result<()>) -> Result<()> {
        self.each_unindexed(indexed, |text| {
            if line::id_of(text) == Some(id)
                && let Some(Line::Change(change)) = line::parse(text)
                && change.meta.operation != Operation::State
            {
                visit(change)?;
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Returns the last deletion of each deleted flow, the latest first.
    pub(crate) fn deleted(&self, deleted: &HashTrieMapSync<FlowId, Tombstone>) -> Result<Vec<Record<Head>>> {
        let mut found = Vec::new();
        let indexed = self.indexed();
        for (id, tombstone) in deleted {
            let line = self.index.find(*id, indexed, tombstone.revision);
            if let Some(line) = line.filter(|line| line.operation == Operation::Delete) {
                found.extend(self.read(line)?.map(|record| record.map(head)));
            }
        }
        self.each_unindexed(indexed, |text| {
            if line::id_of(text).is_some_and(|id| deleted.contains_key(&id))
                && let Some(Line::Change(change)) = line::parse(text)
                && change.meta.operation == Operation::Delete
                && deleted.get(&change.id).is_some_and(|tombstone| tombstone.revision == change.meta.revision)
            {
                found.push(self.record(change)?.map(head));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        found.sort_by_key(|record| (std::cmp::Reverse(record.at), record.item.id));
        Ok(found)
    }

    /// Returns the documents of these flows after their last change.
    pub(crate) fn latest(&self, wanted: impl Fn(FlowId) -> bool) -> Result<HashMap<FlowId, Flow>> {
        let mut latest = HashMap::new();
        self.each_change(0, |text| {
            if line::id_of(text).is_some_and(&wanted)
                && let Some(Line::Change(change)) = line::parse(text)
            {
                latest.insert(change.id, parse(&change)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(latest)
    }

    /// Returns the documents of these versions of flows, as far as the log contains them.
    pub(crate) fn versions(&self, wanted: &HashSet<(FlowId, Hash)>) -> Result<HashMap<(FlowId, Hash), Flow>> {
        let mut found = HashMap::new();
        let ids: HashSet<_> = wanted.iter().map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return Ok(found);
        }
        let indexed = self.indexed();
        let mut visit = |text: &[u8]| {
            if line::id_of(text).is_some_and(|id| ids.contains(&id))
                && let Some(Line::Change(change)) = line::parse(text)
                && wanted.contains(&(change.id, change.meta.hash))
            {
                found.insert((change.id, change.meta.hash), parse(&change)?);
            }
            Ok(ControlFlow::Continue(()))
        };
        if let Some(history) = &self.history {
            for line in ids.iter().flat_map(|id| self.index.lines_of(*id, indexed)) {
                let _ = visit(&history.read(line.offset, line.length as usize).map_err(unreadable)?)?;
            }
        }
        self.each_unindexed(indexed, visit)?;
        Ok(found)
    }

    /// Returns entries for flows whose current revision no change records, so that their history contains it.
    pub(crate) fn unrecorded(&self, state: &State, entries: &[JournalEntry]) -> Result<Vec<JournalEntry>> {
        let mut recorded: HashSet<FlowId> = entries.iter().map(|entry| entry.flow.id()).collect();
        self.each_change(0, |text| {
            if let Some(Line::Change(change)) = line::parse(text) {
                let now = state.get(change.id).map(|entry| entry.stored.version.revision);
                if change.meta.operation != Operation::State && now == Some(change.meta.revision) {
                    recorded.insert(change.id);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let unrecorded = state.entries().filter(|entry| !recorded.contains(&entry.stored.item.id()));
        Ok(unrecorded.map(|entry| entry_of(entry)).collect())
    }

    /// Returns the log with these entries, which it writes to an unnamed temporary file only.
    pub(crate) fn with_entries(self, entries: &[JournalEntry]) -> io::Result<Self> {
        if entries.is_empty() {
            return Ok(self);
        }
        let file = tempfile::tempfile()?;
        let mut out = io::BufWriter::new(&file);
        if let Some(journal) = &self.journal {
            journal.copy(journal.start, journal.end, &mut out)?;
        }
        let mut last = self.last;
        let mut text = Vec::new();
        for entry in entries {
            last += 1;
            text.clear();
            line::print_change(&mut text, entry, last, self.last, (last, last));
            out.write_all(&text)?;
        }
        out.flush()?;
        drop(out);
        let end = file.metadata()?.len();
        let journal = Segment { file: Arc::new(file), start: 0, end, last };
        Ok(Self { last, journal: Some(journal), ..self })
    }

    /// Returns at most `limit` changes after a cursor. `state` has the flows after the last change.
    pub(crate) fn changes<T>(
        &self,
        state: &State,
        since: Since,
        limit: u32,
        view: impl Fn(Flow) -> T,
    ) -> Result<Feed<T>> {
        let after = match since {
            Since::Oldest => self.horizon,
            Since::Now => self.last,
            Since::After(cursor) if self.contains(cursor) => cursor.number,
            Since::After(_) => return Err(RepositoryError::Gone),
        };
        let mut feed = Feed { changes: Vec::new(), next: self.cursor(after), newest: self.cursor(self.last) };
        if limit == 0 || after == self.last {
            return Ok(feed);
        }
        let is_full = |changes: &Vec<Record<T>>| changes.len() >= limit as usize;
        let reported = state.reported_after(after).map(|(seq, report, stored)| (seq, self.report(report, stored)));
        // A report that was found in the file may not be in the journal yet.
        let mut reported = reported.take_while(|(seq, _)| *seq <= self.last).peekable();
        self.each_after(after, 0, |is_in_journal, _, text| {
            let seq = line::seq_of(text).unwrap_or(after);
            while let Some((_, report)) = reported.next_if(|(report, _)| *report <= seq && !is_full(&feed.changes)) {
                feed.changes.push(report.map(&view));
            }
            if is_full(&feed.changes) {
                return Ok(ControlFlow::Break(()));
            }
            // A reader of the feed must not miss a change, so a damaged line invalidates the cursor.
            let Some(Line::Change(change)) = line::parse(text) else { return Err(RepositoryError::Gone) };
            if change.meta.operation != Operation::State || !is_in_journal && is_old_report(state, &change) {
                feed.changes.push(self.record(change)?.map(&view));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let rest = (limit as usize).saturating_sub(feed.changes.len());
        feed.changes.extend(reported.take(rest).map(|(_, report)| report.map(&view)));
        // A page that is not full ends with the feed, although the last lines may be of reports that it omits.
        let last = feed.changes.last().filter(|_| is_full(&feed.changes)).map(|last| last.cursor);
        feed.next = last.unwrap_or(feed.newest);
        Ok(feed)
    }

    fn report(&self, report: &Report, stored: &Stored<Flow>) -> Record<Flow> {
        let Report { seq, at, author } = report.clone();
        let (cursor, operation, item) = (self.cursor(seq), Operation::State, stored.item.clone());
        Record { cursor, operation, item, revision: stored.version.revision, at, author }
    }

    /// Whether this is a cursor of this log and all changes after it are available.
    pub(crate) fn contains(&self, cursor: FeedCursor) -> bool {
        let FeedCursor { log, transaction, number } = cursor;
        (log, transaction) == (self.id, 0) && (self.horizon..=self.last).contains(&number)
    }

    pub(crate) fn cursor(&self, number: u64) -> FeedCursor {
        FeedCursor { log: self.id, transaction: 0, number }
    }

    pub(crate) fn record(&self, change: Change<'_>) -> Result<Record<Flow>> {
        Ok(Record {
            cursor: self.cursor(change.seq),
            operation: change.meta.operation,
            item: parse(&change)?,
            revision: change.meta.revision,
            at: change.meta.at,
            author: change.meta.author,
        })
    }

    /// Visits each line with a change after this one, each number once. Does not verify checksums.
    pub(crate) fn each_change(
        &self,
        after: u64,
        mut visit: impl FnMut(&[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        self.each_after(after, 0, |_, _, text| visit(text))
    }

    /// Visits each line with a change after this offset in the history.
    fn each_unindexed(&self, indexed: u64, mut visit: impl FnMut(&[u8]) -> Result<ControlFlow<()>>) -> Result<()> {
        self.each_after(0, indexed, |_, _, text| visit(text))
    }

    /// Visits each line with a change, whether it is in the journal, and its offset.
    pub(crate) fn each_location(&self, visit: impl FnMut(bool, u64, &[u8]) -> Result<ControlFlow<()>>) -> Result<()> {
        self.each_after(0, 0, visit)
    }

    fn each_after(
        &self,
        mut after: u64,
        skipped: u64,
        mut visit: impl FnMut(bool, u64, &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        for (segment, is_journal) in [(&self.history, false), (&self.journal, true)] {
            let Some(segment) = segment else { continue };
            if segment.last <= after {
                continue;
            }
            let mut outcome = Ok(ControlFlow::Continue(()));
            let from = segment.find(after).map_err(unreadable)?;
            let from = if is_journal { from } else { from.max(skipped) };
            let read = segment.each_line(from, |offset, text, _| {
                if line::seq_of(text).is_some_and(|seq| seq > after) {
                    outcome = visit(is_journal, offset, text);
                    return Ok(if matches!(outcome, Ok(ControlFlow::Continue(()))) {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    });
                }
                Ok(ControlFlow::Continue(()))
            });
            read.map_err(unreadable)?;
            if outcome?.is_break() {
                break;
            }
            // After a crash the journal may begin with changes that the history already contains.
            after = after.max(segment.last);
        }
        Ok(())
    }
}

/// Whether this is the newest report of a flow in the history. Only older versions moved reports there, and their journals do not
/// name them.
fn is_old_report(state: &State, change: &Change<'_>) -> bool {
    let now = state.get(change.id).filter(|now| now.report.is_none());
    now.is_some_and(|now| now.stored.item.document().get() == change.flow.get())
}

fn head(flow: Flow) -> Head {
    flow.head().clone()
}

fn parse(change: &Change<'_>) -> Result<Flow> {
    Flow::parse(change.flow.get()).map_err(|refusal| {
        RepositoryError::Corrupt(format!("revision {} of {}: {refusal}", change.meta.revision, change.id))
    })
}

pub(crate) fn unreadable(error: io::Error) -> RepositoryError {
    RepositoryError::Corrupt(format!("journal or history: {error}"))
}

/// Builds the entry for the current revision of a flow.
fn entry_of(entry: &FlowEntry) -> JournalEntry {
    let Stored { item, version } = entry.stored.clone();
    let is_first = version.revision == Revision::FIRST;
    let meta = ChangeMeta {
        operation: if is_first { Operation::Create } else { Operation::Update },
        revision: version.revision,
        at: version.updated_at,
        author: version.author,
        created_at: version.created_at,
        hash: entry.hash,
    };
    JournalEntry { meta, flow: item }
}
