//! Output: results on stdout, everything else on stderr.

use std::borrow::Cow;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::failure::Failure;
use crate::stderr;

/// A buffered writer to stdout. A closed pipe is not an error: the rest of the output is discarded. A command with much
/// output checks [`has_reader`](Self::has_reader).
pub(super) struct Output {
    out: BufWriter<Stdout>,
    has_reader: bool,
    has_colours: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        let stdout = io::stdout();
        let has_colours = stdout.is_terminal() && AutoStream::choice(&stdout) != ColorChoice::Never;
        Self { out: BufWriter::with_capacity(1 << 16, stdout), has_reader: true, has_colours }
    }

    /// Whether stdout is still open.
    pub(super) fn has_reader(&self) -> bool {
        self.has_reader
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.write_all(text.as_bytes()).map_err(Failure::Output)
    }

    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.text(line)?;
        self.text("\n")
    }

    /// Returns the text in this style if the terminal supports colours and `NO_COLOR` is not set (<https://no-color.org>).
    pub(super) fn styled<'t>(&self, style: Style, text: &'t str) -> Cow<'t, str> {
        if self.has_colours { format!("{style}{text}{style:#}").into() } else { text.into() }
    }

    /// Flushes the buffer. Dropping the value would ignore an error.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.flush().map_err(Failure::Output)
    }

    fn ignore_closed_pipe(&mut self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.has_reader = false;
                Ok(())
            }
            other => other,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.has_reader {
            let written = self.out.write_all(bytes);
            self.ignore_closed_pipe(written)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.has_reader {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.ignore_closed_pipe(flushed)
    }
}

/// Prints text and a line break to stdout.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = Output::new();
    out.line(text)?;
    out.finish()
}

/// Returns a value as JSON on one line.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::Output(error.into()))
}

/// Prints a line to stderr. A closed or stalled stderr does not stop the command.
pub(super) fn eprint(line: &str) {
    stderr::print(&format!("{line}\n"));
}

/// Escapes characters that could control the terminal. Names and other texts come from untrusted writers.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    // Bidirectional control characters can change the visible meaning of a line.
    let is_control = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    match text.contains(is_control) {
        false => text.into(),
        true => {
            text.chars().map(|c| if is_control(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
        }
    }
}

/// Formats a time for a table: RFC 3339 in UTC, in seconds.
pub(super) fn timestamp(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escaped("Bildström 1 日本"), "Bildström 1 日本");
        assert_eq!(escaped("a\n\u{1b}[2J\u{202e}b"), "a\\n\\u{1b}[2J\\u{202e}b");
    }
}
