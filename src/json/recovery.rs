//! What journal and history know at the start, whatever condition they are in.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::history::{self, History};
use super::journal::{self, Base, Journal};
use super::line::{self, FORMAT, Line};
use super::log::Log;
use super::reconcile::{Known, Ours};
use super::replay::{Event, Replay, replay};
use super::segment::Segment;
use super::state::{Deletion, Hash, Made};
use super::writer::JournalPlace;
use crate::disk::Disk;
use crate::flow::{Flow, FlowId};
use crate::repository::{Operation, Version};

/// What is known without the file.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) ours: Ours,
    pub(super) journal: JournalPlace,
    pub(super) history: Option<History>,
    pub(super) log: Log,
    /// The last change that the file had when we wrote it.
    pub(super) written: u64,
    pub(super) faults: Vec<String>,
    /// Whether changes are missing, so that a new log was begun.
    pub(super) is_new_log: bool,
}

/// Why the start must fail.
#[derive(Debug)]
pub(super) enum RecoveryError {
    /// Which file a newer Strom has written.
    Newer(String),
    Io(io::Error),
}

impl From<io::Error> for RecoveryError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

type Versions = (HashMap<FlowId, (Version, Hash)>, HashMap<FlowId, Deletion>);

/// Reads both. Where they may be written, what is damaged is put aside and its good part written anew, under the number
/// of a new log: the cursors of the old one cannot be kept free of gaps.
pub(super) fn recover(
    disk: &Arc<dyn Disk>,
    path: &Path,
    now: DateTime<Utc>,
    is_writable: bool,
) -> Result<Recovered, RecoveryError> {
    let fresh = u64::try_from(now.timestamp_micros()).unwrap_or(0);
    let mut recovery = Recovery { disk, path, fresh, is_writable, faults: Vec::new() };
    let history = recovery.open_history()?;
    match File::options().read(true).write(is_writable).open(journal::path_beside(path)) {
        Ok(file) => recovery.with_journal(history, Arc::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(recovery.without_journal(history)?),
        Err(error) => Err(error.into()),
    }
}

struct Recovery<'a> {
    disk: &'a Arc<dyn Disk>,
    path: &'a Path,
    /// The number of a log that begins now.
    fresh: u64,
    is_writable: bool,
    faults: Vec<String>,
}

impl Recovery<'_> {
    /// A file that is none of ours is put aside.
    fn open_history(&mut self) -> Result<Option<History>, RecoveryError> {
        let path = history::path_beside(self.path);
        match History::open(self.disk, &path)? {
            history::Opened::Found(history) => Ok(Some(history)),
            history::Opened::Missing => Ok(None),
            history::Opened::Newer => Err(RecoveryError::Newer(path.display().to_string())),
            history::Opened::Foreign => {
                let aside = journal::beside(&path, &format!(".damaged-{}", self.fresh));
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
        let (flows, gone) = match &history {
            Some(history) => {
                let fault = "the journal is missing; what was changed since it began is only known from the file";
                self.faults.push(fault.into());
                fold_history(&history.segment())?
            }
            None => Versions::default(),
        };
        let after = history.as_ref().map_or(0, |history| history.segment().last);
        let id = history.as_ref().map_or(self.fresh, |history| self.fresh.max(history.log + 1));
        let log = Log { horizon: after, ..log(id, after, history.as_ref(), None) };
        let base = base(id, after, after, &flows, &gone);
        let known = flows.into_iter().map(|(id, (version, hash))| (id, Known { version, hash, flow: None }));
        let ours = Ours { flows: known.collect(), gone, ..Ours::default() };
        let is_new_log = history.is_some();
        let (journal, faults) = (JournalPlace::ToCome(base), self.faults);
        Ok(Recovered { ours, journal, history, log, written: after, faults, is_new_log })
    }

    fn with_journal(mut self, mut history: Option<History>, file: Arc<File>) -> Result<Recovered, RecoveryError> {
        let mut replay = replay(&file)?;
        let header = replay.header.clone();
        if header.as_ref().is_some_and(|header| header.format > FORMAT) {
            return Err(RecoveryError::Newer(journal::path_beside(self.path).display().to_string()));
        }
        let moved = header.as_ref().map_or(0, |header| header.kept);
        let is_history_whole = moved <= last_of(history.as_ref());
        if !is_history_whole {
            self.faults.push(format!(
                "{}: changes are missing that were moved there; what flows were before them is lost",
                history::path_beside(self.path).display()
            ));
        }
        match (&mut history, &replay.damage) {
            (Some(history), Some(_)) => {
                let (flows, gone) = fold_history(&history.segment())?;
                replay.add_missing(flows, gone);
            }
            (Some(history), None) => history.believe(moved)?,
            (None, _) => {}
        }
        match header {
            Some(header) if is_history_whole && replay.damage.is_none() => {
                let lines = lines(&file, &replay)?;
                let (last, written) = (replay.last, replay.file);
                let journal = Journal::existing(self.disk, &journal::path_beside(self.path), file, &replay);
                let ours = fold(&mut replay, &lines)?;
                let log = log(header.log, last, history.as_ref(), Some(journal.segment()));
                let (journal, faults) = (JournalPlace::There(journal), self.faults);
                Ok(Recovered { ours, journal, history, log, written, faults, is_new_log: false })
            }
            _ => Ok(self.begin_anew(history, file, replay)?),
        }
    }

    /// Goes on with what is good of a journal, in a new log.
    fn begin_anew(mut self, history: Option<History>, file: Arc<File>, mut replay: Replay) -> io::Result<Recovered> {
        let path = journal::path_beside(self.path);
        let lines = lines(&file, &replay)?;
        let kept = last_of(history.as_ref());
        let after = replay.header.as_ref().map_or(kept, |header| header.after);
        let id = replay.header.as_ref().map_or(self.fresh, |header| self.fresh.max(header.log + 1));
        if let Some(damage) = &replay.damage {
            let aside = journal::beside(self.path, &format!(".journal.damaged-{id}"));
            self.faults.push(format!("{}: {damage}{}", path.display(), self.kept_as(&aside)));
            if self.is_writable && fs::hard_link(&path, &aside).is_err() {
                fs::copy(&path, &aside)?;
            }
        }
        let (journal, written) = if self.is_writable {
            let base = base(id, after, kept, &replay.flows, &replay.gone);
            rewrite(self.disk, &path, &base, &replay, &lines)?
        } else {
            (Journal::existing(self.disk, &path, file, &replay), replay.file)
        };
        let ours = fold(&mut replay, &lines)?;
        let log = Log { horizon: after, ..log(id, journal.last(), history.as_ref(), Some(journal.segment())) };
        let (journal, faults, is_new_log) = (JournalPlace::There(journal), self.faults, self.is_writable);
        Ok(Recovered { ours, journal, history, log, written, faults, is_new_log })
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
    Log { id, last, horizon, history: history.map(History::segment), journal }
}

fn base(
    log: u64,
    after: u64,
    kept: u64,
    flows: &HashMap<FlowId, (Version, Hash)>,
    gone: &HashMap<FlowId, Deletion>,
) -> Base {
    let flows = flows.iter().map(|(id, (version, hash))| (*id, version.clone(), *hash)).collect();
    let gone = gone.iter().map(|(id, deletion)| (*id, deletion.clone())).collect();
    Base { log, after, kept, flows, gone }
}

/// What flows are by the history alone.
fn fold_history(segment: &Segment) -> io::Result<Versions> {
    let (mut flows, mut gone) = Versions::default();
    segment.each_line(0, |_, text, _| {
        if let Some(Line::Change(change)) = line::parse(text) {
            let (id, facts) = (change.id, change.facts);
            match facts.operation {
                Operation::State => {}
                Operation::Delete => {
                    flows.remove(&id);
                    gone.insert(id, facts.deletion());
                }
                Operation::Create | Operation::Update | Operation::Restore => {
                    gone.remove(&id);
                    flows.insert(id, (facts.version(), facts.hash));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((flows, gone))
}

/// What flows are by the journal, and what they have been since the file was written.
fn fold(replay: &mut Replay, lines: &Segment) -> io::Result<Ours> {
    let flows = replay.flows.drain().map(|(id, (version, hash))| (id, Known { version, hash, flow: None }));
    let mut ours = Ours { flows: flows.collect(), gone: replay.gone.drain().collect(), ..Ours::default() };
    let mut documents = HashMap::new();
    for event in &replay.events {
        match event {
            Event::Gone(id, deletion) => {
                ours.flows.remove(id);
                ours.gone.insert(*id, deletion.clone());
            }
            Event::Changed(told) => {
                let id = told.id;
                if told.seq > replay.file {
                    ours.before.entry(id).or_insert_with(|| ours.flows.get(&id).map(|known| known.hash));
                    ours.since.insert((id, told.facts.hash));
                    documents.insert(id, (told.offset, told.length));
                }
                if told.facts.operation == Operation::Delete {
                    ours.flows.remove(&id);
                    ours.gone.insert(id, told.facts.deletion());
                    continue;
                }
                ours.gone.remove(&id);
                let version = match ours.flows.remove(&id) {
                    Some(known) if told.facts.operation == Operation::State => known.version,
                    _ => told.facts.version(),
                };
                ours.flows.insert(id, Known { version, hash: told.facts.hash, flow: None });
            }
        }
    }
    for (id, (offset, length)) in documents {
        if let Some(known) = ours.flows.get_mut(&id) {
            known.flow = Some(document(&lines.read(offset, length)?)?);
        }
    }
    Ok(ours)
}

fn document(text: &[u8]) -> io::Result<Flow> {
    let Some(Line::Change(change)) = line::parse(text) else { return Err(io::ErrorKind::InvalidData.into()) };
    Flow::parse(change.flow.get()).map_err(io::Error::other)
}

/// Writes the good part of a journal as a new one. Its changes are numbered anew, without gaps; says which of them the
/// file has.
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
                Event::Gone(id, deletion) => line::print_gone(&mut text, *id, deletion),
                Event::Changed(told) => {
                    seq += 1;
                    let flow = document(&lines.read(told.offset, told.length)?)?;
                    let made = Made { facts: told.facts.clone(), flow };
                    line::print_change(&mut text, &made, seq, seq - 1, (seq, seq));
                    if told.seq <= replay.file {
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
    Ok((Journal::put(disk, path, prepared, start, seq)?, written))
}
