//! Reads the lines of an archive.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::error::ArchiveError;

/// Maximum bytes of the first line.
const MAX_FIRST_LINE: u64 = 64 << 10;
/// Bytes that every other line may have. A flow has at most 16 MiB, and a line contains all its revisions.
const FREE_LINE: u64 = 64 << 20;
/// Maximum ratio of a longer line to the compressed bytes before its end. Histories reach 200, a decompression bomb 1000.
const MAX_RATIO: u64 = 400;
/// Maximum bytes of a line.
const MAX_LINE: u64 = 1 << 30;

/// A reader of lines that computes their checksum. Never holds more than one line, whose length is limited.
pub(super) struct Lines<R> {
    input: BufReader<MultiGzDecoder<BufReader<Counter<R>>>>,
    compressed: Rc<Cell<u64>>,
    line: Vec<u8>,
    pub(super) number: usize,
    pub(super) digest: Sha256,
}

/// A reader that counts what was read.
struct Counter<R> {
    input: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

impl<R: Read> Lines<R> {
    pub(super) fn of(input: R) -> Result<Self, ArchiveError> {
        let compressed = Rc::<Cell<u64>>::default();
        let input = Counter { input, count: Rc::clone(&compressed) };
        let mut input = BufReader::with_capacity(1 << 16, input);
        // The magic number of gzip (RFC 1952, 2.3.1).
        if !input.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
            return Err(ArchiveError::Foreign);
        }
        let input = BufReader::with_capacity(1 << 16, MultiGzDecoder::new(input));
        Ok(Self { input, compressed, line: Vec::new(), number: 0, digest: Sha256::new() })
    }

    /// Returns the next line without its line break. A line without a line break is torn.
    pub(super) fn next(&mut self) -> Result<Option<&str>, ArchiveError> {
        self.line.clear();
        loop {
            let bytes = match self.input.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.unreadable(error)),
            };
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(bytes.len(), |end| end + 1);
            self.line.extend_from_slice(&bytes[..length]);
            self.input.consume(length);
            if self.line.len() as u64 > self.limit() {
                return Err(self.too_long());
            }
            if end.is_some() {
                break;
            }
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        self.digest.update(&self.line);
        self.number += 1;
        let line = self.line.strip_suffix(b"\n").ok_or(ArchiveError::Torn(self.number))?;
        let damaged =
            |error: std::str::Utf8Error| ArchiveError::Damaged { line: self.number, problem: error.to_string() };
        std::str::from_utf8(line).map(Some).map_err(damaged)
    }

    /// Returns the maximum length of the line at this point of the file.
    fn limit(&self) -> u64 {
        match self.number {
            0 => MAX_FIRST_LINE,
            _ => FREE_LINE.max(self.compressed.get() * MAX_RATIO).min(MAX_LINE),
        }
    }

    fn too_long(&self) -> ArchiveError {
        if self.number == 0 {
            return ArchiveError::Foreign;
        }
        let problem = format!("it is longer than {} bytes, as only a decompression bomb is", self.limit());
        ArchiveError::Damaged { line: self.number + 1, problem }
    }

    fn unreadable(&self, error: io::Error) -> ArchiveError {
        let line = self.number + 1;
        match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                ArchiveError::Damaged { line, problem: error.to_string() }
            }
            io::ErrorKind::UnexpectedEof => ArchiveError::Torn(line),
            _ => ArchiveError::Read(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use flate2::Compression;
    use flate2::read::GzEncoder;

    use super::{ArchiveError, FREE_LINE, Lines};

    /// Compresses this text, then this number of bytes.
    fn compressed(text: &'static str, byte: u8, count: u64) -> impl Read {
        GzEncoder::new(text.as_bytes().chain(io::repeat(byte).take(count)).chain(&b"\n"[..]), Compression::best())
    }

    #[test]
    fn lines_that_only_a_bomb_has_are_rejected_early() {
        let mut lines = Lines::of(compressed("", 0, 1 << 40)).unwrap();
        assert!(matches!(lines.next(), Err(ArchiveError::Foreign)));
        for byte in [b' ', b'[', 0] {
            let mut lines = Lines::of(compressed("first\n", byte, 1 << 40)).unwrap();
            assert_eq!(lines.next().unwrap(), Some("first"));
            let Err(ArchiveError::Damaged { line: 2, problem }) = lines.next() else { panic!("a limit") };
            assert!(problem.contains("decompression bomb"), "{problem}");
            assert!(lines.line.capacity() as u64 <= 2 * FREE_LINE + (1 << 20), "{}", lines.line.capacity());
        }
    }

    #[test]
    fn long_lines_are_read() {
        let mut lines = Lines::of(compressed("first\n", b'x', FREE_LINE - 1)).unwrap();
        lines.next().unwrap();
        assert_eq!(lines.next().unwrap().map(str::len), Some(FREE_LINE as usize - 1));
        assert!(lines.next().unwrap().is_none());
    }
}
