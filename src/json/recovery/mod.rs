//! Opens a store: reads the file, the journal and the history, whatever their condition. Merges edits of the file.

mod base;
mod compare;
mod files;
mod fold;
mod known;
mod open;
mod reconcile;
mod recover;
mod timeline;

pub(crate) use base::FileVersions;
pub(crate) use compare::{Knowledge, compare};
pub(crate) use open::{Opened, open, open_read_only, reopen};
pub(crate) use reconcile::{Reconciled, file_stamp, reconcile};
