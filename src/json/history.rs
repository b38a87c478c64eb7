//! The history: changes that the journal has let go, kept for as long as [`Retention`] says.
//!
//! `<file>.history` has the lines of the journal, each as it was. Changes are moved there when the journal has grown
//! enough and `flows.json` has them. What is no longer to be kept goes when it makes up half of the file, which is then
//! written anew. Nobody who saves waits for any of it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::append_file::AppendFile;
use super::journal::beside;
use super::line::{self, FORMAT, Header, Line};
use super::segment::Segment;
use crate::disk::Disk;
use crate::disk::durable::Prepared;
use crate::flow::FlowId;
use crate::repository::{Operation, Retention, Revision};

/// The history, open for writing.
#[derive(Debug)]
pub(super) struct History {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: AppendFile,
    pub(super) log: u64,
    /// The last change that was let go.
    pub(super) horizon: u64,
    start: u64,
    last: u64,
    /// How long the file was when it was last looked through.
    swept: u64,
}

impl History {
    /// Opens the history, if there is one; otherwise says so, or what is wrong with it.
    pub(super) fn open(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<Opened> {
        let file = match File::options().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Opened::Missing),
            // In a place that cannot be written it is only read.
            Err(_) => File::open(path)?,
            Ok(file) => file,
        };
        let file = Arc::new(file);
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
        Ok(Opened::Found(Self { disk, path, file, log, horizon, start, last, swept: 0 }))
    }

    /// Believes nothing behind this change, which was the last when the journal began: the journal has it, and whether it
    /// was on the disk nobody knows.
    pub(super) fn believe(&mut self, last: u64) -> io::Result<()> {
        if self.last > last {
            self.file.cut(self.segment().begin_behind(last)?);
            self.last = last;
        }
        Ok(())
    }

    /// A history without changes. `horizon` is the last change that it could have had.
    pub(super) fn create(disk: &Arc<dyn Disk>, path: &Path, log: u64, horizon: u64) -> io::Result<Self> {
        let prepared = Prepared::write(disk, path, |out| out.write_all(&header(log, horizon)))?;
        let start = prepared.length();
        let file = AppendFile::put(disk, path, prepared)?;
        let (disk, path) = (Arc::clone(disk), path.to_owned());
        Ok(Self { disk, path, file, log, horizon, start, last: horizon, swept: start })
    }

    pub(super) fn segment(&self) -> Segment {
        self.file.segment(self.start, self.last)
    }

    /// Appends the changes of the journal up to this one, those left out that it has already, and reports whose flow has
    /// changed again.
    pub(super) fn take(&mut self, journal: &Segment, upto: u64) -> io::Result<()> {
        if !self.file.put_back()? {
            return Err(io::Error::other("somebody has replaced the history"));
        }
        let mut latest: HashMap<FlowId, u64> = HashMap::new();
        let have = self.last;
        each_between(journal, have, upto, |seq, id, _| {
            latest.insert(id, seq);
            Ok(())
        })?;
        let mut last = have;
        self.file.append(true, |out| {
            each_between(journal, have, upto, |seq, id, text| {
                let is_old_report = seq < latest[&id] && is_report(text);
                if !is_old_report {
                    out.write_all(text)?;
                    out.write_all(b"\n")?;
                    last = seq;
                }
                Ok(())
            })
        })?;
        self.last = last;
        Ok(())
    }

    /// Lets go what is not to be kept, if that is half of the file. Looks again when the file has doubled.
    pub(super) fn sweep(&mut self, retention: Retention) -> io::Result<()> {
        let segment = self.segment();
        if segment.end < 2 * self.swept {
            return Ok(());
        }
        let keep = Keep::find(&segment, retention)?;
        if keep.bytes * 2 > segment.end {
            self.swept = segment.end;
            return Ok(());
        }
        self.write_anew(&segment, &keep)
    }

    /// As [`sweep`](Self::sweep), however little it is.
    #[cfg(feature = "testkit")]
    pub(super) fn sweep_now(&mut self, retention: Retention) -> io::Result<()> {
        let segment = self.segment();
        self.write_anew(&segment, &Keep::find(&segment, retention)?)
    }

    fn write_anew(&mut self, segment: &Segment, keep: &Keep) -> io::Result<()> {
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
        self.file = AppendFile::put(&self.disk, &self.path, prepared)?;
        (self.horizon, self.start) = (horizon, start);
        Ok(())
    }
}

/// How many lines cannot be read.
pub(super) fn damaged_lines(segment: &Segment) -> io::Result<usize> {
    let mut damaged = 0;
    segment.each_line(0, |_, text, _| {
        damaged += usize::from(line::parse(text).is_none());
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(damaged)
}

/// What is at the place of a history.
#[derive(Debug)]
pub(super) enum Opened {
    Found(History),
    Missing,
    /// Something whose first line is none of ours.
    Foreign,
    /// The history of a newer Strom.
    Newer,
}

/// `<file>.history`.
pub(super) fn path_beside(file: &Path) -> PathBuf {
    beside(file, ".history")
}

fn header(log: u64, after: u64) -> Vec<u8> {
    let mut text = Vec::new();
    line::print_header(&mut text, &Header { strom: "history".into(), format: FORMAT, log, after, kept: 0, lines: 0 });
    text
}

/// Shows the changes of the journal behind one and up to another.
fn each_between(
    journal: &Segment,
    after: u64,
    upto: u64,
    mut visit: impl FnMut(u64, FlowId, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    journal.each_line(journal.find(after)?, |_, text, _| {
        match (line::seq_of(text), line::id_of(text)) {
            (Some(seq), _) if seq > upto => return Ok(ControlFlow::Break(())),
            (Some(seq), Some(id)) if seq > after => visit(seq, id, text)?,
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    })
}

fn is_report(text: &[u8]) -> bool {
    matches!(line::parse(text), Some(Line::Change(change)) if change.facts.operation == Operation::State)
}

/// Which lines are to be kept.
struct Keep {
    /// Everything that is as young as this.
    since: DateTime<Utc>,
    /// Revisions of a flow from this one on; `None` for a flow that has long been deleted.
    from: HashMap<FlowId, Option<Revision>>,
    /// The last change, which marks how far the history goes.
    last: u64,
    bytes: u64,
    /// The last revision that goes.
    horizon: u64,
}

impl Keep {
    /// Age is counted back from the last change, so that a clock that was once ahead does no lasting harm. There is no
    /// clock here.
    fn find(segment: &Segment, retention: Retention) -> io::Result<Self> {
        let mut newest = DateTime::<Utc>::MIN_UTC;
        // Of each flow: the numbers of its revisions, and whether the last one deleted it, and when.
        let mut flows: HashMap<FlowId, (Vec<Revision>, Option<DateTime<Utc>>)> = HashMap::new();
        let mut last = 0;
        segment.each_line(0, |_, text, _| {
            if let Some(Line::Change(change)) = line::parse(text) {
                newest = change.facts.at;
                last = change.seq;
                let (revisions, deleted) = flows.entry(change.id).or_default();
                if change.facts.operation != Operation::State {
                    revisions.push(change.facts.revision);
                    *deleted = (change.facts.operation == Operation::Delete).then_some(change.facts.at);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let since = newest.checked_sub_signed(retention.age).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let from = flows.into_iter().map(|(id, (revisions, deleted))| {
            let first = revisions.len().saturating_sub(retention.revisions.max(1) as usize);
            let is_long_gone = deleted.is_some_and(|at| at < since);
            (id, (!is_long_gone).then(|| revisions.get(first).copied().unwrap_or(Revision::FIRST)))
        });
        let mut keep = Self { since, from: from.collect(), last, bytes: 0, horizon: 0 };
        segment.each_line(0, |_, text, _| {
            if keep.keeps(text) {
                keep.bytes += text.len() as u64 + 1;
            } else if let Some(seq) = line::seq_of(text) {
                keep.horizon = keep.horizon.max(seq);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(keep)
    }

    fn keeps(&self, text: &[u8]) -> bool {
        match line::parse(text) {
            Some(Line::Change(change)) => {
                let from = self.from.get(&change.id).copied().flatten();
                change.facts.at >= self.since
                    || change.seq == self.last
                    || from.is_some_and(|from| change.facts.revision >= from)
            }
            // What cannot be read is nobody's history.
            _ => false,
        }
    }
}
