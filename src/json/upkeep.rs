//! What is done beside the saves: writing `flows.json`, taking in edits of it, moving the journal to the history.
//!
//! One at a time, in a thread of its own. The writer is locked only to look and to put something in place, so that a save
//! waits for a rename at most.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::Shared;
use super::faults::Topic;
use super::file;
use super::history::{self, History};
use super::journal::{self, Base, Journal};
use super::log::Log;
use super::open;
use super::reconcile::{Ours, Reconciled, found_at, reconcile};
use super::writer::{View, Writer, Written};
use crate::disk::durable::{Identity, Prepared, sync_directory_of};
use crate::repository::Retention;

/// What only upkeep needs. Who has it may do upkeep.
#[derive(Debug)]
pub(super) struct Upkeep {
    history: Option<History>,
    /// A content of the file that was found to be no good.
    refused: Option<Identity>,
    /// A content of the file that was seen once; an editor may still be writing it.
    seen: Option<Identity>,
}

impl Upkeep {
    pub(super) fn new(history: Option<History>) -> Self {
        Self { history, refused: None, seen: None }
    }

    /// Writes the file if it lacks anything, and moves the journal on if it is long. Says whether the file is complete.
    pub(super) fn checkpoint(&mut self, shared: &Shared) -> bool {
        let Some(point) = Point::of(shared) else { return true };
        if point.is_edited {
            return false;
        }
        if point.needs_writing {
            let begin = Instant::now();
            let written = write_file(shared, &point);
            shared.meters.tried_to_write(written.as_ref().ok().copied(), begin.elapsed());
            match written {
                Ok(true) => shared.faults.clear(Topic::Checkpoint),
                Ok(false) => return false,
                Err(error) => {
                    let fault = format!("{} is not up to date, the journal is: {error}", shared.path.display());
                    shared.faults.set(Topic::Checkpoint, vec![fault]);
                    return false;
                }
            }
        }
        if point.journal_bytes > shared.settings.journal_bytes {
            match self.rotate(shared, &point, History::sweep) {
                Ok(()) => shared.faults.clear(Topic::Rotation),
                Err(error) => {
                    let fault =
                        format!("the journal of {} cannot be moved to its history: {error}", shared.path.display());
                    shared.faults.set(Topic::Rotation, vec![fault]);
                }
            }
        }
        true
    }

    /// Looks whether somebody has edited the file, and takes the edit in once it has been there at two looks. At the end
    /// there is no second look.
    pub(super) fn look(&mut self, shared: &Shared, is_last: bool) {
        match shared.with_writer(Writer::keep_in_place) {
            Some(Err(error)) => {
                shared.faults.set(Topic::Place, vec![format!("{}: {error}", shared.path.display())]);
            }
            _ => shared.faults.clear(Topic::Place),
        }
        let Ok(identity) = Identity::at(&shared.path) else { return };
        let Some(known) = shared.with_writer(|writer| writer.written.identity) else { return };
        if identity == known {
            // It is as we wrote it, or as it was before it was broken.
            shared.faults.clear(Topic::Edit);
            (self.refused, self.seen) = (None, None);
            return;
        }
        let is_settled = is_last || identity == self.seen;
        self.seen = identity;
        match identity {
            Some(_) if !is_settled || identity == self.refused => {}
            Some(_) => self.take_in(shared),
            // Somebody has moved it away; it will be written again, which loses nothing.
            None if is_settled => {
                shared.with_writer(|writer| {
                    writer.written.identity = None;
                    writer.written.is_whole = false;
                });
                shared.mark_unwritten();
            }
            None => {}
        }
    }

    fn take_in(&mut self, shared: &Shared) {
        let mut writer = shared.writer.blocking_lock();
        let Some(writer) = writer.as_mut() else { return };
        let Ok(Some((file, metadata))) = open::read(&shared.path) else { return };
        let identity = Identity::of(&metadata);
        let fault = match file::read(&file) {
            Ok(Some(content)) => {
                if Identity::at(&shared.path).ok().flatten() == Some(identity) {
                    let modified = open::modified(&metadata).unwrap_or_default();
                    let Some(view) = shared.view() else { return };
                    let ours = Ours::running(&view.state, &writer.written.state);
                    let result = reconcile(ours, content, Default::default(), &found_at(modified));
                    self.refused = None;
                    shared.faults.clear(Topic::Edit);
                    adopt(shared, writer, &view, result, identity);
                }
                return;
            }
            Ok(None) => "there is nothing in it".to_owned(),
            Err(fault) => fault.problem,
        };
        self.refused = Some(identity);
        let fault = format!(
            "{} was edited and cannot be read: {fault}. Correct it, or move it away to have it written anew; until then \
             saves go to the journal alone",
            shared.path.display()
        );
        shared.faults.set(Topic::Edit, vec![fault]);
    }

    /// Moves everything to the history and lets go of what the retention does not ask for.
    #[cfg(feature = "testkit")]
    pub(super) fn apply_retention(&mut self, shared: &Shared) -> io::Result<()> {
        self.checkpoint(shared);
        Point::of(shared).map_or(Ok(()), |point| self.rotate(shared, &point, History::sweep_now))
    }

    /// Moves the changes that the file has from the journal to the history, which is then swept.
    fn rotate(
        &mut self,
        shared: &Shared,
        point: &Point,
        sweep: fn(&mut History, Retention) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(old) = shared.with_writer(|writer| writer.journal_segment()).flatten() else {
            return Ok(());
        };
        let disk = &shared.disk;
        let log = point.view.log.id;
        let history = match &mut self.history {
            Some(history) => history,
            none => {
                none.insert(History::create(disk, &history::path_beside(&shared.path), log, point.view.log.horizon)?)
            }
        };
        history.take(&old, point.seq)?;
        if let Err(error) = sweep(history, shared.settings.retention) {
            tracing::warn!(%error, "old changes cannot be taken out of the history");
        }
        let base = Base::of(&point.view.state, log, point.seq, history.segment().last);
        let path = journal::path_beside(&shared.path);
        let mut prepared = Journal::begin(disk, &path, &base)?;
        let start = prepared.length();
        // Most of what was saved meanwhile is copied while saves go on, the rest while they wait.
        prepared.append(|out| old.copy(point.journal_end, old.end, out))?;
        let mut writer = shared.writer.blocking_lock();
        let Some(writer) = writer.as_mut() else { return Ok(()) };
        let Some(now) = writer.journal_segment() else { return Ok(()) };
        if now.end > old.end {
            prepared.append(|out| now.copy(old.end, now.end, out))?;
        }
        writer.replace_journal(Journal::put(disk, &path, prepared, start, now.last)?);
        if let Some(view) = shared.view() {
            let log = Log { horizon: history.horizon, history: Some(history.segment()), ..writer.log(&view.log) };
            shared.publish(View { state: view.state.clone(), log });
        }
        Ok(())
    }
}

/// The store at one moment, and what of it is on the disk.
struct Point {
    view: Arc<View>,
    /// The last change.
    seq: u64,
    /// Where the journal ends with it, and how much of it are changes.
    journal_end: u64,
    journal_bytes: u64,
    needs_writing: bool,
    is_edited: bool,
}

impl Point {
    fn of(shared: &Shared) -> Option<Self> {
        let point = shared.with_writer(|writer| {
            // Under the lock of the writer, so that they belong together.
            let view = shared.view()?;
            let Written { identity, seq, is_whole, .. } = writer.written;
            let last = writer.last();
            let journal = writer.journal_segment();
            Some(Self {
                view,
                seq: last,
                journal_end: journal.as_ref().map_or(0, |journal| journal.end),
                journal_bytes: journal.as_ref().map_or(0, |journal| journal.end - journal.start),
                needs_writing: !is_whole || seq < last,
                is_edited: Identity::at(&shared.path).ok().is_none_or(|now| now != identity),
            })
        });
        point.flatten()
    }
}

/// Says no when somebody has edited the file meanwhile.
fn write_file(shared: &Shared, point: &Point) -> io::Result<bool> {
    let denied = shared.with_writer(|writer| writer.check_writable().err()).flatten();
    if let Some(failure) = denied {
        return Err(io::Error::other(failure.to_string()));
    }
    let state = &point.view.state;
    let prepared = Prepared::write(&shared.disk, &shared.path, |out| file::write(state, out))?;
    let identity = prepared.identity()?;
    let mut writer = shared.writer.blocking_lock();
    let Some(writer) = writer.as_mut() else { return Ok(false) };
    // As late as can be: what another program does after this line is not seen.
    if Identity::at(&shared.path)? != writer.written.identity {
        return Ok(false);
    }
    prepared.put()?;
    writer.written = Written { identity: Some(identity), state: state.clone(), seq: point.seq, is_whole: true };
    shared.meters.has_written(point.seq);
    if let Err(error) = sync_directory_of(&*shared.disk, &shared.path) {
        writer.written.is_whole = false;
        return Err(error);
    }
    if let Err(error) = writer.note(&[]) {
        tracing::warn!(%error, "the journal does not know yet that the file was written");
    }
    Ok(true)
}

/// Goes on with what an edit of the file comes to.
fn adopt(shared: &Shared, writer: &mut Writer, view: &View, result: Reconciled, identity: Identity) {
    let Reconciled { state, in_file, made, gone, reports, quarantined, is_written } = result;
    shared.faults.set(Topic::File, quarantined);
    shared.faults.set(Topic::Conflict, reports);
    let seq = if is_written { writer.last() } else { writer.written.seq };
    writer.written = Written { identity: Some(identity), state: in_file, seq, is_whole: is_written };
    match writer.write_down(made, &gone) {
        Ok(()) => shared.faults.clear(Topic::Save),
        Err(failure) => shared.faults.set(Topic::Save, vec![format!("an edit is not written down yet: {failure}")]),
    }
    shared.meters.has_written(writer.written.seq);
    let log = writer.log(&view.log);
    shared.publish(View { state, log });
    if !is_written {
        shared.mark_unwritten();
    }
}
