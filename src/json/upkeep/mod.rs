//! Work in the background: checkpoints, edits of the file by other programs, rotation of the journal.
//!
//! One task runs at a time, on its own thread. It locks the writer only to read its state and to move a file into
//! place, so that a save waits at most for a rename. Only the history is read and compacted by other threads.

mod checkpoint;
mod close;
mod compaction;
mod edits;
mod faults;
mod measurements;
mod memory;
mod meters;
mod place;
mod point;
mod racy;
mod rotation;
mod schedule;
mod state;
mod watch;

#[cfg(feature = "testkit")]
pub(crate) use checkpoint::apply_retention;
pub(crate) use close::close;
pub(crate) use faults::{Faults, Topic};
pub(crate) use memory::FileMemory;
pub(crate) use meters::Meters;
pub(crate) use schedule::Schedule;
pub(crate) use state::Upkeep;
pub(crate) use watch::watch;
