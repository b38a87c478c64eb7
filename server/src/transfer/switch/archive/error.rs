//! Errors of archives.

use std::io;

use super::format::FORMAT;

/// An error that prevents restoring an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file is not an archive of `strom backup`.
    #[error("not an archive of Strom")]
    Foreign,
    /// A newer version of the program wrote the archive.
    #[error("its format is {0}, but this version reads format {FORMAT}")]
    Newer(u32),
    /// The archive ends in or before the line with this number, counted from 1.
    #[error("the archive ends early in line {0}")]
    Torn(usize),
    /// A line is invalid, because the file was changed or the disk damaged it.
    #[error("line {line} is damaged: {problem}")]
    Damaged {
        /// The number of the uncompressed line, counted from 1.
        line: usize,
        /// The problem.
        problem: String,
    },
    /// Every line is valid, but the checksum does not match.
    #[error("the checksum does not match: the archive was changed or damaged")]
    Checksum,
    /// The file cannot be read, or the temporary file cannot be written.
    #[error(transparent)]
    Read(#[from] io::Error),
}
