//! The history: changes that left the journal, retained as long as [`Retention`](crate::repository::Retention)
//! requires.
//!
//! `<file>.history` contains lines of the journal, byte for byte. A rotation moves the revisions there when the journal is
//! large and `flows.json` contains their changes. It omits reports. When the lines that are no longer retained are more than a
//! fifth of the others, a thread rewrites the file. Saves, edits and the close do not wait for this.

mod all_histories;
mod compaction;
mod history_file;
mod index;
mod log;
mod retention_plan;

pub(crate) use all_histories::stream;
pub(crate) use compaction::Compacted;
pub(crate) use history_file::{History, Opened};
pub(crate) use log::Log;
