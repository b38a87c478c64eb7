//! What journal and history know at the start, whatever condition they are in.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::disk::Disk;
use super::history::{self, History};
use super::journal::{self, Base, Journal};
use super::line::{self, FORMAT, Line};
use super::log::Log;
use super::reconcile::{Known, Ours};
use super::replay::{Event, Replay, replay};
use super::segment::Segment;
use super::state::{Deletion, Hash, Made};
use super::writer::JournalPlace;
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
    let mut faults = Vec::new();
    let fresh = u64::try_from(now.timestamp_micros()).unwrap_or(0);
    let mut history = open_history(disk, path, fresh, is_writable, &mut faults)?;
    let kept = history.as_ref().map_or(0, |history| history.segment().last);
    let journal_path = journal::path_beside(path);
    let file = match File::options().read(true).write(is_writable).open(&journal_path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        opened => Some(Arc::new(opened?)),
    };
    let Some(file) = file else {
        return without_journal(history, fresh, faults);
    };
    let mut replay = replay(&file)?;
    let header = replay.header.clone();
    if header.as_ref().is_some_and(|header| header.format > FORMAT) {
        return Err(RecoveryError::Newer(journal_path.display().to_string()));
    }
    let log = header.as_ref().map_or(0, |header| header.log);
    let is_history_whole = header.as_ref().is_none_or(|header| header.kept <= kept);
    if !is_history_whole {
        faults.push(format!(
            "{}: changes are missing that were moved there; what flows were before them is lost",
            history::path_beside(path).display()
        ));
    }
    match (&mut history, &header) {
        (Some(history), _) if replay.damage.is_some() => {
            let (flows, gone) = fold_history(&history.segment())?;
            replay.add_missing(flows, gone);
        }
        (Some(history), Some(header)) => history.believe(header.kept)?,
        _ => {}
    }
    let kept = history.as_ref().map_or(0, |history| history.segment().last);
    let after = header.as_ref().map_or(kept, |header| header.after);
    let base = Base {
        log: if replay.damage.is_some() || !is_history_whole { fresh.max(log + 1) } else { log },
        after,
        kept,
        flows: replay.flows.iter().map(|(id, (version, hash))| (*id, version.clone(), *hash)).collect(),
        gone: replay.gone.iter().map(|(id, deletion)| (*id, deletion.clone())).collect(),
    };
    let lines = Segment { file: Arc::clone(&file), start: 0, end: file.metadata()?.len(), last: replay.last };
    let (log, horizon, last) = (base.log, history.as_ref().map_or(after.min(kept), |h| h.horizon), replay.last);
    let mut log = Log { id: log, last, horizon, history: history.as_ref().map(History::segment), journal: None };
    let written = replay.file;
    let ours = fold(&mut replay, &lines)?;
    if log.id != header.map_or(0, |header| header.log) {
        log.horizon = after;
        if let Some(damage) = &replay.damage {
            let aside = journal::beside(path, &format!(".journal.damaged-{}", log.id));
            faults.push(format!(
                "{}: {damage}; its good part is kept{}",
                journal_path.display(),
                if is_writable { format!(", the damaged file as {}", aside.display()) } else { String::new() }
            ));
            if is_writable && fs::hard_link(&journal_path, &aside).is_err() {
                fs::copy(&journal_path, &aside)?;
            }
        }
        if is_writable {
            let journal = rewrite(disk, &journal_path, &base, &replay, &lines)?;
            log.last = journal.last();
            log.journal = Some(journal.segment());
            let place = JournalPlace::There(journal);
            return Ok(Recovered { ours, journal: place, history, log, written, faults, is_new_log: true });
        }
    }
    let journal = Journal::existing(disk, &journal_path, file, &replay);
    log.journal = Some(journal.segment());
    let journal = JournalPlace::There(journal);
    Ok(Recovered { ours, journal, history, log, written, faults, is_new_log: false })
}

fn without_journal(history: Option<History>, fresh: u64, mut faults: Vec<String>) -> Result<Recovered, RecoveryError> {
    let (flows, gone) = match &history {
        Some(history) => {
            faults.push("the journal is missing; what was changed since it began is only known from the file".into());
            fold_history(&history.segment())?
        }
        None => Versions::default(),
    };
    let after = history.as_ref().map_or(0, |history| history.segment().last);
    let id = history.as_ref().map_or(fresh, |history| fresh.max(history.log + 1));
    let log = Log { id, last: after, horizon: after, history: history.as_ref().map(History::segment), journal: None };
    let base = Base {
        log: id,
        after,
        kept: after,
        flows: flows.iter().map(|(id, (version, hash))| (*id, version.clone(), *hash)).collect(),
        gone: gone.iter().map(|(id, deletion)| (*id, deletion.clone())).collect(),
    };
    let known = flows.into_iter().map(|(id, (version, hash))| (id, Known { version, hash, flow: None }));
    let ours = Ours { flows: known.collect(), gone, ..Ours::default() };
    let is_new_log = history.is_some();
    Ok(Recovered { ours, journal: JournalPlace::ToCome(base), history, log, written: after, faults, is_new_log })
}

/// A file that is none of ours is put aside.
fn open_history(
    disk: &Arc<dyn Disk>,
    path: &Path,
    fresh: u64,
    is_writable: bool,
    faults: &mut Vec<String>,
) -> Result<Option<History>, RecoveryError> {
    let path = history::path_beside(path);
    match History::open(disk, &path)? {
        history::Opened::Found(history) => Ok(Some(history)),
        history::Opened::Missing => Ok(None),
        history::Opened::Newer => Err(RecoveryError::Newer(path.display().to_string())),
        history::Opened::Foreign => {
            let aside = journal::beside(&path, &format!(".damaged-{fresh}"));
            faults.push(format!("{}: its first line cannot be read; kept as {}", path.display(), aside.display()));
            if is_writable {
                disk.rename(&path, &aside)?;
            }
            Ok(None)
        }
    }
}

/// What flows are by the history alone.
fn fold_history(segment: &Segment) -> io::Result<Versions> {
    let (mut flows, mut gone) = Versions::default();
    segment.each_line(0, |_, text, _| {
        if let Some(Line::Change(change)) = line::parse(text) {
            let (id, revision, at, author) = (change.id, change.revision, change.at, change.author);
            match change.operation {
                Operation::State => {}
                Operation::Delete => {
                    flows.remove(&id);
                    gone.insert(id, Deletion { revision, at, author });
                }
                Operation::Create | Operation::Update | Operation::Restore => {
                    gone.remove(&id);
                    let version = Version { revision, created_at: change.created_at, updated_at: at, author };
                    flows.insert(id, (version, change.hash));
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
                    ours.since.insert((id, told.hash));
                    documents.insert(id, (told.offset, told.length));
                }
                if told.operation == Operation::Delete {
                    ours.flows.remove(&id);
                    let deletion = Deletion { revision: told.revision, at: told.at, author: told.author.clone() };
                    ours.gone.insert(id, deletion);
                    continue;
                }
                ours.gone.remove(&id);
                let version = match ours.flows.remove(&id) {
                    Some(known) if told.operation == Operation::State => known.version,
                    _ => told.version(),
                };
                ours.flows.insert(id, Known { version, hash: told.hash, flow: None });
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

/// Writes the good part of a journal as a new one. Its changes are numbered anew, without gaps.
fn rewrite(disk: &Arc<dyn Disk>, path: &Path, base: &Base, replay: &Replay, lines: &Segment) -> io::Result<Journal> {
    let mut prepared = Journal::begin(disk, path, base)?;
    let start = prepared.length();
    let mut seq = base.after;
    prepared.append(|out| {
        let mut text = Vec::new();
        for event in &replay.events {
            text.clear();
            match event {
                Event::Gone(id, deletion) => line::print_gone(&mut text, *id, deletion),
                Event::Changed(told) => {
                    seq += 1;
                    let flow = document(&lines.read(told.offset, told.length)?)?;
                    let made = Made {
                        operation: told.operation,
                        revision: told.revision,
                        at: told.at,
                        author: told.author.clone(),
                        created_at: told.created_at,
                        hash: told.hash,
                        flow,
                    };
                    line::print_change(&mut text, &made, seq, seq - 1, (seq, seq));
                    if told.seq == replay.file {
                        line::print_file(&mut text, seq);
                    }
                }
            }
            out.write_all(&text)?;
        }
        Ok(())
    })?;
    Journal::put(disk, path, prepared, start, seq)
}
