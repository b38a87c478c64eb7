//! The file of the copy.
//!
//! The file begins with all flows. Changes are appended, each time with the time at which the database had this state.
//! The state may contain later changes that this instance has acknowledged. So the lines up to any such time are a valid
//! copy, and the rest is ignored. When the appended part is larger than
//! the first part, the file is rewritten.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::line::{self, FORMAT, Line};
use super::selection::Selection;
use super::view::{Coverage, Moment, View};
use crate::disk::Disk;
use crate::disk::durable::{Output, PathTarget, Prepared, remove_leftovers, sync_directory_of};
use crate::disk::lock::{Lock, LockError, named};
use crate::disk::paths::real_path;
use crate::flow::FlowId;

/// The size that may always be appended.
const MIN_APPENDED: u64 = 1 << 20;

/// Returns the path of the file for the database at this location. Several databases may share a directory.
pub(super) fn path_in(directory: &Path, location: &str) -> PathBuf {
    let hash = Sha256::digest(location);
    let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    directory.join(format!("last-known-{hash}.jsonl"))
}

/// Reads the copy of this database. Returns `None` if there is no file.
///
/// # Errors
/// Why the file is not valid.
pub(super) fn read(path: &Path, location: &str, limit: u64) -> Result<Option<View>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut lines = Lines { reader: BufReader::with_capacity(1 << 18, file), line: Vec::new() };
    match lines.next()? {
        Some(Line::Header { format, .. }) if format != FORMAT => {
            return Err(format!("its format is {format}, but this version reads format {FORMAT}"));
        }
        Some(Line::Header { location: other, .. }) if other != location => {
            return Err(format!("it belongs to {other}"));
        }
        Some(Line::Header { .. }) => {}
        _ => return Err("its header is missing".to_owned()),
    }
    let mut selection = Selection::new(limit);
    let mut valid = None;
    let mut unsure = Vec::new();
    loop {
        match lines.next() {
            Ok(Some(Line::AsOf { at, is_complete })) => {
                unsure.drain(..).for_each(|line| take(&mut selection, line));
                valid = Some((at, is_complete));
            }
            // Without an earlier valid state there is nothing to fall back to, so lines need not be held back.
            Ok(Some(line)) if valid.is_none() => take(&mut selection, line),
            Ok(Some(line)) => unsure.push(line),
            Ok(None) if unsure.is_empty() => break,
            Ok(None) => {
                tracing::warn!(path = %path.display(), "the last-known copy ends in an incomplete update, which is \
                                                        ignored");
                break;
            }
            Err(problem) => {
                tracing::warn!(path = %path.display(), problem, "the last-known copy has an invalid end, which is \
                                                                 ignored");
                break;
            }
        }
    }
    let (at, is_complete) = valid.ok_or("it is incomplete")?;
    let is_complete = is_complete && selection.is_complete();
    let coverage = if is_complete { Coverage::Complete } else { Coverage::Limited };
    Ok(Some(View { flows: selection.flows().clone(), coverage, as_of: Moment::recorded(at) }))
}

fn take(selection: &mut Selection, line: Line) {
    match line {
        Line::Flow(stored) => drop(selection.put(stored)),
        Line::Deleted(id) => selection.remove(id),
        Line::Header { .. } | Line::AsOf { .. } => {}
    }
}

struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
}

impl Lines {
    /// Returns the next line, or `None` at the end.
    fn next(&mut self) -> Result<Option<Line>, String> {
        self.line.clear();
        if self.reader.read_until(b'\n', &mut self.line).map_err(|error| error.to_string())? == 0 {
            return Ok(None);
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        line::parse(line).map(Some).ok_or_else(|| "a line is damaged".to_owned())
    }
}

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct CopyFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    location: String,
    /// Taken at the first save. If several processes follow one database with one directory, one of them saves the
    /// copy.
    lock: Option<Lock>,
    /// `None` before the first save and after a failed one. The file is then rewritten.
    open: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    end: u64,
    /// The size of the first part.
    whole: u64,
}

impl CopyFile {
    pub(super) fn new(disk: Arc<dyn Disk>, path: PathBuf, location: &str) -> Self {
        Self { disk, path, location: location.to_owned(), lock: None, open: None }
    }

    /// Saves the view. `touched` contains the flows that may have changed since the last save.
    pub(super) fn save(&mut self, view: &View, touched: &HashSet<FlowId>) -> io::Result<()> {
        self.lock()?;
        self.open = Some(match self.open.take() {
            Some(open)
                if open.end <= 2 * open.whole + MIN_APPENDED
                    && PathTarget::of(&open.file, &self.path)? == PathTarget::Same =>
            {
                self.append(open, view, touched)?
            }
            _ => self.write_whole(view)?,
        });
        Ok(())
    }

    fn lock(&mut self) -> io::Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        self.path = real_path(&self.path)?;
        self.lock = Some(Lock::take(&self.path, None).map_err(|error| match error {
            LockError::Held(owner) => {
                let owner = named(owner.as_ref());
                io::Error::other(format!("the last-known copy of this database is in use by {owner}"))
            }
            LockError::ReadOnly(error) | LockError::Failed(error) => error,
        })?);
        remove_leftovers(&*self.disk, &[&self.path])
    }

    fn write_whole(&self, view: &View) -> io::Result<OpenFile> {
        let prepared = Prepared::write(&self.disk, &self.path, |out| {
            let mut line = Vec::new();
            line::print_header(&mut line, &self.location);
            for stored in view.flows.values() {
                line::print_flow(&mut line, stored);
                out.write_all(&line)?;
                line.clear();
            }
            print_end(&mut line, view);
            out.write_all(&line)
        })?;
        let whole = prepared.length();
        let file = prepared.put()?;
        sync_directory_of(&*self.disk, &self.path)?;
        Ok(OpenFile { file, end: whole, whole })
    }

    fn append(&self, mut open: OpenFile, view: &View, touched: &HashSet<FlowId>) -> io::Result<OpenFile> {
        let mut out = Output::new(&*self.disk, &open.file, open.end);
        let mut line = Vec::new();
        for id in touched {
            match view.flows.get(id) {
                Some(stored) => line::print_flow(&mut line, stored),
                None => line::print_deleted(&mut line, *id),
            }
            out.write_all(&line)?;
            line.clear();
        }
        print_end(&mut line, view);
        out.write_all(&line)?;
        open.end = out.finish()?;
        self.disk.sync(&open.file)?;
        Ok(open)
    }
}

fn print_end(line: &mut Vec<u8>, view: &View) {
    line::print_as_of(line, view.as_of.at, view.coverage == Coverage::Complete);
}
