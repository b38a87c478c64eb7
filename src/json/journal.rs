//! The journal: every change since the file was last written, and then some. A save is one append and one sync.
//!
//! `<file>.journal` begins with what there was before it (`base` and `gone` lines, without documents) and goes on with
//! changes. It is made, and later replaced by a shorter one, as a whole; in between it only grows. While it is written, zeros
//! stand behind the last line, up to [`AHEAD`] of them.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::append_file::AppendFile;
use super::line::{self, FORMAT, Header};
use super::replay::Replay;
use super::segment::Segment;
use super::state::{Deletion, Hash, Made, State};
use crate::disk::Disk;
use crate::disk::durable::Prepared;
use crate::flow::FlowId;
use crate::repository::Version;

/// How much of it is zeros while it is written.
const AHEAD: u64 = 1 << 18;

/// The journal, open for writing.
#[derive(Debug)]
pub(super) struct Journal {
    file: AppendFile,
    /// Where the changes begin.
    start: u64,
    /// The number of the last change.
    last: u64,
}

/// What a journal begins with.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) log: u64,
    /// The number of the last change before it.
    pub(super) after: u64,
    /// The number of the last change in the history.
    pub(super) kept: u64,
    pub(super) flows: Vec<(FlowId, Version, Hash)>,
    pub(super) gone: Vec<(FlowId, Deletion)>,
}

impl Base {
    /// What there is in this state.
    pub(super) fn of(state: &State, log: u64, after: u64, kept: u64) -> Self {
        let flows = state.entries().map(|entry| (entry.stored.item.id(), entry.stored.version.clone(), entry.hash));
        let gone = state.deleted().iter().map(|(id, deletion)| (*id, deletion.clone()));
        Self { log, after, kept, flows: flows.collect(), gone: gone.collect() }
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let lines = (self.flows.len() + self.gone.len()) as u64;
        let mut text = Vec::new();
        let Self { log, after, kept, .. } = *self;
        let header = Header { strom: "journal".into(), format: FORMAT, log, after, kept, lines };
        line::print_header(&mut text, &header);
        out.write_all(&text)?;
        for (id, version, hash) in &self.flows {
            text.clear();
            line::print_base(&mut text, *id, version, hash);
            out.write_all(&text)?;
        }
        for (id, deletion) in &self.gone {
            text.clear();
            line::print_gone(&mut text, *id, deletion);
            out.write_all(&text)?;
        }
        Ok(())
    }
}

/// `<file>.journal`.
pub(super) fn path_beside(file: &Path) -> PathBuf {
    beside(file, ".journal")
}

pub(super) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Journal {
    /// The journal that is there, read and found whole.
    pub(super) fn existing(disk: &Arc<dyn Disk>, path: &Path, file: Arc<File>, replay: &Replay) -> Self {
        let file = AppendFile::existing(disk, path, file, replay.synced, replay.end).writing_ahead(AHEAD);
        Self { file, start: replay.start, last: replay.last }
    }

    /// Begins a new journal, which takes the place of the old one with [`Self::put`].
    pub(super) fn begin(disk: &Arc<dyn Disk>, path: &Path, base: &Base) -> io::Result<Prepared> {
        Prepared::write(disk, path, |out| base.print(out))
    }

    /// Puts a new journal in its place. `last` is the number of its last change.
    pub(super) fn put(
        disk: &Arc<dyn Disk>,
        path: &Path,
        prepared: Prepared,
        start: u64,
        last: u64,
    ) -> io::Result<Self> {
        Ok(Self { file: AppendFile::put(disk, path, prepared)?.writing_ahead(AHEAD), start, last })
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Its changes as far as they are on the disk.
    pub(super) fn segment(&self) -> Segment {
        self.file.segment(self.start, self.last)
    }

    /// Appends the changes of some calls, each call entirely or not at all, and returns when they are on the disk. After
    /// an error none of them counts, though they may be found after a restart.
    pub(super) fn append(&mut self, calls: &[Vec<Made>]) -> io::Result<()> {
        let synced = self.last;
        let mut seq = synced;
        self.file.append(true, |out| {
            let mut text = Vec::new();
            for call in calls {
                let whole = (seq + 1, seq + call.len() as u64);
                for made in call {
                    seq += 1;
                    text.clear();
                    line::print_change(&mut text, made, seq, synced, whole);
                    out.write_all(&text)?;
                }
            }
            Ok(())
        })?;
        self.last = seq;
        Ok(())
    }

    /// Puts the journal back where somebody has removed it. Says no where somebody has put another one there.
    pub(super) fn put_back(&mut self) -> io::Result<bool> {
        self.file.put_back()
    }

    /// Leaves it as it is to be found when nobody writes it.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        self.file.trim()
    }

    /// Undoes an append that has failed, so that nothing of it is found after a restart.
    pub(super) fn undo_failure(&mut self) -> io::Result<()> {
        self.file.undo_failure()
    }

    /// Notes that `flows.json` has every change up to this one, and which flows are gone without a change that could be
    /// told. A note that does not reach the disk is no harm: what the file has is then recognised by its content.
    pub(super) fn note(&mut self, file: u64, gone: &[(FlowId, Deletion)]) -> io::Result<()> {
        self.file.append(false, |out| {
            let mut text = Vec::new();
            for (id, deletion) in gone {
                line::print_gone(&mut text, *id, deletion);
            }
            line::print_file(&mut text, file);
            out.write_all(&text)
        })
    }
}
