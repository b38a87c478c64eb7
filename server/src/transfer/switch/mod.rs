//! Switches: moves every flow of a storage to another with its id, times, revision and author. All or none.
//!
//! 1. [`Switch::read`] reads a snapshot of the source, checks every flow and spools it.
//! 2. [`Switch::plan`] compares it with the target and decides per flow. It lists all obstacles. While there is one,
//!    nothing is written.
//! 3. [`Switch::make`] stores all flows in one write, reads every flow back and compares it.
//!
//! The source is only read. [`Switch::source_has_changed`] reports changes by other writers during the switch.
//!
//! | file | contents |
//! |---|---|
//! | `source` | the flows and histories of the source |
//! | `items`, `histories` | reading, checking and spooling of flows and of histories |
//! | `plan` | the decision per flow, and the obstacles |
//! | `run` | planning and making a switch |
//! | `changes` | the change list for the target |
//! | `verify` | reading back and comparing |
//! | `options`, `error` | policies and errors |
//! | `report`, `summary` | the report, and how it is built |
//! | `hash` | SHA-256 in hexadecimal digits |
//! | `archive` | the same flows in a file: backups |

mod archive;
mod changes;
mod error;
mod hash;
mod histories;
mod items;
mod options;
mod plan;
mod report;
mod run;
mod source;
mod summary;
mod verify;

pub use self::archive::{ArchiveError, Contents, Origin};
pub use self::error::SwitchError;
pub use self::hash::Hash;
pub use self::options::{Existing, History};
pub use self::report::{
    Difference, MoveOutcome, MovedDeletion, MovedFlow, MovedHistories, Obstacle, SwitchCounts, SwitchReport,
};
pub use self::source::Switch;
