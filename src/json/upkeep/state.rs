//! The knowledge of upkeep about the files.

use std::path::PathBuf;

use super::memory::FileMemory;
use crate::disk::durable::Identity;
use crate::json::history::History;

/// The state of upkeep. Its lock ensures that one task runs at a time.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) history: Option<History>,
    /// The file content that could not be read.
    pub(crate) refused: Option<Identity>,
    /// The file content that the last check has seen. An editor may still be writing it.
    pub(crate) seen: Option<Identity>,
    /// The last change of the flows that were written to another file, and the file.
    pub(crate) set_aside: Option<(u64, PathBuf)>,
    pub(crate) memory: FileMemory,
}

impl Upkeep {
    pub(crate) fn new(history: Option<History>, memory: FileMemory) -> Self {
        Self { history, refused: None, seen: None, set_aside: None, memory }
    }
}
