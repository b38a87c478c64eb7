//! Reads the file.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use chrono::{DateTime, Utc};
use rustix::fs::OFlags;

use super::content::Content;
use super::content_builder::{CORRECT, ContentBuilder, FileError, RESTORE, file_error};
use super::file_reader;
use super::member::Member;
use crate::envelope::{BYTE_ORDER_MARK, BlankDetector};

/// Opens the file for reading. Does not block, not even on a pipe without a writer.
pub(crate) fn open(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    let options = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).to_owned();
    match options.open(path) {
        // The metadata is read before the contents, so that a concurrent write is detected later.
        Ok(file) => file.metadata().map(|metadata| Some((file, metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns when the file was last modified.
pub(crate) fn modified(metadata: &Metadata) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(metadata.mtime(), u32::try_from(metadata.mtime_nsec()).ok()?)
}

/// Reads a file. Returns `None` if it is blank.
pub(crate) fn read(mut file: impl Read + Seek) -> Result<Option<Content>, FileError> {
    let mut builder = ContentBuilder::default();
    // The fast reader only accepts regular files. The exact reader reports what is wrong with others.
    if file_reader::read_quickly(&mut file, |part| builder.take(part)).is_ok()
        && let Ok(content) = builder.finish()
    {
        return Ok(Some(content));
    }
    let rewound = file.rewind();
    rewound.map_err(|error| FileError { problem: format!("`$`: cannot be read: {error}"), remedy: RESTORE })?;
    read_closely(file)
}

fn read_closely(file: impl Read) -> Result<Option<Content>, FileError> {
    let mut file = BufReader::with_capacity(1 << 16, BlankDetector::new(file));
    // Some editors write a byte order mark.
    if file.fill_buf().is_ok_and(|bytes| bytes.starts_with(BYTE_ORDER_MARK)) {
        file.consume(BYTE_ORDER_MARK.len());
    }
    let mut builder = ContentBuilder::default();
    let parts = file_reader::read(&mut file, |part| builder.take(part));
    if file.get_ref().is_blank() {
        return Ok(None);
    }
    if let Some(fault) = builder.fault {
        return Err(fault);
    }
    parts.map_err(|error| {
        // The reader does not look into flows, so `flows` itself has the wrong type.
        if error.is_data() && builder.members.last() == Some(&Member::Flows) && builder.position == 0 {
            return file_error("`$.flows`: expected an array", CORRECT);
        }
        let remedy = if error.is_data() { CORRECT } else { RESTORE };
        let what = if error.is_io() { "cannot be read" } else { "not a JSON file of flows" };
        FileError { problem: format!("`$`: {what}: {error}"), remedy }
    })?;
    builder.finish().map(Some)
}
