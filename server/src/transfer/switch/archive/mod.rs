//! Archives: all flows of a storage and their histories in one file. Both backends can restore it.
//!
//! An archive is a gzip file (RFC 1952) of lines. Each line is a JSON object, so that `zcat` and `jq` can read it:
//!
//! | line | members |
//! |---|---|
//! | first | `strom`: `"archive"`; `format`: 1; `made_by`: the version of the program; `at`: the time; `from`: the storage |
//! | one per flow | `flow`: the document; `version`: its `revision`, `created_at`, `updated_at` and `author`; `history` |
//! | one per deleted flow | `deleted`: its id; `history` |
//! | last | `flows`, `deleted`, `revisions`: the numbers; `sha256` of all bytes before this line |
//!
//! A `history` is an array with one object per retained revision, ascending: `revision`, `op`, `at`, `author` and `flow`.
//! `flow` is the document after the change, or the deleted document.

mod compare;
mod error;
mod format;
mod lines;
mod reader;
mod writer;

pub use self::error::ArchiveError;
pub use self::format::{Contents, Origin};
