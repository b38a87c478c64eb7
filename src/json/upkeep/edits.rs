//! Adopts edits of `flows.json` that another program made while the store is open.

use std::collections::HashSet;
use std::fs::File;
use std::io::Seek;
use std::time::{Duration, Instant};

use super::faults::Topic;
use super::place::check_place;
use super::racy::{GRANULARITY, is_edited_unnoticed};
use super::state::Upkeep;
use crate::disk::durable::Identity;
use crate::json::file::{self, Content};
use crate::json::recovery::{FileVersions, Knowledge, Reconciled, compare, file_stamp, reconcile};
use crate::json::store::Store;
use crate::json::view::{Racy, View, Written};
use crate::json::writer::Writer;

/// Checks whether another program has edited the file. Adopts the edit if two checks have seen the same content, or at
/// the close.
pub(crate) fn check_file(upkeep: &mut Upkeep, store: &Store, is_last: bool) {
    if !check_place(upkeep, store) {
        return;
    }
    is_edited_unnoticed(store, if is_last { Duration::ZERO } else { GRANULARITY });
    let Ok(identity) = Identity::at(&store.path) else { return };
    let Some(known) = store.with_writer(|writer| writer.written.identity) else { return };
    if identity == known {
        // The file is as the store wrote it, or an editor has undone a broken edit.
        store.faults.clear(Topic::Edit);
        (upkeep.refused, upkeep.seen) = (None, None);
        return;
    }
    let is_settled = is_last || identity == upkeep.seen;
    upkeep.seen = identity;
    match identity {
        Some(_) if !is_settled || identity == upkeep.refused => {}
        Some(_) => adopt_edit(upkeep, store),
        // The file was moved away. The next checkpoint writes it again, so nothing is lost.
        None if is_settled => {
            store.with_writer(|writer| {
                writer.written.identity = None;
                writer.written.is_whole = false;
            });
            store.mark_unwritten();
        }
        None => {}
    }
}

/// Reads and compares the file while saves continue, then merges its edits.
fn adopt_edit(upkeep: &mut Upkeep, store: &Store) {
    let Ok(Some((file, metadata))) = file::open(&store.path) else { return };
    let identity = Identity::of(&metadata);
    let (content, racy) = match read(&file) {
        Ok(read) => read,
        Err(fault) => return refuse(upkeep, store, identity, &fault),
    };
    upkeep.refused = None;
    let Some((written, view)) = store.with_writer(|writer| (writer.written.seq, store.view())) else { return };
    let Some(view) = view else { return };
    let memory = &upkeep.memory;
    let (earlier, edited, unnoted) = (memory.versions(), memory.edited(), memory.unnoted());
    let versions = FileVersions { earlier, edited, written, unnoted, ..FileVersions::default() };
    let known = Knowledge {
        state: &view.state,
        log: &view.log,
        versions: &versions,
        unknown: &HashSet::new(),
        read: &|id| memory.reports(id),
    };
    let comparison = compare(content, &known);
    let stamp = file_stamp(file::modified(&metadata).unwrap_or_default());
    let mut writer = store.writer.blocking_lock();
    let Some(writer) = writer.as_mut() else { return };
    // An editor may still be writing. The next check reads the file again.
    if Identity::at(&store.path).ok().flatten() != Some(identity) {
        return;
    }
    let Some(view) = store.view() else { return };
    store.faults.clear(Topic::Edit);
    adopt(store, writer, &view, reconcile(&view.state, comparison, &stamp), identity, racy);
    let Written { is_whole, seq, state, .. } = &writer.written;
    upkeep.memory.add(is_whole.then_some(*seq), state);
    upkeep.memory.add_edited(writer.last(), state);
}

/// Reads the file. Also returns what detects a later edit that leaves the identity unchanged.
fn read(mut file: &File) -> Result<(Content, Racy), String> {
    let digest = file::digest(file).and_then(|digest| file.rewind().map(|()| digest));
    let digest = digest.map_err(|error| format!("it cannot be read: {error}"))?;
    match file::read(file) {
        Ok(Some(content)) => Ok((content, Racy { digest, since: Instant::now() })),
        Ok(None) => Err("the file is empty".to_owned()),
        Err(fault) => Err(fault.problem),
    }
}

/// Reports a file that cannot be read.
fn refuse(upkeep: &mut Upkeep, store: &Store, identity: Identity, fault: &str) {
    upkeep.refused = Some(identity);
    let fault = format!(
        "{} was edited and is invalid: {fault}. Correct the file, or remove it to have it rewritten. Until then, \
         changes are saved only to the journal",
        store.path.display()
    );
    store.faults.set(Topic::Edit, vec![fault]);
}

/// Publishes the result of an edit.
fn adopt(store: &Store, writer: &mut Writer, view: &View, result: Reconciled, identity: Identity, racy: Racy) {
    let Reconciled { mut state, in_file, entries, tombstones, reports, quarantined, is_written } = result;
    state.set_reports(&entries, writer.next());
    store.faults.set(Topic::File, quarantined);
    store.faults.set(Topic::Conflict, reports);
    let seq = if is_written { writer.last() } else { writer.written.seq };
    writer.written = Written { identity: Some(identity), state: in_file, seq, is_whole: is_written, racy: Some(racy) };
    match writer.append_found(entries, &tombstones) {
        Ok(()) => store.faults.clear(Topic::Save),
        Err(failure) => store.faults.set(Topic::Save, vec![format!("an edit of the file is not saved yet: {failure}")]),
    }
    store.meters.has_written(writer.written.seq);
    let log = writer.log(&view.log);
    store.publish(View { state, log });
    if !is_written {
        store.mark_unwritten();
    }
}
