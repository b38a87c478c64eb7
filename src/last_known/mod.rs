//! The last-known copy: a copy of a storage that serves reads during an outage.
//!
//! A [`LastKnown`] follows the feed of a repository and keeps its flows in memory. With a directory it also saves them
//! to a file, so that a process that starts during an outage can serve them. Changes through the
//! [`recorded`](LastKnown::recorded) repository are in the copy when the call returns, before the feed delivers them, and
//! in the file within a second. The copy reports its age and never understates it. It implements [`FlowRepository`](crate::repository::FlowRepository) for reading.
//!
//! | module | content |
//! |---|---|
//! | `copy` | the handle |
//! | `recorder` | adds the changes that this instance acknowledges |
//! | `follower` | adds the changes that the feed delivers |
//! | `state`, `acknowledged` | the flows, and which of two changes is newer |
//! | `selection` | which flows fit the limit |
//! | `saver` | saves the copy |
//! | `view`, `reading` | what readers see |
//! | `file`, `line` | the file |
//!
//! *Limit*: the copy always contains the flows with `properties.auto_restart`. It contains the others as far as their
//! documents fit, the most recently changed ones first. An incomplete copy only answers what it can answer correctly:
//! single flows that it contains, and lists with `auto_restart=true`.
//!
//! *As of*: the copy is the state of the storage at one point in time, with the later changes that this instance has
//! acknowledged. That time advances whenever the feed shows no change that the copy lacks. A committed change that waits
//! in the feed for an older transaction holds it back. A change whose outcome is unknown is not in the copy until the
//! feed delivers it. After a restart, the reported age may exceed the real one by the intervals in [`Settings`], but is never less.
//!
//! The copy rejects writes, and reads of history and feed. It does not report that a flow does not exist, because it
//! may be new.

mod acknowledged;
mod copy;
mod file;
mod follower;
mod line;
mod reading;
mod recorder;
mod saver;
mod selection;
mod settings;
mod shared;
mod state;
mod view;

pub use copy::{Extent, LastKnown};
pub use settings::Settings;
