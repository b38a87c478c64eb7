//! A stretch of a file that holds lines and does not change any more, whatever is appended behind it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::line::{self, Line};

/// Changes of a log, in a file that is open: that it is renamed or removed makes no difference.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) file: Arc<File>,
    /// Where its first line begins.
    pub(super) start: u64,
    /// Behind the last line.
    pub(super) end: u64,
    /// The number of its last change.
    pub(super) last: u64,
}

/// Below it, lines are read one after the other instead of searched.
const NEAR: u64 = 1 << 16;

impl Segment {
    /// Shows each line from this offset on with its own offset, without the line end; the last one also where its line
    /// end is missing, and then says so.
    pub(super) fn each_line(
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

    /// Where to begin to read, in order to see every change behind this one.
    pub(super) fn find(&self, after: u64) -> io::Result<u64> {
        let (mut low, mut high) = (self.start, self.end);
        while high - low > NEAR {
            let middle = low + (high - low) / 2;
            match self.first_change(middle, high)? {
                // It may begin before the middle, so what is searched gets shorter by that, if by nothing else.
                Some((_, seq)) if seq > after => high = middle,
                Some((offset, _)) => low = offset,
                None => high = middle,
            }
        }
        Ok(low)
    }

    /// The first change that begins behind this offset, and its number.
    fn first_change(&self, from: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
        let mut found = None;
        // What is there may be the rest of a line.
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

    /// Where the first change behind this one begins.
    pub(super) fn begin_behind(&self, after: u64) -> io::Result<u64> {
        let mut found = self.end;
        self.each_line(self.find(after)?, |offset, text, _| {
            let is_behind = line::seq_of(text).is_some_and(|seq| seq > after);
            if is_behind {
                found = offset;
            }
            Ok(if is_behind { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(found)
    }

    /// The number of the last change that can be read, and where its line ends; of none 0 and the start.
    pub(super) fn last_change(&self) -> io::Result<(u64, u64)> {
        let mut window = NEAR;
        loop {
            let from = self.end.saturating_sub(window).max(self.start);
            let mut found = None;
            self.each_line(from, |offset, text, is_whole| {
                // The first line may be the rest of one, which its checksum tells.
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

    /// The bytes at this place.
    pub(super) fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Copies a stretch of bytes.
    pub(super) fn copy(&self, from: u64, to: u64, out: &mut dyn io::Write) -> io::Result<()> {
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
