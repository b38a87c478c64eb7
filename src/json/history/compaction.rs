//! Rewrites the history file without the lines that the retention does not keep.
//!
//! It reads a snapshot of the file, so it needs no lock while it writes the new file.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::index::{Index, IndexedLine};
use super::retention_plan::RetentionPlan;
use crate::disk::Disk;
use crate::disk::durable::Prepared;
use crate::json::journal::Segment;
use crate::json::journal::line;
use crate::repository::Retention;
use crate::retention_clock::RetentionClock;

/// The part of the kept lines that the removed ones must exceed. Twice the kept lines and this part are on the disk during a
/// compaction.
const WORTHWHILE: u64 = 5;
/// The number of bytes between two questions whether to continue.
const STEP: u64 = 1 << 20;

/// The history file at one point in time.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
    pub(super) log: u64,
    pub(super) horizon: u64,
    pub(super) segment: Segment,
    pub(super) index: Arc<Index>,
}

/// A new history file that is not in its place yet.
#[derive(Debug)]
pub(crate) struct Compacted {
    pub(super) prepared: Prepared,
    pub(super) index: Index,
    pub(super) horizon: u64,
    pub(super) start: u64,
    pub(super) source: Source,
}

impl Source {
    /// Returns the end of the lines.
    pub(crate) fn end(&self) -> u64 {
        self.segment.end
    }

    /// Reads all lines into the index. Returns whether it contains them then.
    #[cfg(feature = "testkit")]
    pub(crate) fn read(&self) -> io::Result<bool> {
        self.index.extend(&self.segment, u64::MAX)
    }

    /// Determines what to keep. Returns `None` if the index does not contain all lines yet.
    pub(crate) fn plan(&self, retention: Retention, clock: &RetentionClock) -> Option<RetentionPlan> {
        (self.index.end() >= self.end()).then(|| RetentionPlan::find(&self.index, self.end(), retention, clock))
    }

    /// Whether a new file would be smaller by a worthwhile part.
    pub(crate) fn is_worthwhile(&self, plan: &RetentionPlan) -> bool {
        let removed = (self.end() - self.segment.start).saturating_sub(plan.bytes);
        removed > plan.bytes / WORTHWHILE
    }

    /// Writes the new file. Stops with an error when it must not continue.
    pub(crate) fn compacted(self, plan: RetentionPlan, continues: &dyn Fn() -> bool) -> io::Result<Compacted> {
        let expired = plan.expired.map_or(Ok(0), |expired| self.seq_of(expired))?;
        let horizon = self.horizon.max(expired).max(self.index.damage().last);
        let mut prepared =
            Prepared::write(&self.disk, &self.path, |out| out.write_all(&line::history_header(self.log, horizon)))?;
        let start = prepared.length();
        let index = Index::from(start);
        let mut end = start;
        let kept = plan.kept.iter().map(|(id, line)| {
            let offset = end;
            end += u64::from(line.length) + 1;
            (*id, IndexedLine { offset, ..*line })
        });
        let kept_lines: Vec<_> = kept.collect();
        prepared.append(|out| self.copy(plan.kept.iter().map(|(_, line)| line), out, continues))?;
        index.add(kept_lines.into_iter(), prepared.length());
        Ok(Compacted { prepared, index, horizon, start, source: self })
    }

    fn seq_of(&self, line: IndexedLine) -> io::Result<u64> {
        let text = self.segment.read(line.offset, line.length as usize)?;
        line::seq_of(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Copies these lines, adjacent ones together.
    fn copy<'a>(
        &self,
        lines: impl Iterator<Item = &'a IndexedLine>,
        out: &mut dyn Write,
        continues: &dyn Fn() -> bool,
    ) -> io::Result<()> {
        let mut range = 0..0;
        let mut copy = |range: &std::ops::Range<u64>| match continues() {
            true => self.segment.copy(range.start, range.end, out),
            false => Err(io::ErrorKind::Interrupted.into()),
        };
        for line in lines {
            if line.offset != range.end || range.end - range.start >= STEP {
                copy(&range)?;
                range = line.offset..line.offset;
            }
            range.end = line.offset + u64::from(line.length) + 1;
        }
        copy(&range)
    }
}
