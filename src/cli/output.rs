//! What commands say: results on stdout, everything else on stderr.

use std::borrow::Cow;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Failure;

/// Stdout. A reader who has gone is no failure: what is written then is lost, and whoever writes much asks for it.
pub(super) struct Output {
    out: BufWriter<Stdout>,
    is_read: bool,
    has_colours: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        let stdout = io::stdout();
        let has_colours = stdout.is_terminal() && AutoStream::choice(&stdout) != ColorChoice::Never;
        Self { out: BufWriter::with_capacity(1 << 16, stdout), is_read: true, has_colours }
    }

    /// Whether somebody still reads.
    pub(super) fn is_read(&self) -> bool {
        self.is_read
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.write_all(text.as_bytes()).map_err(Failure::Output)
    }

    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.text(line)?;
        self.text("\n")
    }

    /// The text in this style where the terminal has colours and they are wanted (<https://no-color.org>).
    pub(super) fn painted<'t>(&self, style: Style, text: &'t str) -> Cow<'t, str> {
        if self.has_colours { format!("{style}{text}{style:#}").into() } else { text.into() }
    }

    /// Shows what was written; at the end it has to be called.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.flush().map_err(Failure::Output)
    }

    fn unless_gone(&mut self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_read = false;
                Ok(())
            }
            other => other,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_read {
            let written = self.out.write_all(bytes);
            self.unless_gone(written)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.is_read {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.unless_gone(flushed)
    }
}

/// A few lines on stdout.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    let mut out = Output::new();
    out.line(text)?;
    out.finish()
}

/// A value for machines, on one line.
pub(super) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::Output(error.into()))
}

/// On stderr. Nobody listening there is no reason to stop.
pub(super) fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A text of somebody else's for a terminal: what could steer it is shown as an escape.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    // Those that turn the direction of writing round can make a line say something else.
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    match text.contains(steers) {
        false => text.into(),
        true => text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect(),
    }
}

/// A time in a table: UTC (RFC 3339), to the second.
pub(super) fn at(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(visible("Bildström 1 日本"), "Bildström 1 日本");
        assert_eq!(visible("a\n\u{1b}[2J\u{202e}b"), "a\\n\\u{1b}[2J\\u{202e}b");
    }
}
