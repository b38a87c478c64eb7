//! Checkpoints: writes `flows.json` and rotates a long journal.

use std::io;
use std::time::{Duration, Instant};

#[cfg(feature = "testkit")]
use super::compaction::compact_now;
use super::faults::Topic;
use super::point::Point;
use super::racy::is_edited_unnoticed;
use super::rotation::rotate;
use super::state::Upkeep;
use crate::disk::durable::{Identity, Prepared, sync_directory_of};
use crate::json::file;
use crate::json::mutex::lock;
use crate::json::store::Store;
use crate::json::view::{Racy, Written};

/// Writes the file if it is not up to date. Returns whether it is up to date now.
pub(crate) fn checkpoint(store: &Store) -> bool {
    store.schedule.begin();
    let is_written = write_and_rotate(&mut lock(&store.upkeep), store);
    store.schedule.end(is_written);
    is_written
}

/// Writes the file if it is not up to date, and rotates a long journal. Returns whether the file is up to date.
pub(crate) fn write_and_rotate(upkeep: &mut Upkeep, store: &Store) -> bool {
    let Some(point) = Point::of(store) else { return true };
    // The next check reports files that are not in their place.
    if point.is_edited || !point.is_in_place {
        return false;
    }
    if !point.is_held {
        return !point.needs_writing;
    }
    if point.needs_writing {
        if is_edited_unnoticed(store, Duration::ZERO) {
            return false;
        }
        let begin = Instant::now();
        // A start after another crash needs these versions to recognise stale edits.
        let unnoted = upkeep.memory.unnoted_versions();
        let written = write_file(store, &point, &unnoted);
        store.meters.tried_to_write(written.as_ref().ok().copied(), begin.elapsed());
        match written {
            Ok(true) => {
                upkeep.memory.note(unnoted);
                upkeep.memory.add(Some(point.seq), &point.view.state);
                store.faults.clear(Topic::Checkpoint);
            }
            Ok(false) => return false,
            Err(error) => {
                let fault =
                    format!("cannot write {}, but the journal contains all changes: {error}", store.path.display());
                store.faults.set(Topic::Checkpoint, vec![fault]);
                return false;
            }
        }
    } else {
        store.faults.clear(Topic::Checkpoint);
    }
    if point.journal_bytes > store.settings.journal_bytes {
        match rotate(upkeep, store, &point) {
            Ok(()) => store.faults.clear(Topic::Rotation),
            Err(error) => {
                let fault = format!("cannot move the journal of {} to its history: {error}", store.path.display());
                store.faults.set(Topic::Rotation, vec![fault]);
            }
        }
    }
    true
}

/// Rotates the journal and removes what the retention does not keep.
#[cfg(feature = "testkit")]
pub(crate) fn apply_retention(store: &Store) -> io::Result<()> {
    {
        let mut upkeep = lock(&store.upkeep);
        write_and_rotate(&mut upkeep, store);
        Point::of(store).map_or(Ok(()), |point| rotate(&mut upkeep, store, &point))?;
    }
    compact_now(store)
}

/// Writes the file, and notes it in the journal together with these versions. Returns false if another program has edited it in
/// the meantime.
fn write_file(store: &Store, point: &Point, unnoted: &[u64]) -> io::Result<bool> {
    let denied = store.with_writer(|writer| writer.check_writable().err()).flatten();
    if let Some(failure) = denied {
        return Err(io::Error::other(failure.to_string()));
    }
    let state = &point.view.state;
    let mut digest = None;
    let prepared = Prepared::write(&store.disk, &store.path, |out| {
        digest = Some(file::write(state, out)?);
        Ok(())
    })?;
    store.schedule.spend(prepared.length());
    let identity = prepared.identity()?;
    let mut writer = store.writer.blocking_lock();
    let Some(writer) = writer.as_mut() else { return Ok(false) };
    // These checks are as late as possible: an edit after them is lost.
    writer.restore_in_place().map_err(|failure| io::Error::other(failure.to_string()))?;
    if Identity::at(&store.path)? != writer.written.identity {
        return Ok(false);
    }
    prepared.put()?;
    let racy = digest.map(|digest| Racy { digest, since: Instant::now() });
    writer.written = Written { identity: Some(identity), state: state.clone(), seq: point.seq, is_whole: true, racy };
    store.meters.has_written(point.seq);
    if let Err(error) = sync_directory_of(&*store.disk, &store.path) {
        writer.written.is_whole = false;
        return Err(error);
    }
    if let Err(error) = writer.note(unnoted, &[]) {
        tracing::warn!(%error, "cannot record the checkpoint in the journal");
    }
    Ok(true)
}
