//! What a power cut would take, and how it takes it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Loss;
use crate::testkit::chance::Chance;

const SECTOR: u64 = 512;

/// What was done and not synced, in its order.
#[derive(Debug)]
pub(super) struct Unsynced {
    kept: PathBuf,
    kept_so_far: u64,
    /// By device and inode, since names change.
    files: BTreeMap<(u64, u64), Content>,
    names: Vec<NameChange>,
}

#[derive(Debug)]
struct Content {
    file: File,
    writes: Vec<Write>,
    /// What a failed sync has left behind: never on the disk unless it is written again.
    forsaken: Vec<Range<u64>>,
}

/// A write or a truncation, with what it takes to undo it.
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

    /// The operating system calls the pages clean all the same, so a later sync does nothing for them.
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
            // What was done to a name cannot be there without what was done to it before.
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
                        Some((write.range.start, read(&self.file, write.range.start..write.range.start + length)?))
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

    /// All writes but the first `survive`.
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
    /// What is at `range.start` up to `end` or the end of the file, before it goes.
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

/// The name that the open file has now; of no use where the system does not tell.
pub(super) fn path_of(file: &File) -> PathBuf {
    let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::read_link(descriptor).unwrap_or_default()
}

/// Through another descriptor: the store may have opened the file for writing alone.
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
