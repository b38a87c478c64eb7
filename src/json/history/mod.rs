//! The history: changes that left the journal, retained as long as [`Retention`](crate::repository::Retention)
//! requires.
//!
//! `<file>.history` contains lines of the journal, byte for byte. A rotation moves them there when the journal is
//! large and `flows.json` contains their changes. When half of the file is no longer retained, the store rewrites the
//! file. Saves do not wait for this.

mod all_histories;
mod history_file;
mod log;
mod retention_plan;

pub(crate) use all_histories::stream;
pub(crate) use history_file::{History, Opened, damaged_lines};
pub(crate) use log::Log;
