//! Reads journal and history at the start, whatever their condition.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::base::FileVersions;
use super::files::Files;
use super::fold::{Versions, document, fold, fold_history};
use super::known::{KnownFlow, KnownFlows};
use crate::disk::Disk;
use crate::flow::FlowId;
use crate::json::history::{self, History, Log};
use crate::json::journal::line::{self, FORMAT};
use crate::json::journal::{Base, FlowVersion, Journal, JournalEntry, Replay, ReplayEvent, Segment, Tombstone, replay};
use crate::json::paths::{history_path, journal_path, with_suffix};
use crate::json::writer::JournalState;

/// The contents of journal and history.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) known_flows: KnownFlows,
    pub(crate) journal: JournalState,
    pub(crate) history: Option<History>,
    pub(crate) log: Log,
    /// The versions of the file that the journal knows.
    pub(crate) versions: FileVersions,
    pub(crate) faults: Vec<String>,
    /// Whether changes are missing, so that a new log begins.
    pub(crate) is_new_log: bool,
}

/// Why a start fails.
#[derive(Debug)]
pub(crate) enum RecoveryError {
    /// A newer version has written this file.
    Newer(String),
    Io(io::Error),
}

impl From<io::Error> for RecoveryError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads journal and history. If they are writable, renames damaged files and rewrites the valid part with a new log
/// id, because cursors of the old log would have gaps.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    path: &Path,
    files: &Files,
    now: DateTime<Utc>,
    is_writable: bool,
) -> Result<Recovered, RecoveryError> {
    let fresh = u64::try_from(now.timestamp_micros()).unwrap_or(0);
    let mut recovery = Recovery { disk, path, fresh, is_writable, faults: Vec::new() };
    let history = recovery.read_history(files)?;
    match &files.journal {
        Some(file) => recovery.with_journal(history, Arc::clone(file), files.journal_length),
        None => Ok(recovery.without_journal(history)?),
    }
}

struct Recovery<'a> {
    disk: &'a Arc<dyn Disk>,
    path: &'a Path,
    /// The id of a log that begins now.
    fresh: u64,
    is_writable: bool,
    faults: Vec<String>,
}

impl Recovery<'_> {
    /// Reads the history. Renames a file that is not a history.
    fn read_history(&mut self, files: &Files) -> Result<Option<History>, RecoveryError> {
        let path = history_path(self.path);
        match History::open(self.disk, &path, files.history.as_ref())? {
            history::Opened::Existing(history) => Ok(Some(*history)),
            history::Opened::Missing => Ok(None),
            history::Opened::Newer => Err(RecoveryError::Newer(path.display().to_string())),
            history::Opened::Foreign => {
                let aside = with_suffix(&path, &format!(".damaged-{}", self.fresh));
                self.faults.push(format!("{}: its first line cannot be read{}", path.display(), self.kept_as(&aside)));
                if self.is_writable {
                    self.disk.rename(&path, &aside)?;
                }
                Ok(None)
            }
        }
    }

    fn kept_as(&self, aside: &Path) -> String {
        if self.is_writable { format!("; the damaged file is kept as {}", aside.display()) } else { String::new() }
    }

    fn without_journal(mut self, history: Option<History>) -> io::Result<Recovered> {
        let (flows, tombstones) = match &history {
            Some(history) => {
                let fault = "the journal is missing; changes since its start are known only from the file";
                self.faults.push(fault.into());
                fold_history(&history.segment())?
            }
            None => Versions::default(),
        };
        let after = history.as_ref().map_or(0, |history| history.segment().last);
        let id = history.as_ref().map_or(self.fresh, |history| self.fresh.max(history.log + 1));
        let log = Log { horizon: after, ..log(id, after, history.as_ref(), None) };
        let base = base(id, after, after, &flows, &HashMap::new(), &tombstones);
        let known = flows.into_iter().map(|(id, known)| (id, KnownFlow { known, flow: None }));
        let known_flows = KnownFlows { flows: known.collect(), tombstones, after };
        let is_new_log = history.is_some();
        let (journal, faults) = (JournalState::Pending(base), self.faults);
        let versions = FileVersions { written: after, is_only_last: true, ..FileVersions::default() };
        Ok(Recovered { known_flows, journal, history, log, versions, faults, is_new_log })
    }

    fn with_journal(
        mut self,
        mut history: Option<History>,
        file: Arc<File>,
        length: u64,
    ) -> Result<Recovered, RecoveryError> {
        let mut replay = replay(&file, length)?;
        let header = replay.header.clone();
        if header.as_ref().is_some_and(|header| header.format > FORMAT) {
            return Err(RecoveryError::Newer(journal_path(self.path).display().to_string()));
        }
        let moved = header.as_ref().map_or(0, |header| header.kept);
        let is_history_whole = moved <= last_of(history.as_ref());
        if !is_history_whole {
            self.faults.push(format!(
                "{}: changes that were moved there are missing; older versions of their flows are lost",
                history_path(self.path).display()
            ));
        }
        match (&mut history, &replay.damage) {
            (Some(history), Some(_)) => {
                let (flows, tombstones) = fold_history(&history.segment())?;
                replay.add_missing(flows, tombstones);
            }
            (Some(history), None) => history.discard_after(moved)?,
            (None, _) => {}
        }
        match header {
            Some(header) if is_history_whole && replay.damage.is_none() => {
                let lines = lines(&file, &replay)?;
                let last = replay.last;
                // The close removes the zeros after the last line. Any edit after it was made while no process was running.
                let is_closed = replay.file == last && lines.end == replay.end;
                let versions = FileVersions {
                    earlier: std::mem::take(&mut replay.files),
                    written: replay.file,
                    unnoted: replay.file + 1..last + 1,
                    read: std::mem::take(&mut replay.read),
                    is_only_last: is_closed,
                    ..FileVersions::default()
                };
                let journal = Journal::existing(self.disk, &journal_path(self.path), file, &replay);
                let known_flows = fold(&mut replay, &lines)?;
                let log = log(header.log, last, history.as_ref(), Some(journal.segment()));
                let (journal, faults) = (JournalState::Open(journal), self.faults);
                Ok(Recovered { known_flows, journal, history, log, versions, faults, is_new_log: false })
            }
            _ => Ok(self.begin_new_log(history, file, replay)?),
        }
    }

    /// Continues with the valid part of a journal, in a new log.
    fn begin_new_log(mut self, history: Option<History>, file: Arc<File>, mut replay: Replay) -> io::Result<Recovered> {
        let path = journal_path(self.path);
        let lines = lines(&file, &replay)?;
        let kept = last_of(history.as_ref());
        let after = replay.header.as_ref().map_or(kept, |header| header.after);
        let id = replay.header.as_ref().map_or(self.fresh, |header| self.fresh.max(header.log + 1));
        if let Some(damage) = &replay.damage {
            let aside = with_suffix(self.path, &format!(".journal.damaged-{id}"));
            self.faults.push(format!("{}: {damage}{}", path.display(), self.kept_as(&aside)));
            if self.is_writable && fs::hard_link(&path, &aside).is_err() {
                fs::copy(&path, &aside)?;
            }
        }
        let (journal, written) = if self.is_writable {
            let base = base(id, after, kept, &replay.flows, &replay.read, &replay.tombstones);
            let (journal, written) = rewrite(self.disk, &path, &base, &replay, &lines)?;
            replay.renumber(after, written);
            (journal, written)
        } else {
            (Journal::existing(self.disk, &path, file, &replay), replay.file)
        };
        let read = std::mem::take(&mut replay.read);
        let known_flows = fold(&mut replay, &lines)?;
        let log = Log { horizon: after, ..log(id, journal.last(), history.as_ref(), Some(journal.segment())) };
        let (journal, faults, is_new_log) = (JournalState::Open(journal), self.faults, self.is_writable);
        let versions = FileVersions { written, unnoted: written + 1..log.last + 1, read, ..FileVersions::default() };
        Ok(Recovered { known_flows, journal, history, log, versions, faults, is_new_log })
    }
}

fn last_of(history: Option<&History>) -> u64 {
    history.map_or(0, |history| history.segment().last)
}

fn lines(file: &Arc<File>, replay: &Replay) -> io::Result<Segment> {
    Ok(Segment { file: Arc::clone(file), start: 0, end: file.metadata()?.len(), last: replay.last })
}

fn log(id: u64, last: u64, history: Option<&History>, journal: Option<Segment>) -> Log {
    let horizon = history.map_or(0, |history| history.horizon);
    let index = history.map(|history| Arc::clone(&history.index)).unwrap_or_default();
    Log { id, last, horizon, history: history.map(History::segment), index, journal }
}

fn base(
    log: u64,
    after: u64,
    kept: u64,
    flows: &HashMap<FlowId, FlowVersion>,
    read: &HashMap<FlowId, Vec<u64>>,
    tombstones: &HashMap<FlowId, Tombstone>,
) -> Base {
    let flows = flows.iter().map(|(id, flow)| (*id, flow.clone(), read.get(id).cloned().unwrap_or_default())).collect();
    let tombstones = tombstones.iter().map(|(id, tombstone)| (*id, tombstone.clone())).collect();
    Base { log, after, kept, flows, tombstones }
}

/// Writes the valid part of a journal to a new one, with new numbers without gaps. Returns the journal and the last
/// change that the file contains.
fn rewrite(
    disk: &Arc<dyn Disk>,
    path: &Path,
    base: &Base,
    replay: &Replay,
    lines: &Segment,
) -> io::Result<(Journal, u64)> {
    let mut prepared = Journal::begin(disk, path, base)?;
    let start = prepared.length();
    let (mut seq, mut written) = (base.after, base.after);
    prepared.append(|out| {
        let mut text = Vec::new();
        for event in &replay.events {
            text.clear();
            match event {
                ReplayEvent::Tombstone(id, tombstone) => line::print_tombstone(&mut text, *id, tombstone),
                ReplayEvent::Changed(replayed) => {
                    seq += 1;
                    let flow = document(&lines.read(replayed.offset, replayed.length)?)?;
                    let entry = JournalEntry { meta: replayed.meta.clone(), flow };
                    line::print_change(&mut text, &entry, seq, seq - 1, (seq, seq));
                    if replayed.seq <= replay.file {
                        written = seq;
                    }
                }
            }
            out.write_all(&text)?;
        }
        text.clear();
        line::print_file(&mut text, written);
        out.write_all(&text)
    })?;
    Ok((Journal::put(disk, path, prepared, start, seq, Some(&lines.file))?, written))
}
