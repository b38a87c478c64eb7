//! The last bytes of a file, to detect that another program has written it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::disk::place::Misplaced;

/// The number of bytes to compare. A backup of the same file differs in the last line at the latest.
const LENGTH: usize = 4096;

/// The last bytes of a file, as this process has read or written them.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    /// Reads the bytes before `end`. A file that cannot be read has no tail, which always matches.
    pub(super) fn read(file: &File, end: u64) -> Self {
        let length = LENGTH.min(usize::try_from(end).unwrap_or(LENGTH));
        let mut bytes = vec![0; length];
        let read = file.read_exact_at(&mut bytes, end - length as u64);
        Self(if read.is_ok() { bytes } else { Vec::new() })
    }

    /// Fails unless the file contains these bytes before `end`.
    pub(super) fn check(&self, path: &Path, file: &File, end: u64) -> io::Result<()> {
        let mut bytes = vec![0; self.0.len()];
        match file.read_exact_at(&mut bytes, end - self.0.len() as u64) {
            Ok(()) if bytes == self.0 => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Err(Misplaced::error(format!("another program has overwritten {}", path.display()))),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes[bytes.len().saturating_sub(LENGTH)..]);
        self.0.drain(..self.0.len().saturating_sub(LENGTH));
    }
}

/// Passes on what is written and retains the tail.
pub(super) struct TailWriter<'a, W> {
    pub(super) out: &'a mut W,
    pub(super) tail: &'a mut Tail,
}

impl<W: Write> Write for TailWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.tail.push(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
