//! Removes from the history what the retention does not keep, and reads the history after the start, on threads of their own.
//!
//! Saves, checkpoints and edits continue in the meantime. The close only waits for the current step.

use std::io;
use std::sync::{Arc, Weak};

use super::rotation::with_history;
#[cfg(feature = "testkit")]
use crate::json::history::History;
use crate::json::history::{Compacted, Log};
use crate::json::mutex::lock;
use crate::json::store::Store;
use crate::json::view::View;

/// The number of bytes of the history that are read at a time.
const STEP: u64 = 1 << 23;

/// Reads the history into its index, and reports damaged lines.
pub(crate) fn read_history(store: &Weak<Store>) {
    while let Some(store) = store.upgrade().filter(|store| !store.is_closing())
        && let Some(view) = store.view()
    {
        let Log { history: Some(history), index, .. } = &view.log else { return };
        match index.extend(history, STEP) {
            Ok(false) => {}
            Ok(true) => return store.report_history(Ok(index.damage().count())),
            Err(error) => return store.report_history(Err(error)),
        }
    }
}

/// Compacts the history if that makes it smaller by a worthwhile part.
pub(crate) fn compact(store: &Arc<Store>) {
    let _one = lock(&store.compacting);
    if let Err(error) = try_compact(store)
        && error.kind() != io::ErrorKind::Interrupted
    {
        tracing::warn!(%error, "cannot delete expired changes from the history");
    }
}

fn try_compact(store: &Arc<Store>) -> io::Result<()> {
    // A close that has already waited for this thread must not find another new file.
    if store.is_closing() {
        return Ok(());
    }
    let source = lock(&store.upkeep).history.as_ref().and_then(|history| history.compactable(&store.clock));
    let Some(source) = source else { return Ok(()) };
    let Some(plan) = source.plan(store.settings.retention, &store.clock) else {
        // The files may have been opened again.
        read_history(&Arc::downgrade(store));
        return Ok(());
    };
    if !source.is_worthwhile(&plan) {
        if let Some(history) = &mut lock(&store.upkeep).history {
            history.set_swept(source.end());
        }
        return Ok(());
    }
    // Only this thread holds the store if its owner has dropped it.
    let compacted = source.compacted(plan, &|| !store.is_closing() && Arc::strong_count(store) > 1)?;
    put(store, compacted)
}

/// Compacts the history, regardless of how much there is to remove and of jumps of the clock: the tests of the retention let days
/// pass between two calls.
#[cfg(feature = "testkit")]
pub(super) fn compact_now(store: &Store) -> io::Result<()> {
    let _one = lock(&store.compacting);
    let Some(source) = lock(&store.upkeep).history.as_ref().map(History::source) else { return Ok(()) };
    while !source.read()? {}
    let Some(plan) = source.plan(store.settings.retention, &store.clock) else { return Ok(()) };
    put(store, source.compacted(plan, &|| true)?)
}

/// Moves a compacted history into its place.
fn put(store: &Store, mut compacted: Compacted) -> io::Result<()> {
    let mut upkeep = lock(&store.upkeep);
    let Some(history) = &mut upkeep.history else { return Ok(()) };
    if store.is_closing() || !history.catch_up(&mut compacted)? {
        return Ok(());
    }
    let mut writer = store.writer.blocking_lock();
    let Some(writer) = writer.as_mut() else { return Ok(()) };
    // The history must not be written in another place.
    writer.restore_in_place().map_err(|failure| io::Error::other(failure.to_string()))?;
    history.put(compacted)?;
    if let Some(view) = store.view() {
        store.publish(View { state: view.state.clone(), log: with_history(&view.log, history) });
    }
    // Damaged lines were removed.
    store.report_history(Ok(history.index.damage().count()));
    Ok(())
}
