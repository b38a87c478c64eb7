//! Closes a store.

use std::fs::File;

use super::checkpoint::write_and_rotate;
use super::edits::check_file;
use super::faults::Topic;
use crate::json::mutex::lock;
use crate::json::paths::journal_path;
use crate::json::store::Store;
use crate::repository::{RepositoryError, Result};

/// Maximum number of attempts while other programs edit the file.
const ATTEMPTS: usize = 10;

/// Rejects further calls, saves the waiting ones, and completes the file.
///
/// # Errors
/// [`RepositoryError::Incomplete`] if the file could not be completed.
pub(crate) fn close(store: &Store) -> Result<()> {
    if store.view().is_none() {
        return Ok(());
    }
    // Otherwise clients that keep saving could delay the close forever.
    store.reject_calls();
    // A compaction of the history stops soon, and leaves no temporary file.
    drop(lock(&store.compacting));
    let mut attempts = 1..=ATTEMPTS;
    let (mut writer, is_written) = loop {
        let is_written = {
            let mut upkeep = lock(&store.upkeep);
            check_file(&mut upkeep, store, true);
            write_and_rotate(&mut upkeep, store)
        };
        let writer = store.writer.blocking_lock();
        // A waiting call may have been saved while the file was written.
        let lacks = writer.as_ref().is_some_and(|writer| writer.written.seq < writer.last());
        // Without a fault, another program has edited the file since it was checked.
        let is_retried = !is_written && faults(store).is_empty() && attempts.next().is_some();
        if !(is_retried || is_written && lacks) {
            break (writer, is_written);
        }
    };
    // A concurrent close has closed the store, and returns its result.
    if store.view().is_none() {
        return Ok(());
    }
    store.hide();
    match writer.take() {
        Some(writer) => writer.leave(),
        None if store.read_only => {}
        None => return Err(incomplete(store, "a save has panicked")),
    }
    if is_written { Ok(()) } else { Err(incomplete(store, &problem(store))) }
}

/// Returns the faults that prevent the file from being written.
fn faults(store: &Store) -> Vec<String> {
    store.faults.of(&[Topic::Location, Topic::Edit, Topic::Checkpoint])
}

/// Returns why the file was not written.
fn problem(store: &Store) -> String {
    match faults(store) {
        none if none.is_empty() => match File::open(&store.path) {
            Ok(_) => "another program is editing it".to_owned(),
            Err(error) => error.to_string(),
        },
        faults => faults.join("; "),
    }
}

fn incomplete(store: &Store, problem: &str) -> RepositoryError {
    let file = store.path.display();
    let remedy = match store.faults.of(&[Topic::Location]).is_empty() {
        true => format!(
            "No change is lost: {} contains all acknowledged changes. Correct the cause, then start Strom again, which \
             completes {file}. Until then, keep both files together, also when you move or copy them",
            journal_path(&store.path).display()
        ),
        // The journal is not known to be in its place.
        false => format!("Before you start Strom again, correct the cause, and keep all files {file}*"),
    };
    RepositoryError::Incomplete(format!("{file} lacks changes: {problem}\n{remedy}"))
}
