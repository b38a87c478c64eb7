//! The history file, open for writing.

use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compaction::{Compacted, Source};
use super::index::Index;
use crate::disk::Disk;
use crate::disk::durable::Prepared;
use crate::json::journal::line::{self, FORMAT, Header, Line};
use crate::json::journal::{AppendFile, Segment};
use crate::repository::Operation;
use crate::retention_clock::RetentionClock;

/// A compaction begins when the file has grown by this part since the last one.
const GROWTH: u64 = 16;
/// The size of the rest of the file that an append reads into the index, in bytes.
const NEARLY_READ: u64 = 1 << 24;

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
    pub(crate) index: Arc<Index>,
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
        Ok(Opened::Existing(Box::new(Self {
            disk,
            path,
            file,
            log,
            horizon,
            start,
            last,
            swept: 0,
            index: Arc::new(Index::from(start)),
        })))
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
        let prepared = Prepared::write(disk, path, |out| out.write_all(&line::history_header(log, horizon)))?;
        let start = prepared.length();
        let file = AppendFile::put(disk, path, prepared, None)?;
        let (disk, path) = (Arc::clone(disk), path.to_owned());
        let index = Arc::new(Index::from(start));
        Ok(Self { disk, path, file, log, horizon, start, last: horizon, swept: start, index })
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
        let before = self.segment().end;
        self.file.append(print, || Ok(()))?;
        self.last = last;
        // Otherwise the thread that reads the file after the start does this.
        if self.index.end() + NEARLY_READ > before {
            self.index.extend(&self.segment(), u64::MAX)?;
        }
        Ok(())
    }

    /// Returns what a compaction reads, unless the file has hardly grown since the last one, or nothing may be deleted after a
    /// jump of the clock.
    pub(crate) fn compactable(&self, clock: &RetentionClock) -> Option<Source> {
        let segment = self.segment();
        (segment.end.saturating_sub(self.swept) > self.swept / GROWTH && !clock.is_paused()).then(|| self.source())
    }

    /// Returns what a compaction reads.
    pub(crate) fn source(&self) -> Source {
        let (disk, path, index) = (Arc::clone(&self.disk), self.path.clone(), Arc::clone(&self.index));
        Source { disk, path, log: self.log, horizon: self.horizon, segment: self.segment(), index }
    }

    /// Records that a compaction has found nothing to remove before this offset.
    pub(crate) fn set_swept(&mut self, end: u64) {
        self.swept = end;
    }

    /// Copies the lines that were appended since a compaction began. Returns whether the compacted file may replace this one, which
    /// another one may have replaced.
    pub(crate) fn catch_up(&self, compacted: &mut Compacted) -> io::Result<bool> {
        let (now, read) = (self.segment(), &mut compacted.source.segment);
        if !Arc::ptr_eq(&now.file, &read.file) {
            return Ok(false);
        }
        if now.end > read.end {
            compacted.prepared.append(|out| now.copy(read.end, now.end, out))?;
            *read = now;
        }
        Ok(true)
    }

    /// Replaces the file with a compacted one, which has [caught up](Self::catch_up).
    pub(crate) fn put(&mut self, compacted: Compacted) -> io::Result<()> {
        let Compacted { prepared, index, horizon, start, source } = compacted;
        self.file.check_replaceable()?;
        self.swept = prepared.length();
        self.file = AppendFile::put(&self.disk, &self.path, prepared, Some(&source.segment.file))?;
        (self.horizon, self.start, self.index) = (horizon, start, Arc::new(index));
        self.index.extend(&self.segment(), u64::MAX)?;
        Ok(())
    }
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
