//! A file that only grows. An append counts once it is synced.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::segment::Segment;
use super::tail::{Tail, TailWriter};
use crate::disk::Disk;
use crate::disk::durable::{Output, PathTarget, Prepared, check_replaces, sync_directory_of};
use crate::disk::place::{Inode, Misplaced};

/// A file, open for appending.
#[derive(Debug)]
pub(crate) struct AppendFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<File>,
    /// The end of the valid content.
    end: u64,
    condition: Condition,
    /// The number of zero bytes to write ahead of the end.
    ahead: u64,
    /// The end of the zeros that were written ahead, or 0.
    zeroed: u64,
    /// The bytes before the end, to detect that another program has written the file.
    tail: Tail,
    /// The directory in which the file was opened.
    directory: Option<Inode>,
}

#[derive(Debug)]
enum Condition {
    Sound,
    /// The file existed at the start. A sync of an earlier process may have failed after this offset, so the content
    /// from there on exists in the page cache only and must be written again.
    Existing(u64),
    /// A failed append may have left bytes after the end.
    Torn,
    /// A sync has failed. The content on the disk is unknown, and another sync would not report the loss
    /// (<https://wiki.postgresql.org/wiki/Fsync_Errors>), so the file must be rewritten.
    SyncFailed,
    /// The file is in its place, but the rename is not synced: a power cut may undo it.
    RenameUnsynced,
}

impl AppendFile {
    /// Takes an existing file whose content is valid up to `end` and known to be on the disk up to `synced`. The first
    /// append removes what follows `end`.
    pub(crate) fn existing(disk: &Arc<dyn Disk>, path: &Path, file: Arc<File>, synced: u64, end: u64) -> Self {
        Self::new(disk, path, file, end, Condition::Existing(synced))
    }

    /// Moves a prepared file into its place, unless the path leads to another file than `old`. The first append ensures
    /// that the rename is durable.
    pub(crate) fn put(disk: &Arc<dyn Disk>, path: &Path, prepared: Prepared, old: Option<&File>) -> io::Result<Self> {
        let end = prepared.length();
        check_replaces(path, old)?;
        let file = Arc::new(prepared.put()?);
        let synced = sync_directory_of(&**disk, path);
        let condition = if synced.is_ok() { Condition::Sound } else { Condition::RenameUnsynced };
        Ok(Self::new(disk, path, file, end, condition))
    }

    fn new(disk: &Arc<dyn Disk>, path: &Path, file: Arc<File>, end: u64, condition: Condition) -> Self {
        let (disk, path, tail) = (Arc::clone(disk), path.to_owned(), Tail::read(&file, end));
        let directory = directory_of(&path).ok().flatten();
        Self { disk, path, file, end, condition, ahead: 0, zeroed: 0, tail, directory }
    }

    /// Writes zeros ahead of the content, this many at a time. If the length and the blocks of the file stay the same,
    /// a sync only writes the content, which takes two thirds of the time (benches/limits).
    pub(crate) fn writing_ahead(self, bytes: u64) -> Self {
        Self { ahead: bytes, ..self }
    }

    /// As [`writing_ahead`](Self::writing_ahead), for a file that has the zeros already.
    pub(crate) fn written_ahead(self, bytes: u64) -> Self {
        Self { ahead: bytes, zeroed: self.end + bytes, ..self }
    }

    /// Removes the zeros after the end, for programs that read the file while no process writes it.
    pub(crate) fn trim(&mut self) -> io::Result<()> {
        if self.zeroed > self.end {
            self.disk.truncate(&self.file, self.end)?;
        }
        self.zeroed = 0;
        Ok(())
    }

    /// Discards everything after this offset.
    pub(crate) fn cut(&mut self, end: u64) {
        (self.end, self.condition, self.tail) = (end, Condition::Existing(end), Tail::read(&self.file, end));
    }

    /// Returns the valid lines from `start` on.
    pub(crate) fn segment(&self, start: u64, last: u64) -> Segment {
        Segment { file: Arc::clone(&self.file), start, end: self.end, last }
    }

    /// Appends what `print` writes, syncs it, and checks that the file is still in its place, as `confirm` does for
    /// everything else that must be in place. After an error nothing of it counts, although a restart may find it.
    pub(crate) fn append(
        &mut self,
        print: impl FnOnce(&mut dyn Write) -> io::Result<()>,
        confirm: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let (end, tail) = self.write(print)?;
        self.disk.sync(&self.file).inspect_err(|_| self.condition = Condition::SyncFailed)?;
        let confirmed = self.check().and_then(|()| tail.check(&self.path, &self.file, end)).and_then(|()| confirm());
        confirmed.inspect_err(|_| self.condition = Condition::Torn)?;
        (self.end, self.tail) = (end, tail);
        Ok(())
    }

    /// Appends what `print` writes. The next sync includes it.
    pub(crate) fn append_unsynced(&mut self, print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        (self.end, self.tail) = self.write(print)?;
        Ok(())
    }

    fn write(&mut self, print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<(u64, Tail)> {
        self.repair()?;
        let mut out = Output::new(&*self.disk, &self.file, self.end);
        let mut tail = self.tail.clone();
        let written = print(&mut TailWriter { out: &mut out, tail: &mut tail }).and_then(|()| out.finish());
        let sync_failed = out.sync_failed;
        let end = written.inspect_err(|_| {
            self.condition = if sync_failed { Condition::SyncFailed } else { Condition::Torn };
        })?;
        if self.ahead > 0 && end > self.zeroed {
            // Zeros only save time, so the append succeeds without them.
            let zeros = vec![0; usize::try_from(self.ahead).unwrap_or_default()];
            self.zeroed = self.disk.write(&self.file, end, &zeros).map_or(0, |()| end + self.ahead);
        }
        Ok((end, tail))
    }

    /// Fails unless the path leads to this file, and the file ends as this process has written it.
    pub(crate) fn check(&self) -> io::Result<()> {
        match PathTarget::of(&self.file, &self.path)? {
            PathTarget::Same => self.tail.check(&self.path, &self.file, self.end),
            PathTarget::Missing => Err(Misplaced::error(format!("{} was removed", self.path.display()))),
            PathTarget::Other => check_replaces(&self.path, Some(&self.file)),
        }
    }

    /// Recreates the file if it was removed from its directory. Then as [`check`](Self::check).
    pub(crate) fn restore(&mut self) -> io::Result<()> {
        if PathTarget::of(&self.file, &self.path)? == PathTarget::Missing {
            self.tail.check(&self.path, &self.file, self.end)?;
            self.condition = Condition::SyncFailed;
            self.repair()?;
        }
        self.check()
    }

    /// Undoes a failed append, so that a restart does not find anything of it.
    pub(crate) fn undo_failure(&mut self) -> io::Result<()> {
        match self.condition {
            Condition::Sound | Condition::Existing(_) => Ok(()),
            Condition::Torn | Condition::SyncFailed | Condition::RenameUnsynced => self.repair(),
        }
    }

    /// Restores the state in which the file can be appended to.
    fn repair(&mut self) -> io::Result<()> {
        if !matches!(self.condition, Condition::Sound) {
            self.zeroed = 0;
        }
        match self.condition {
            Condition::Sound => {}
            Condition::Existing(synced) => {
                self.disk.truncate(&self.file, self.end)?;
                let unsure = self.segment(synced, 0);
                let mut out = Output::new(&*self.disk, &self.file, synced);
                unsure.copy(synced, self.end, &mut out)?;
                out.finish()?;
            }
            Condition::Torn => {
                self.disk.truncate(&self.file, self.end)?;
                self.disk.sync(&self.file).inspect_err(|_| self.condition = Condition::SyncFailed)?;
            }
            Condition::SyncFailed => {
                let believed = self.segment(0, 0);
                let prepared = Prepared::write(&self.disk, &self.path, |out| believed.copy(0, believed.end, out))?;
                self.check_replaceable()?;
                self.file = Arc::new(prepared.put()?);
                self.condition = Condition::RenameUnsynced;
                sync_directory_of(&*self.disk, &self.path)?;
            }
            Condition::RenameUnsynced => sync_directory_of(&*self.disk, &self.path)?,
        }
        self.condition = Condition::Sound;
        Ok(())
    }

    /// Fails if a new file at the path would be in another directory or replace another file.
    pub(crate) fn check_replaceable(&self) -> io::Result<()> {
        if directory_of(&self.path)? != self.directory {
            let reason = format!("another directory is now at the path of {}", self.path.display());
            return Err(Misplaced::error(reason));
        }
        check_replaces(&self.path, Some(&self.file))
    }
}

fn directory_of(path: &Path) -> io::Result<Option<Inode>> {
    Inode::at(path.parent().unwrap_or(Path::new("/")))
}

#[cfg(all(test, feature = "testkit"))]
mod tests {
    use std::fs;
    use std::io;
    use std::sync::Arc;

    use super::AppendFile;
    use crate::disk::faulty::{Failure, Fault, FaultyDisk};
    use crate::disk::place::Misplaced;
    use crate::disk::{Disk, RealDisk};

    fn append(file: &mut AppendFile, text: &str) -> io::Result<()> {
        file.append(|out| out.write_all(text.as_bytes()), || Ok(()))
    }

    /// Whole lines of a failed append could otherwise look valid after a shorter line.
    #[test]
    fn nothing_of_a_failed_append_stays() {
        for (call, how) in [(1, Failure::Full), (1, Failure::Broken), (2, Failure::Full), (2, Failure::Broken)] {
            let directory = tempfile::tempdir().unwrap();
            let kept = tempfile::tempdir().unwrap();
            let path = directory.path().join("lines");
            let disk = FaultyDisk::new(kept.path());
            let created = Arc::new(disk.create(&path).unwrap());
            let its_disk: Arc<dyn Disk> = Arc::<FaultyDisk>::clone(&disk);
            let mut file = AppendFile::existing(&its_disk, &path, created, 0, 0);
            append(&mut file, "one\n").unwrap();
            disk.plan(disk.calls() + call, Fault::Once(how));
            append(&mut file, "two\nthree\nfour\nfive\n").unwrap_err();
            assert_eq!(file.segment(0, 0).end, 4, "it does not count");
            append(&mut file, "2\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "one\n2\n", "{how:?} at {call}");
        }
    }

    /// Returns a file with the line `one`, its path and its directory.
    fn with_one_line() -> (tempfile::TempDir, std::path::PathBuf, AppendFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lines");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let created = Arc::new(disk.create(&path).unwrap());
        let mut file = AppendFile::existing(&disk, &path, created, 0, 0);
        append(&mut file, "one\n").unwrap();
        (directory, path, file)
    }

    /// A program such as `cp` overwrites the content of the file, which remains the same file.
    #[test]
    fn an_overwritten_file_is_not_appended_to() {
        let (_directory, path, mut file) = with_one_line();
        let backup = fs::read(&path).unwrap();
        append(&mut file, "two\n").unwrap();
        fs::write(&path, &backup).unwrap();
        assert!(Misplaced::is(&append(&mut file, "three\n").unwrap_err()));
        assert!(Misplaced::is(&file.check().unwrap_err()));
    }

    /// The check after the sync fails, so the caller must not acknowledge the append.
    #[test]
    fn an_append_that_is_not_confirmed_is_undone() {
        let (_directory, path, mut file) = with_one_line();
        file.append(|out| out.write_all(b"two\n"), || Err(Misplaced::error("moved"))).unwrap_err();
        file.undo_failure().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
        append(&mut file, "2\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n2\n");
    }
}
