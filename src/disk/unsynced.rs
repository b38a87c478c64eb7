//! Records what is not synced, and simulates its loss in a power cut.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::testkit::chance::Chance;

const SECTOR: u64 = 512;

/// The data that a power cut loses. The numbers are seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Everything that is not synced.
    All,
    /// The end of each file from a random offset on, any changes of names, and what depends on them.
    Some(u64),
    /// Like `Some`, but any sectors of a file become zeros, because disks write in any order.
    Sectors(u64),
}

/// Unsynced changes in their order.
#[derive(Debug)]
pub(super) struct Unsynced {
    kept: PathBuf,
    kept_so_far: u64,
    /// Keyed by device and inode, because names change.
    files: BTreeMap<(u64, u64), Content>,
    names: Vec<NameChange>,
}

#[derive(Debug)]
struct Content {
    file: File,
    writes: Vec<Write>,
    /// The ranges of failed syncs. They never reach the disk unless they are written again.
    forsaken: Vec<Range<u64>>,
}

/// A write or a truncation, and the data to undo it.
#[derive(Debug)]
struct Write {
    range: Range<u64>,
    overwritten: Vec<u8>,
    length_before: u64,
}

#[derive(Debug)]
enum NameChange {
    Created(PathBuf),
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<PathBuf> },
    Removed { path: PathBuf, kept: PathBuf },
}

impl Unsynced {
    pub(super) fn new(kept: PathBuf) -> Self {
        Self { kept, kept_so_far: 0, files: BTreeMap::new(), names: Vec::new() }
    }

    pub(super) fn created(&mut self, path: &Path) {
        self.names.push(NameChange::Created(path.to_owned()));
    }

    pub(super) fn write(&mut self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let range = offset..offset + bytes.len() as u64;
        let content = self.content(file)?;
        content.writes.push(Write::before(file, range.clone(), range.end)?);
        let cut_out = |old: Range<u64>| [old.start..old.end.min(range.start), old.start.max(range.end)..old.end];
        let left = content.forsaken.drain(..).flat_map(cut_out).filter(|range| !range.is_empty()).collect();
        content.forsaken = left;
        file.write_all_at(bytes, offset)
    }

    pub(super) fn truncate(&mut self, file: &File, length: u64) -> io::Result<()> {
        let content = self.content(file)?;
        content.writes.push(Write::before(file, length..length, u64::MAX)?);
        let left = content.forsaken.drain(..).map(|old| old.start..old.end.min(length));
        content.forsaken = left.filter(|range| !range.is_empty()).collect();
        file.set_len(length)
    }

    pub(super) fn synced(&mut self, file: &File) -> io::Result<()> {
        self.content(file)?.writes.clear();
        Ok(())
    }

    /// The operating system considers the pages clean, so a later sync does not write them.
    pub(super) fn sync_failed(&mut self, file: &File) -> io::Result<()> {
        let content = self.content(file)?;
        let ranges = content.writes.drain(..).map(|write| write.range);
        content.forsaken.extend(ranges.filter(|range| !range.is_empty()));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let replaced = if to.exists() { Some(self.keep(to)?) } else { None };
        fs::rename(from, to)?;
        self.names.push(NameChange::Renamed { from: from.to_owned(), to: to.to_owned(), replaced });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let kept = self.keep(path)?;
        fs::remove_file(path)?;
        self.names.push(NameChange::Removed { path: path.to_owned(), kept });
        Ok(())
    }

    pub(super) fn directory_synced(&mut self, directory: &Path) {
        self.names.retain(|change| change.paths().iter().all(|path| path.parent() != Some(directory)));
    }

    pub(super) fn lose(&mut self, loss: Loss) -> io::Result<()> {
        let mut chance = match loss {
            Loss::All => Chance::new(0),
            Loss::Some(seed) | Loss::Sectors(seed) => Chance::new(seed),
        };
        for content in self.files.values_mut() {
            content.lose(loss, &mut chance)?;
        }
        let mut lost: Vec<NameChange> = Vec::new();
        for change in self.names.drain(..) {
            // A change of a name depends on earlier changes of the same name.
            let depends = lost.iter().any(|lost| lost.paths().iter().any(|path| change.paths().contains(path)));
            if depends || loss == Loss::All || chance.below(2) == 0 {
                lost.push(change);
            }
        }
        lost.into_iter().rev().try_for_each(NameChange::undo)?;
        self.files.clear();
        Ok(())
    }

    fn content(&mut self, file: &File) -> io::Result<&mut Content> {
        let metadata = file.metadata()?;
        let vacant = Content { file: file.try_clone()?, writes: Vec::new(), forsaken: Vec::new() };
        Ok(self.files.entry((metadata.dev(), metadata.ino())).or_insert(vacant))
    }

    fn keep(&mut self, path: &Path) -> io::Result<PathBuf> {
        self.kept_so_far += 1;
        let kept = self.kept.join(self.kept_so_far.to_string());
        fs::hard_link(path, &kept)?;
        Ok(kept)
    }
}

impl Content {
    fn lose(&mut self, loss: Loss, chance: &mut Chance) -> io::Result<()> {
        let grows = self.writes.iter().all(|write| write.overwritten.is_empty());
        match loss {
            Loss::Sectors(_) if grows => {
                for write in std::mem::take(&mut self.writes) {
                    self.lose_sectors(write.range, chance)?;
                }
            }
            Loss::All => self.undo(0)?,
            Loss::Some(_) | Loss::Sectors(_) => {
                let survive = chance.below(self.writes.len() as u64 + 1) as usize;
                let torn = self.writes.get(survive).filter(|write| write.overwritten.is_empty());
                let part = match torn {
                    Some(write) => {
                        let length = chance.below(write.range.end - write.range.start + 1);
                        // A later truncation may have removed the end.
                        let end = (write.range.start + length).min(self.file.metadata()?.len());
                        Some((write.range.start, read(&self.file, write.range.start..end)?))
                    }
                    None => None,
                };
                self.undo(survive)?;
                if let Some((offset, bytes)) = part {
                    self.file.write_all_at(&bytes, offset)?;
                }
            }
        }
        let length = self.file.metadata()?.len();
        for range in self.forsaken.drain(..) {
            zero(&self.file, range.start..range.end.min(length))?;
        }
        Ok(())
    }

    /// Undoes all writes except the first `survive`.
    fn undo(&mut self, survive: usize) -> io::Result<()> {
        for write in self.writes.drain(survive..).rev() {
            self.file.set_len(write.length_before)?;
            self.file.write_all_at(&write.overwritten, write.range.start)?;
        }
        Ok(())
    }

    fn lose_sectors(&self, range: Range<u64>, chance: &mut Chance) -> io::Result<()> {
        let mut start = range.start;
        while start < range.end {
            let end = ((start / SECTOR + 1) * SECTOR).min(range.end);
            if chance.below(2) == 0 {
                zero(&self.file, start..end)?;
            }
            start = end;
        }
        Ok(())
    }
}

impl Write {
    /// Records the content from `range.start` to `end` or the end of the file before it changes.
    fn before(file: &File, range: Range<u64>, end: u64) -> io::Result<Self> {
        let length_before = file.metadata()?.len();
        let overwritten = read(file, range.start..end.min(length_before))?;
        Ok(Self { range, overwritten, length_before })
    }
}

impl NameChange {
    fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Created(path) | Self::Removed { path, .. } => vec![path],
            Self::Renamed { from, to, .. } => vec![from, to],
        }
    }

    fn undo(self) -> io::Result<()> {
        match self {
            Self::Created(path) => fs::remove_file(path),
            Self::Removed { path, kept } => fs::rename(kept, path),
            Self::Renamed { from, to, replaced } => {
                fs::rename(&to, from)?;
                replaced.map_or(Ok(()), |kept| fs::rename(kept, to))
            }
        }
    }
}

/// Returns the current name of an open file, or an empty path if the system does not provide it.
pub(super) fn path_of(file: &File) -> PathBuf {
    let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::read_link(descriptor).unwrap_or_default()
}

/// Reads through another descriptor, because the store may have opened the file for writing only.
fn read(file: &File, range: Range<u64>) -> io::Result<Vec<u8>> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let mut bytes = vec![0; (range.end - range.start) as usize];
    if file.read_exact_at(&mut bytes, range.start).is_err() {
        File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?.read_exact_at(&mut bytes, range.start)?;
    }
    Ok(bytes)
}

fn zero(file: &File, range: Range<u64>) -> io::Result<()> {
    let length = range.end.saturating_sub(range.start) as usize;
    file.write_all_at(&vec![0; length], range.start)
}
