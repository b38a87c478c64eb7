//! The state that readers see, and the contents of the file on the disk.

use std::time::Instant;

use super::history::Log;
use super::state::State;
use crate::disk::durable::Identity;

/// The state that readers see: the flows and the log.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) state: State,
    pub(crate) log: Log,
}

/// `flows.json` on the disk, as far as known.
#[derive(Debug)]
pub(crate) struct Written {
    /// Identifies the content last read or written. `None` if there is no file.
    pub(crate) identity: Option<Identity>,
    /// The flows in the file.
    pub(crate) state: State,
    /// The last change that the file contains.
    pub(crate) seq: u64,
    /// Whether the file contains every change up to that one.
    pub(crate) is_whole: bool,
    /// The hash of the content, until it is certain that a later edit changes the identity.
    pub(crate) racy: Option<Racy>,
}

/// The content of a file that was written too recently to trust its modification time. An edit within the granularity of
/// the file system can leave the modification time and the length unchanged. Git calls this problem "racy".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Racy {
    pub(crate) digest: [u8; 32],
    /// The time after which the content was as hashed.
    pub(crate) since: Instant,
}
