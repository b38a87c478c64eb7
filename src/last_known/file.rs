//! The copy on the disk.
//!
//! A file begins with all flows, written whole; what changes is appended, and each time how the database was and when. So
//! every whole beginning of the file, up to one of those lines, is what the database has been at that time, and the rest
//! is not looked at. When the appended part has grown larger than the first one, the file is written anew.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::line::{self, FORMAT, Line};
use super::selection::Selection;
use super::view::{Moment, View};
use crate::disk::Disk;
use crate::disk::durable::{Output, Place, Prepared, remove_leftovers, sync_directory_of};
use crate::disk::lock::{Lock, LockError, real_path};
use crate::flow::FlowId;

/// So much may be appended to however small a file.
const APPENDED: u64 = 1 << 20;

/// The file for the database at this location: several may have their copies in one directory.
pub(super) fn path_in(directory: &Path, location: &str) -> PathBuf {
    let hash = Sha256::digest(location);
    let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    directory.join(format!("last-known-{hash}.jsonl"))
}

/// What an earlier process has left of this database; nothing where there is no file.
///
/// # Errors
/// Why nothing of the file is believed.
pub(super) fn read(path: &Path, location: &str, limit: u64) -> Result<Option<View>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut lines = Lines { reader: BufReader::with_capacity(1 << 18, file), line: Vec::new() };
    match lines.next()? {
        Some(Line::Header { format, .. }) if format != FORMAT => {
            return Err(format!("its format is {format}, and this version reads format {FORMAT}"));
        }
        Some(Line::Header { location: other, .. }) if other != location => return Err(format!("it is of {other}")),
        Some(Line::Header { .. }) => {}
        _ => return Err("it does not begin like a copy of flows".to_owned()),
    }
    let mut selection = Selection::new(limit);
    let mut believed = None;
    let mut unsure = Vec::new();
    loop {
        match lines.next() {
            Ok(Some(Line::AsOf { at, is_complete })) => {
                unsure.drain(..).for_each(|line| take(&mut selection, line));
                believed = Some((at, is_complete));
            }
            // Without an earlier moment to fall back to, all is lost anyway when this one does not come.
            Ok(Some(line)) if believed.is_none() => take(&mut selection, line),
            Ok(Some(line)) => unsure.push(line),
            Ok(None) if unsure.is_empty() => break,
            Ok(None) => {
                tracing::warn!(path = %path.display(), "the end of the last known flows is missing");
                break;
            }
            Err(problem) => {
                tracing::warn!(path = %path.display(), problem, "the end of the last known flows is not believed");
                break;
            }
        }
    }
    let (at, is_complete) = believed.ok_or("it is not whole")?;
    let is_complete = is_complete && selection.is_complete();
    Ok(Some(View { flows: selection.flows().clone(), is_complete, as_of: Moment::found(at) }))
}

fn take(selection: &mut Selection, line: Line) {
    match line {
        Line::Flow(stored) => selection.put(stored),
        Line::Gone(id) => selection.remove(id),
        Line::Header { .. } | Line::AsOf { .. } => {}
    }
}

struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
}

impl Lines {
    /// The next line; nothing at the end.
    fn next(&mut self) -> Result<Option<Line>, String> {
        self.line.clear();
        if self.reader.read_until(b'\n', &mut self.line).map_err(|error| error.to_string())? == 0 {
            return Ok(None);
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        line::parse(line).map(Some).ok_or_else(|| "a line is damaged".to_owned())
    }
}

/// The file, as this process writes it.
#[derive(Debug)]
pub(super) struct CopyFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    location: String,
    /// Taken with the first save: two processes may have one database and one directory, and one copy is enough.
    lock: Option<Lock>,
    /// None before the first save and after one that failed: then it is written whole.
    open: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    end: u64,
    /// Where it ended when it was written whole.
    whole: u64,
}

impl CopyFile {
    pub(super) fn new(disk: Arc<dyn Disk>, path: PathBuf, location: &str) -> Self {
        Self { disk, path, location: location.to_owned(), lock: None, open: None }
    }

    /// Brings the file to what readers see. `touched` are the flows that may be others than at the last save.
    pub(super) fn save(&mut self, view: &View, touched: &HashSet<FlowId>) -> io::Result<()> {
        self.lock()?;
        self.open = Some(match self.open.take() {
            Some(open)
                if open.end <= 2 * open.whole + APPENDED && Place::of(&open.file, &self.path)? == Place::Same =>
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
        self.lock = Some(Lock::take(&self.path).map_err(|error| match error {
            LockError::Held(Some(pid)) => io::Error::other(format!("process {pid} keeps the copy of this database")),
            LockError::Held(None) => io::Error::other("another process keeps the copy of this database"),
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
                None => line::print_gone(&mut line, *id),
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
    line::print_as_of(line, view.as_of.at, view.is_complete);
}
