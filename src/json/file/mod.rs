//! The file: `{"version": 1, "flows": [...]}`, indented by two spaces. It contains the flows and no data of the store.
//!
//! Other members at the top level stay in the file, byte for byte. Flows keep their positions, and new flows come
//! last, so that a diff after one edit shows only that edit. The store reads a byte order mark and other line ends,
//! and the next checkpoint removes them.
//!
//! The store rejects a file that is not JSON, not a file of flows, or of a newer version. It *quarantines* a flow that
//! cannot be stored or whose id occurs twice: the store does not serve it, and it stays in the file, byte for byte and
//! at its position, until an editor corrects it.
//!
//! Reading and writing hold one flow at a time, so that a file needs no more memory than its flows.

mod content;
mod content_builder;
mod file_reader;
mod member;
mod read;
mod splitter;
mod write;

pub(crate) use content::{Content, FileFlow};
pub(crate) use content_builder::{FileError, RESTORE};
pub(crate) use member::{Member, Quarantined};
pub(crate) use read::{modified, open, read};
pub(crate) use write::{digest, write};
