//! The files of a store, opened together.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::durable::Identity;
use crate::disk::paths::is_missing;
use crate::disk::place::Inode;
use crate::json::file;
use crate::json::journal::written_length;
use crate::json::paths::{history_path, journal_path};

/// The files of a store, opened together. Journal and history only grow until they are replaced.
pub(crate) struct Files {
    pub(crate) file: Option<(File, Metadata)>,
    pub(crate) journal: Option<Arc<File>>,
    /// The part of the journal to read. A reader ignores what another process appends later: it may concern a later
    /// version of the file.
    pub(crate) journal_length: u64,
    pub(crate) history: Option<Arc<File>>,
}

impl Files {
    pub(crate) fn open(real: &Path, is_writable: bool) -> io::Result<Self> {
        let file = file::open(real)?;
        let history = open(&history_path(real), is_writable)?;
        let journal = open(&journal_path(real), is_writable)?;
        let journal_length = match &journal {
            Some(journal) if is_writable => journal.metadata()?.len(),
            Some(journal) => written_length(journal)?,
            None => 0,
        };
        Ok(Self { file, journal, journal_length, history })
    }

    /// Whether all paths lead to these files, so that they were in place at the same time.
    pub(crate) fn are_in_place(&self, real: &Path) -> io::Result<bool> {
        let inode = |file: &Option<Arc<File>>| match file {
            Some(file) => file.metadata().map(|metadata| Some(Inode::of(&metadata))),
            None => Ok(None),
        };
        Ok(Identity::at(real)? == self.file.as_ref().map(|(_, metadata)| Identity::of(metadata))
            && Inode::at(&journal_path(real))? == inode(&self.journal)?
            && Inode::at(&history_path(real))? == inode(&self.history)?)
    }

    /// Whether an editor has written the file since it was opened.
    pub(crate) fn was_edited(&self) -> io::Result<bool> {
        let Some((file, before)) = &self.file else { return Ok(false) };
        Ok(Identity::of(&file.metadata()?) != Identity::of(before))
    }
}

fn open(path: &Path, is_writable: bool) -> io::Result<Option<Arc<File>>> {
    match File::options().read(true).write(is_writable).open(path) {
        Ok(file) => Ok(Some(Arc::new(file))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
