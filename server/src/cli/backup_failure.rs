//! Errors of `strom backup` and of restoring an archive.

use std::io;

use strom_server::transfer::switch::{ArchiveError, SwitchError};

/// An error of `strom backup` or of restoring an archive, with a remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupFailure {
    #[error("{0}\nno archive was written; remove the cause, then try again")]
    Read(#[from] SwitchError),
    #[error("cannot write {file}: {source}\nno archive was written; check the directory, its permissions and the disk")]
    Write { file: String, source: io::Error },
    #[error("{0} is not a regular file\nset another path for the archive")]
    NotAFile(String),
    #[error("{0} exists and is not an archive of `strom backup`\nset another path, or delete the file first")]
    NotAnArchive(String),
    #[error(
        "the written archive differs from the storage: {0}\nno archive was kept; the disk or the memory of this \
         machine may be faulty, so write the archive elsewhere"
    )]
    VerificationFailed(String),
    #[error("cannot restore {file}: {source}\nnothing was stored; use another archive")]
    Archive { file: String, source: ArchiveError },
    #[error(
        "`{0}` is the id of a flow, and the revision is missing\nset it with --revision; `strom history {0}` lists \
         all revisions"
    )]
    MissingRevision(String),
    #[error("`{0}` is not the id of a flow, and only flows have revisions\nomit --revision to restore an archive")]
    NotAFlowId(String),
}
