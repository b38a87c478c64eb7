//! A part of a file that contains lines and does not change, whatever is appended after it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::line::{self, Line};

/// Changes in an open file. Renaming or removing the file has no effect on it.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) file: Arc<File>,
    /// The offset of the first line.
    pub(crate) start: u64,
    /// The end of the last line.
    pub(crate) end: u64,
    /// The number of the last change.
    pub(crate) last: u64,
}

/// Up to this size, lines are scanned instead of searched.
const NEAR: u64 = 1 << 16;

impl Segment {
    /// Visits each line from this offset on: its offset, its text without the line end, and whether it has a line end.
    /// Only the last line can lack one.
    pub(crate) fn each_line(
        &self,
        from: u64,
        mut visit: impl FnMut(u64, &[u8], bool) -> io::Result<ControlFlow<()>>,
    ) -> io::Result<()> {
        let mut offset = from.max(self.start);
        let window = Window { file: &self.file, offset, end: self.end };
        let mut window = BufReader::with_capacity(1 << 16, window);
        let mut line = Vec::new();
        while window.read_until(b'\n', &mut line)? > 0 {
            let text = line.strip_suffix(b"\n");
            let flow = visit(offset, text.unwrap_or(&line), text.is_some())?;
            if flow.is_break() {
                break;
            }
            offset += line.len() as u64;
            line.clear();
        }
        Ok(())
    }

    /// Returns an offset from which a scan finds every change after this one.
    pub(crate) fn find(&self, after: u64) -> io::Result<u64> {
        let (mut low, mut high) = (self.start, self.end);
        while high - low > NEAR {
            let middle = low + (high - low) / 2;
            match self.first_change(middle, high)? {
                // The change may begin before the middle, so the range shrinks at least by that.
                Some((_, seq)) if seq > after => high = middle,
                Some((offset, _)) => low = offset,
                None => high = middle,
            }
        }
        Ok(low)
    }

    /// Returns the offset and the number of the first change that begins after this offset.
    fn first_change(&self, from: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
        let mut found = None;
        // The offset may be in the middle of a line.
        let mut is_rest = true;
        let part = Self { end, ..self.clone() };
        part.each_line(from, |offset, line, is_whole| {
            if is_rest {
                is_rest = false;
                return Ok(ControlFlow::Continue(()));
            }
            found = line::seq_of(line).filter(|_| is_whole).map(|seq| (offset, seq));
            Ok(if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(found)
    }

    /// Returns the end of this change, or of the last one before it. What follows may begin with damaged lines.
    pub(crate) fn end_of(&self, change: u64) -> io::Result<u64> {
        let mut end = self.find(change)?;
        self.each_line(end, |offset, text, _| {
            let seq = line::seq_of(text);
            if seq.is_some_and(|seq| seq <= change) {
                end = offset + text.len() as u64 + 1;
            }
            let is_after = seq.is_some_and(|seq| seq > change);
            Ok(if is_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(end)
    }

    /// Returns the number and the end of the last valid change, or 0 and the start if there is none.
    pub(crate) fn last_change(&self) -> io::Result<(u64, u64)> {
        let mut window = NEAR;
        loop {
            let from = self.end.saturating_sub(window).max(self.start);
            let mut found = None;
            self.each_line(from, |offset, text, is_whole| {
                // The first line may be incomplete, which its checksum reveals.
                if let Some(Line::Change(change)) = line::parse(text).filter(|_| is_whole) {
                    found = Some((change.seq, offset + text.len() as u64 + 1));
                }
                Ok(ControlFlow::Continue(()))
            })?;
            match found {
                Some(found) => return Ok(found),
                None if from == self.start => return Ok((0, self.start)),
                None => window *= 8,
            }
        }
    }

    /// Reads the bytes at this offset.
    pub(crate) fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Copies a range of bytes.
    pub(crate) fn copy(&self, from: u64, to: u64, out: &mut dyn io::Write) -> io::Result<()> {
        io::copy(&mut Window { file: &self.file, offset: from, end: to }, out)?;
        Ok(())
    }
}

struct Window<'a> {
    file: &'a File,
    offset: u64,
    end: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..length], self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
