//! The journal, open for writing. A save is one append and one sync.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::append_file::AppendFile;
use super::base::Base;
use super::entry::{JournalEntry, Tombstone};
use super::line;
use super::replay::Replay;
use super::segment::Segment;
use crate::disk::Disk;
use crate::disk::durable::Prepared;
use crate::disk::place::Inode;
use crate::flow::FlowId;

/// The number of zero bytes that are written ahead.
const AHEAD: u64 = 1 << 18;

/// The journal, open for writing.
#[derive(Debug)]
pub(crate) struct Journal {
    file: AppendFile,
    /// The offset of the first change.
    start: u64,
    /// The number of the last change.
    last: u64,
}

impl Journal {
    /// Takes an existing journal that was read and is undamaged.
    pub(crate) fn existing(disk: &Arc<dyn Disk>, path: &Path, file: Arc<File>, replay: &Replay) -> Self {
        let file = AppendFile::existing(disk, path, file, replay.synced, replay.end).writing_ahead(AHEAD);
        Self { file, start: replay.start, last: replay.last }
    }

    /// Prepares a new journal. [`Self::put`] replaces the old one with it.
    pub(crate) fn begin(disk: &Arc<dyn Disk>, path: &Path, base: &Base) -> io::Result<Prepared> {
        Prepared::write(disk, path, |out| base.print(out))
    }

    /// Replaces the journal with a prepared one, unless another program has replaced `old` before. `last` is the number
    /// of its last change. Zeros follow the lines from the beginning: without them, a start after a crash takes the
    /// journal for one that was closed.
    pub(crate) fn put(
        disk: &Arc<dyn Disk>,
        path: &Path,
        prepared: Prepared,
        start: u64,
        last: u64,
        old: Option<&File>,
    ) -> io::Result<Self> {
        prepared.write_ahead(AHEAD)?;
        Ok(Self { file: AppendFile::put(disk, path, prepared, old)?.written_ahead(AHEAD), start, last })
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Returns the synced changes.
    pub(crate) fn segment(&self) -> Segment {
        self.file.segment(self.start, self.last)
    }

    /// Appends the changes of several calls, each call entirely or not at all, and syncs them. Fails unless the journal
    /// is in its place afterwards, and `confirm` succeeds. After an error none of them counts, although a restart may
    /// find them.
    pub(crate) fn append(
        &mut self,
        calls: &[Vec<JournalEntry>],
        confirm: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let synced = self.last;
        let mut seq = synced;
        let print = |out: &mut dyn Write| {
            let mut text = Vec::new();
            for call in calls {
                let whole = (seq + 1, seq + call.len() as u64);
                for entry in call {
                    seq += 1;
                    text.clear();
                    line::print_change(&mut text, entry, seq, synced, whole);
                    out.write_all(&text)?;
                }
            }
            Ok(())
        };
        self.file.append(print, confirm)?;
        self.last = seq;
        Ok(())
    }

    /// Returns the inode of the journal.
    pub(crate) fn inode(&self) -> io::Result<Inode> {
        Ok(Inode::of(&self.file.segment(0, 0).file.metadata()?))
    }

    /// Fails unless the journal is in its place, as this process has written it.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.file.check()
    }

    /// Recreates the journal if it was removed from its directory. Then as [`check`](Self::check).
    pub(crate) fn restore(&mut self) -> io::Result<()> {
        self.file.restore()
    }

    /// Removes the zeros after the last line.
    pub(crate) fn trim(&mut self) -> io::Result<()> {
        self.file.trim()
    }

    /// Undoes a failed append, so that a restart does not find anything of it.
    pub(crate) fn undo_failure(&mut self) -> io::Result<()> {
        self.file.undo_failure()
    }

    /// Writes and syncs a line without a meaning, to find out whether saves work again.
    pub(crate) fn probe(&mut self, file: u64, confirm: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let print = |out: &mut dyn Write| {
            let mut text = Vec::new();
            line::print_file(&mut text, file);
            out.write_all(&text)
        };
        self.file.append(print, confirm)
    }

    /// Records that `flows.json` contains every change up to this one, that it may have contained every change up to each of
    /// these earlier ones, and the tombstones of flows that no change deletes. The note is not synced: without it, a start
    /// recognises the flows in the file by their content.
    pub(crate) fn note(&mut self, file: u64, earlier: &[u64], tombstones: &[(FlowId, Tombstone)]) -> io::Result<()> {
        self.file.append_unsynced(|out| {
            let mut text = Vec::new();
            for (id, tombstone) in tombstones {
                line::print_tombstone(&mut text, *id, tombstone);
            }
            // The highest number is that of the current file.
            earlier.iter().chain([&file]).for_each(|seq| line::print_file(&mut text, *seq));
            out.write_all(&text)
        })
    }
}
