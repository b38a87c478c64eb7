//! The journal: every change since the last checkpoint, and some before it. A save is one append and one sync.
//!
//! `<file>.journal` begins with the flows before its first change (`base` and `gone` lines, without documents). The
//! changes follow. The store creates and replaces it as a whole, otherwise it only grows. While it is open for
//! writing, zeros follow the last line.

mod append_file;
mod base;
mod entry;
mod journal_file;
pub(crate) mod line;
mod replay;
mod segment;
mod tail;

pub(crate) use append_file::AppendFile;
pub(crate) use base::Base;
pub(crate) use entry::{ChangeMeta, FlowVersion, Hash, JournalEntry, Report, Tombstone};
pub(crate) use journal_file::Journal;
pub(crate) use replay::{Replay, ReplayEvent, replay, written_length};
pub(crate) use segment::Segment;
