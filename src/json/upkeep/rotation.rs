//! Moves changes from the journal to the history.

use std::io;
use std::sync::Arc;

use super::point::Point;
use super::state::Upkeep;
use crate::json::history::{History, Log};
use crate::json::journal::line::print_file;
use crate::json::journal::{Base, Journal};
use crate::json::paths::{history_path, journal_path};
use crate::json::store::Store;
use crate::json::view::View;
use crate::json::writer::{Failure, Writer};

/// Moves the changes that the file contains from the journal to the history.
pub(crate) fn rotate(upkeep: &mut Upkeep, store: &Store, point: &Point) -> io::Result<()> {
    let Some(old) = store.with_writer(|writer| writer.journal_segment()).flatten() else {
        return Ok(());
    };
    let misplaced = |failure: Failure| io::Error::other(failure.to_string());
    // The history must not be written in another place.
    store.with_writer(Writer::restore_in_place).unwrap_or(Ok(())).map_err(misplaced)?;
    let disk = &store.disk;
    let log = point.view.log.id;
    let history = match &mut upkeep.history {
        Some(history) => history,
        none => none.insert(History::create(disk, &history_path(&store.path), log, point.view.log.horizon)?),
    };
    history.take(&old, point.seq)?;
    let read = |id| upkeep.memory.recent_reports(id);
    let base = Base::of(&point.view.state, log, point.seq, history.segment().last, read);
    let path = journal_path(&store.path);
    let mut prepared = Journal::begin(disk, &path, &base)?;
    // A start after a crash needs them to recognise stale edits.
    prepared.append(|out| {
        let mut text = Vec::new();
        upkeep.memory.versions().into_iter().for_each(|seq| print_file(&mut text, seq));
        out.write_all(&text)
    })?;
    let start = prepared.length();
    // Copies most of the later changes while saves continue, and the rest while they wait.
    prepared.append(|out| old.copy(point.journal_end, old.end, out))?;
    let mut writer = store.writer.blocking_lock();
    let Some(writer) = writer.as_mut() else { return Ok(()) };
    writer.restore_in_place().map_err(misplaced)?;
    let Some(now) = writer.journal_segment() else { return Ok(()) };
    if now.end > old.end {
        prepared.append(|out| now.copy(old.end, now.end, out))?;
    }
    let locked = writer.replace_journal(Journal::put(disk, &path, prepared, start, now.last, Some(&now.file))?);
    if let Some(view) = store.view() {
        let log = with_history(&writer.log(&view.log), history);
        store.publish(View { state: view.state.clone(), log });
    }
    locked
}

/// Returns the log with the history as it is now.
pub(super) fn with_history(log: &Log, history: &History) -> Log {
    let (horizon, index) = (history.horizon, Arc::clone(&history.index));
    Log { horizon, history: Some(history.segment()), index, ..log.clone() }
}
