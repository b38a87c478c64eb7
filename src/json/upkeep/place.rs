//! Checks that a store is still in its place, and sets aside what is not.

use std::io;
use std::path::{Path, PathBuf};

use super::faults::Topic;
use super::state::Upkeep;
use crate::disk::durable::{Output, sync_directory_of};
use crate::json::file;
use crate::json::recovery::{Opened, reopen};
use crate::json::store::Store;
use crate::json::view::View;

/// Checks that the paths of the store lead to the files of this process. Returns false if they do not: then this
/// process must neither read nor write what is there now.
pub(crate) fn check_place(upkeep: &mut Upkeep, store: &Store) -> bool {
    if store.with_writer(|writer| !writer.is_held()) == Some(true) {
        acquire(upkeep, store);
        return true;
    }
    let checked = store.with_writer(|writer| {
        let checked = writer.restore_in_place().inspect(|()| writer.lock_linked_file());
        // The lock of the writer makes view and journal consistent.
        checked.map_err(|failure| (failure, store.view().filter(|_| writer.has_lost_its_journal())))
    });
    let Some(Err((failure, lost))) = checked else {
        store.set_location(None);
        check_saves(store);
        return true;
    };
    let saved = lost.map_or_else(String::new, |view| set_aside(upkeep, store, &view));
    store.set_location(Some(format!(
        "{}: {failure}. Changes are rejected{saved}. Put the files back in their place, or restart Strom to use those \
         that are there now",
        store.path.display()
    )));
    false
}

/// Writes the flows to a new file, because their journal can no longer be reached. Returns a description.
fn set_aside(upkeep: &mut Upkeep, store: &Store, view: &View) -> String {
    if upkeep.set_aside.as_ref().is_none_or(|(last, _)| *last != view.log.last) {
        match write_aside(store, view) {
            Ok(path) => upkeep.set_aside = Some((view.log.last, path)),
            Err(error) => {
                return format!(
                    "; the flows cannot be written to another file ({error}), so export them from this process before \
                     you stop it"
                );
            }
        }
    }
    let path = upkeep.set_aside.iter().map(|(_, path)| path.display().to_string()).collect::<String>();
    format!("; {path} contains all acknowledged flows, for `strom import`")
}

/// Writes `<file>.rescued-<last change>` to the directory of the store, or to the nearest one that exists and can be
/// written. Replaces no file.
fn write_aside(store: &Store, view: &View) -> io::Result<PathBuf> {
    let name = store.path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{name}.rescued-{}", view.log.last);
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for directory in store.path.ancestors().skip(1).map(PathBuf::from).chain([std::env::temp_dir()]) {
        for number in 1_u32.. {
            let path = directory.join(if number == 1 { name.clone() } else { format!("{name}-{number}") });
            match write_new(store, view, &path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    failed = error;
                    break;
                }
            }
        }
    }
    Err(failed)
}

fn write_new(store: &Store, view: &View, path: &Path) -> io::Result<()> {
    let disk = &*store.disk;
    let file = disk.create(path)?;
    let mut out = Output::new(disk, &file, 0);
    let written = file::write(&view.state, &mut out).and_then(|_| out.finish()).and_then(|_| disk.sync(&file));
    written.and_then(|()| sync_directory_of(disk, path)).inspect_err(|_| {
        let _ = disk.remove(path);
    })
}

/// Opens the store again if its files can be written now, which was not possible at the start.
fn acquire(upkeep: &mut Upkeep, store: &Store) {
    match reopen(&store.named, &store.path, store.now(), &store.disk, store.settings.url.as_deref()) {
        Ok(Opened { writer, view, history, faults, .. }) => {
            let mut current = store.writer.blocking_lock();
            upkeep.history = history;
            (upkeep.seen, upkeep.refused) = (None, None);
            store.faults.take_over(faults);
            *current = writer;
            store.publish(view);
            drop(current);
            store.set_location(None);
            store.mark_unwritten();
        }
        Err(reason) => store.set_location(Some(reason)),
    }
}

/// Ends the fault of failed saves when saves are possible again. Reports a file that cannot be written before the first
/// save fails.
fn check_saves(store: &Store) {
    let has_failed = store.faults.has(Topic::Save);
    let probed = store.with_writer(|writer| {
        if !has_failed {
            return writer.check_writable();
        }
        writer.probe()?;
        // The probe has also saved edits that were found before.
        if let Some(view) = store.view() {
            store.publish(View { state: view.state.clone(), log: writer.log(&view.log) });
        }
        Ok(())
    });
    match probed {
        Some(Err(failure)) => store.faults.set(Topic::Save, vec![failure.to_string()]),
        Some(Ok(())) if has_failed => store.faults.clear(Topic::Save),
        _ => {}
    }
}
