//! What history and feed read: the history file and, behind it, the journal, as far as they are on the disk.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use rpds::HashTrieMapSync;

use super::line::{self, Change, Line};
use super::segment::Segment;
use super::state::{Deletion, Made, State};
use crate::flow::{Flow, FlowId, Head};
use crate::repository::{Feed, FeedCursor, Operation, Record, RepositoryError, Result, Revision, Since};

/// The log as of one moment. Cheap to clone; what is appended later is not in it.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// Which log it is; the cursors of another one mean nothing.
    pub(super) id: u64,
    /// The number of the last change.
    pub(super) last: u64,
    /// The last change that was let go. Behind it there is no gap.
    pub(super) horizon: u64,
    pub(super) history: Option<Segment>,
    pub(super) journal: Option<Segment>,
}

impl Log {
    /// At most `limit` revisions of a flow before this one, newest first.
    pub(super) fn history(&self, id: FlowId, before: Option<Revision>, limit: u32) -> Result<Vec<Record<Head>>> {
        let mut found = Vec::new();
        let limit = limit as usize;
        self.revisions(id, |change| {
            if before.is_none_or(|before| change.facts.revision < before) {
                found.push(self.record(change)?.map(head));
            }
            // Revisions ascend, so what is asked for comes last.
            if found.len() > 2 * limit {
                found.drain(..found.len() - limit);
            }
            Ok(())
        })?;
        found.reverse();
        found.truncate(limit);
        Ok(found)
    }

    /// One revision of a flow.
    pub(super) fn revision(&self, id: FlowId, revision: Revision) -> Result<Option<Record<Flow>>> {
        let mut found = None;
        self.revisions(id, |change| {
            if change.facts.revision == revision {
                found = Some(self.record(change)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn revisions(&self, id: FlowId, mut visit: impl FnMut(Change<'_>) -> Result<()>) -> Result<()> {
        self.each_change(0, |text| {
            if line::id_of(text) == Some(id)
                && let Some(Line::Change(change)) = line::parse(text)
                && change.facts.operation != Operation::State
            {
                visit(change)?;
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// The last deletions of flows that are not there, the latest first.
    pub(super) fn deleted(&self, deleted: &HashTrieMapSync<FlowId, Deletion>) -> Result<Vec<Record<Head>>> {
        let mut found = Vec::new();
        self.each_change(0, |text| {
            if line::id_of(text).is_some_and(|id| deleted.contains_key(&id))
                && let Some(Line::Change(change)) = line::parse(text)
                && change.facts.operation == Operation::Delete
                && deleted.get(&change.id).is_some_and(|deletion| deletion.revision == change.facts.revision)
            {
                found.push(self.record(change)?.map(head));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        found.sort_by_key(|record| (std::cmp::Reverse(record.at), record.item.id));
        Ok(found)
    }

    /// The documents of these flows as the last change to each has left them.
    pub(super) fn latest(&self, wanted: impl Fn(FlowId) -> bool) -> Result<HashMap<FlowId, Flow>> {
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

    /// What flows are now and no change tells any more, so that the next change will not be the end of it.
    pub(super) fn untold(&self, state: &State, made: &[Made]) -> Result<Vec<Made>> {
        let mut told: HashSet<FlowId> = made.iter().map(|made| made.flow.id()).collect();
        self.each_change(0, |text| {
            if let Some(Line::Change(change)) = line::parse(text) {
                let now = state.get(change.id).map(|entry| entry.stored.version.revision);
                if change.facts.operation != Operation::State && now == Some(change.facts.revision) {
                    told.insert(change.id);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let untold = state.entries().filter(|entry| !told.contains(&entry.stored.item.id()));
        Ok(untold.map(|entry| Made::again(entry)).collect())
    }

    /// The log as it would be with these changes, which are written nowhere but into a file without a name.
    pub(super) fn with(self, made: &[Made]) -> io::Result<Self> {
        if made.is_empty() {
            return Ok(self);
        }
        let file = tempfile::tempfile()?;
        let mut out = io::BufWriter::new(&file);
        if let Some(journal) = &self.journal {
            journal.copy(journal.start, journal.end, &mut out)?;
        }
        let mut last = self.last;
        let mut text = Vec::new();
        for made in made {
            last += 1;
            text.clear();
            line::print_change(&mut text, made, last, self.last, (last, last));
            out.write_all(&text)?;
        }
        out.flush()?;
        drop(out);
        let end = file.metadata()?.len();
        let journal = Segment { file: Arc::new(file), start: 0, end, last };
        Ok(Self { last, journal: Some(journal), ..self })
    }

    /// At most `limit` changes behind a place.
    pub(super) fn changes<T>(&self, since: Since, limit: u32, view: impl Fn(Flow) -> T) -> Result<Feed<T>> {
        let after = match since {
            Since::Oldest => self.horizon,
            Since::Now => self.last,
            Since::After(cursor) if self.has(cursor) => cursor.number,
            Since::After(_) => return Err(RepositoryError::Gone),
        };
        let mut feed = Feed { changes: Vec::new(), next: self.cursor(after), newest: self.cursor(self.last) };
        if limit == 0 || after == self.last {
            return Ok(feed);
        }
        self.each_change(after, |text| {
            // Who follows the feed must not miss a change that cannot be read any more.
            let Some(Line::Change(change)) = line::parse(text) else { return Err(RepositoryError::Gone) };
            feed.next = self.cursor(change.seq);
            feed.changes.push(self.record(change)?.map(&view));
            let is_full = feed.changes.len() >= limit as usize;
            Ok(if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(feed)
    }

    /// Whether it is a place of this log behind which nothing is missing.
    pub(super) fn has(&self, cursor: FeedCursor) -> bool {
        let FeedCursor { log, transaction, number } = cursor;
        (log, transaction) == (self.id, 0) && (self.horizon..=self.last).contains(&number)
    }

    pub(super) fn cursor(&self, number: u64) -> FeedCursor {
        FeedCursor { log: self.id, transaction: 0, number }
    }

    pub(super) fn record(&self, change: Change<'_>) -> Result<Record<Flow>> {
        Ok(Record {
            cursor: self.cursor(change.seq),
            operation: change.facts.operation,
            item: parse(&change)?,
            revision: change.facts.revision,
            at: change.facts.at,
            author: change.facts.author,
        })
    }

    /// Shows each line with a change behind this one, each number once. Its checksum is not looked at.
    pub(super) fn each_change(
        &self,
        after: u64,
        mut visit: impl FnMut(&[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        self.each_behind(after, |_, _, text| visit(text))
    }

    /// Shows each line with a change, and where it stands: whether in the journal, and at which byte.
    pub(super) fn each_place(&self, visit: impl FnMut(bool, u64, &[u8]) -> Result<ControlFlow<()>>) -> Result<()> {
        self.each_behind(0, visit)
    }

    fn each_behind(
        &self,
        mut after: u64,
        mut visit: impl FnMut(bool, u64, &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        for (segment, is_journal) in [(&self.history, false), (&self.journal, true)] {
            let Some(segment) = segment else { continue };
            if segment.last <= after {
                continue;
            }
            let mut outcome = Ok(ControlFlow::Continue(()));
            let from = segment.find(after).map_err(unreadable)?;
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
            // After a crash the journal may begin with changes that were moved to the history already.
            after = after.max(segment.last);
        }
        Ok(())
    }
}

fn head(flow: Flow) -> Head {
    flow.head().clone()
}

fn parse(change: &Change<'_>) -> Result<Flow> {
    Flow::parse(change.flow.get()).map_err(|refusal| {
        RepositoryError::Corrupt(format!("revision {} of {}: {refusal}", change.facts.revision, change.id))
    })
}

pub(super) fn unreadable(error: io::Error) -> RepositoryError {
    RepositoryError::Corrupt(format!("journal or history: {error}"))
}
