//! The history file, open for writing.

use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::retention_plan::RetentionPlan;
use crate::disk::Disk;
use crate::disk::durable::Prepared;
use crate::json::journal::line::{self, FORMAT, Header, Line};
use crate::json::journal::{AppendFile, Segment};
use crate::repository::{Operation, Retention};
use crate::retention_clock::RetentionClock;

/// The history file, open for writing.
#[derive(Debug)]
pub(crate) struct History {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: AppendFile,
    pub(crate) log: u64,
    /// The last change that the retention has removed.
    pub(crate) horizon: u64,
    start: u64,
    last: u64,
    /// The length of the file at the last check for removable changes.
    swept: u64,
}

impl History {
    /// Reads the history file, if there is one.
    pub(crate) fn open(disk: &Arc<dyn Disk>, path: &Path, file: Option<&Arc<File>>) -> io::Result<Opened> {
        let Some(file) = file.cloned() else { return Ok(Opened::Missing) };
        let length = file.metadata()?.len();
        let mut whole = Segment { file: Arc::clone(&file), start: 0, end: length, last: 0 };
        let mut header = None;
        whole.each_line(0, |_, text, is_whole| {
            if let Some(Line::Header(first)) = line::parse(text).filter(|_| is_whole)
                && first.strom == "history"
            {
                header = Some((Header { strom: "history".into(), ..first }, text.len() as u64 + 1));
            }
            Ok(ControlFlow::Break(()))
        })?;
        let Some((header, start)) = header else { return Ok(Opened::Foreign) };
        if header.format > FORMAT {
            return Ok(Opened::Newer);
        }
        whole.start = start;
        let (last, end) = whole.last_change()?;
        let horizon = header.after;
        let file = AppendFile::existing(disk, path, file, end, end);
        let (disk, path, log, last) = (Arc::clone(disk), path.to_owned(), header.log, last.max(horizon));
        Ok(Opened::Existing(Box::new(Self { disk, path, file, log, horizon, start, last, swept: 0 })))
    }

    /// Discards everything after this change, which was the last one when the journal began. The journal contains the
    /// later changes, and it is unknown whether the history synced them.
    pub(crate) fn discard_after(&mut self, last: u64) -> io::Result<()> {
        if self.last > last {
            self.file.cut(self.segment().end_of(last)?);
            self.last = last;
        }
        Ok(())
    }

    /// Creates a history without changes. `horizon` is the last change that it could have contained.
    pub(crate) fn create(disk: &Arc<dyn Disk>, path: &Path, log: u64, horizon: u64) -> io::Result<Self> {
        let prepared = Prepared::write(disk, path, |out| out.write_all(&header(log, horizon)))?;
        let start = prepared.length();
        let file = AppendFile::put(disk, path, prepared, None)?;
        let (disk, path) = (Arc::clone(disk), path.to_owned());
        Ok(Self { disk, path, file, log, horizon, start, last: horizon, swept: start })
    }

    pub(crate) fn segment(&self) -> Segment {
        self.file.segment(self.start, self.last)
    }

    /// Appends the changes of the journal up to this one. Omits changes that the history already contains, and reports,
    /// which are state.
    pub(crate) fn take(&mut self, journal: &Segment, upto: u64) -> io::Result<()> {
        self.file.restore()?;
        let have = self.last;
        let mut last = have;
        let print = |out: &mut dyn Write| {
            each_between(journal, have, upto, |seq, text| {
                if !is_report(text) {
                    out.write_all(text)?;
                    out.write_all(b"\n")?;
                    last = seq;
                }
                Ok(())
            })
        };
        self.file.append(print, || Ok(()))?;
        self.last = last;
        Ok(())
    }

    /// Removes what the retention does not keep if it makes up half of the file. Checks again when the file has
    /// doubled. Removes nothing after a jump of the clock.
    pub(crate) fn compact(&mut self, retention: Retention, clock: &RetentionClock) -> io::Result<()> {
        let segment = self.segment();
        if segment.end < 2 * self.swept || clock.is_paused() {
            return Ok(());
        }
        let keep = RetentionPlan::find(&segment, retention, clock)?;
        if keep.bytes * 2 > segment.end {
            self.swept = segment.end;
            return Ok(());
        }
        self.rewrite(&segment, &keep)
    }

    /// Like [`compact`](Self::compact), regardless of how much there is to remove and of jumps of the clock: the tests of the
    /// retention let days pass between two calls.
    #[cfg(feature = "testkit")]
    pub(crate) fn compact_now(&mut self, retention: Retention, clock: &RetentionClock) -> io::Result<()> {
        let segment = self.segment();
        self.rewrite(&segment, &RetentionPlan::find(&segment, retention, clock)?)
    }

    fn rewrite(&mut self, segment: &Segment, keep: &RetentionPlan) -> io::Result<()> {
        self.swept = keep.bytes;
        let horizon = self.horizon.max(keep.horizon);
        let mut prepared = Prepared::write(&self.disk, &self.path, |out| out.write_all(&header(self.log, horizon)))?;
        let start = prepared.length();
        prepared.append(|out| {
            segment.each_line(0, |_, text, _| {
                if keep.keeps(text) {
                    out.write_all(text)?;
                    out.write_all(b"\n")?;
                }
                Ok(ControlFlow::Continue(()))
            })
        })?;
        self.file.check_replaceable()?;
        self.file = AppendFile::put(&self.disk, &self.path, prepared, Some(&segment.file))?;
        (self.horizon, self.start) = (horizon, start);
        Ok(())
    }
}

/// Returns the number of damaged lines. Does not count what is between two consecutive changes: it is the rest of an
/// append that a power cut has interrupted and that was repeated.
pub(crate) fn damaged_lines(segment: &Segment) -> io::Result<usize> {
    let (mut damaged, mut since_last) = (0, 0);
    let mut last = None;
    segment.each_line(0, |_, text, _| {
        match line::parse(text) {
            Some(Line::Change(change)) => {
                if last.is_none_or(|last| change.seq > last + 1) {
                    damaged += since_last;
                }
                (last, since_last) = (Some(change.seq), 0);
            }
            Some(_) => {}
            None => since_last += 1,
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(damaged + since_last)
}

/// The state of the path of a history.
#[derive(Debug)]
pub(crate) enum Opened {
    Existing(Box<History>),
    Missing,
    /// A file whose first line is not the header of a history.
    Foreign,
    /// The history of a newer version.
    Newer,
}

fn header(log: u64, after: u64) -> Vec<u8> {
    let mut text = Vec::new();
    line::print_header(&mut text, &Header { strom: "history".into(), format: FORMAT, log, after, kept: 0, lines: 0 });
    text
}

/// Visits the changes of the journal after one change and up to another.
fn each_between(
    journal: &Segment,
    after: u64,
    upto: u64,
    mut visit: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    journal.each_line(journal.find(after)?, |_, text, _| {
        match line::seq_of(text) {
            Some(seq) if seq > upto => return Ok(ControlFlow::Break(())),
            Some(seq) if seq > after => visit(seq, text)?,
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    })
}

fn is_report(text: &[u8]) -> bool {
    matches!(line::parse(text), Some(Line::Change(change)) if change.meta.operation == Operation::State)
}
