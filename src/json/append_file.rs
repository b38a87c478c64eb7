//! A file that only grows: what is appended counts when it is on the disk.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::segment::Segment;
use crate::disk::Disk;
use crate::disk::durable::{Output, Place, Prepared, sync_directory_of};

/// A file, open for appending.
#[derive(Debug)]
pub(super) struct AppendFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<File>,
    /// Behind what is believed.
    end: u64,
    condition: Condition,
    /// How many zeros are written behind the end in advance.
    ahead: u64,
    /// Behind the zeros that were written, if any.
    zeroed: u64,
}

#[derive(Debug)]
enum Condition {
    Sound,
    /// It was there at the start. What is behind this place may be in the memory of the system alone, if a sync of the
    /// process before has failed, and has to be written once more.
    Found(u64),
    /// Behind the end there may be a part of what could not be written.
    Torn,
    /// A sync has failed. What the disk has is then unknown, and another sync would say nothing about it
    /// (<https://wiki.postgresql.org/wiki/Fsync_Errors>): the file must not be appended to any more.
    Spoiled,
    /// It is in its place, but a power cut may bring back what was there before.
    Unplaced,
}

impl AppendFile {
    /// The file that is there, believed up to `end`; what is behind that goes with the first append. Up to `synced` it is
    /// known to be on the disk.
    pub(super) fn existing(disk: &Arc<dyn Disk>, path: &Path, file: Arc<File>, synced: u64, end: u64) -> Self {
        let condition = Condition::Found(synced);
        Self { disk: Arc::clone(disk), path: path.to_owned(), file, end, condition, ahead: 0, zeroed: 0 }
    }

    /// Puts a file that was prepared into its place. Nothing is appended to it before that is certain to last.
    pub(super) fn put(disk: &Arc<dyn Disk>, path: &Path, prepared: Prepared) -> io::Result<Self> {
        let end = prepared.length();
        let file = Arc::new(prepared.put()?);
        let synced = sync_directory_of(&**disk, path);
        let condition = if synced.is_ok() { Condition::Sound } else { Condition::Unplaced };
        Ok(Self { disk: Arc::clone(disk), path: path.to_owned(), file, end, condition, ahead: 0, zeroed: 0 })
    }

    /// Writes zeros ahead of what is appended, so many at a time. A sync that finds the file as long as before, on blocks
    /// that it has already, has nothing to write but the content (benches/limits: two thirds of the time).
    pub(super) fn writing_ahead(self, bytes: u64) -> Self {
        Self { ahead: bytes, ..self }
    }

    /// Leaves nothing behind the end, for whoever reads the file when nobody writes it.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        if self.zeroed > self.end {
            self.disk.truncate(&self.file, self.end)?;
        }
        self.zeroed = 0;
        Ok(())
    }

    /// Believes nothing behind this place.
    pub(super) fn cut(&mut self, end: u64) {
        (self.end, self.condition) = (end, Condition::Found(end));
    }

    /// The lines from `start` on, as far as they are believed.
    pub(super) fn segment(&self, start: u64, last: u64) -> Segment {
        Segment { file: Arc::clone(&self.file), start, end: self.end, last }
    }

    /// Appends what is printed. It is on the disk when this returns, if that is asked for. After an error nothing of it
    /// counts, though it may be found after a restart.
    pub(super) fn append(
        &mut self,
        is_synced: bool,
        print: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.mend()?;
        let mut out = Output::new(&*self.disk, &self.file, self.end);
        let written = print(&mut out).and_then(|()| out.finish());
        let sync_failed = out.sync_failed;
        let end = written.inspect_err(|_| {
            self.condition = if sync_failed { Condition::Spoiled } else { Condition::Torn };
        })?;
        if self.ahead > 0 && end > self.zeroed {
            // Without them it goes on as it would have.
            let zeros = vec![0; usize::try_from(self.ahead).unwrap_or_default()];
            self.zeroed = self.disk.write(&self.file, end, &zeros).map_or(0, |()| end + self.ahead);
        }
        if is_synced {
            self.disk.sync(&self.file).inspect_err(|_| self.condition = Condition::Spoiled)?;
        }
        self.end = end;
        Ok(())
    }

    /// Puts the file back where somebody has removed it. Says no where somebody has put another one there.
    pub(super) fn put_back(&mut self) -> io::Result<bool> {
        match Place::of(&self.file, &self.path)? {
            Place::Same => {}
            Place::Other => return Ok(false),
            Place::Empty => {
                self.condition = Condition::Spoiled;
                self.mend()?;
            }
        }
        Ok(true)
    }

    /// Undoes an append that has failed, so that nothing of it is found after a restart.
    pub(super) fn undo_failure(&mut self) -> io::Result<()> {
        match self.condition {
            Condition::Sound | Condition::Found(_) => Ok(()),
            Condition::Torn | Condition::Spoiled | Condition::Unplaced => self.mend(),
        }
    }

    /// Makes the file fit to be appended to.
    fn mend(&mut self) -> io::Result<()> {
        if !matches!(self.condition, Condition::Sound) {
            self.zeroed = 0;
        }
        match self.condition {
            Condition::Sound => {}
            Condition::Found(synced) => {
                self.disk.truncate(&self.file, self.end)?;
                let unsure = self.segment(synced, 0);
                let mut out = Output::new(&*self.disk, &self.file, synced);
                unsure.copy(synced, self.end, &mut out)?;
                out.finish()?;
            }
            Condition::Torn => {
                self.disk.truncate(&self.file, self.end)?;
                self.disk.sync(&self.file).inspect_err(|_| self.condition = Condition::Spoiled)?;
            }
            Condition::Spoiled => {
                let believed = self.segment(0, 0);
                let prepared = Prepared::write(&self.disk, &self.path, |out| believed.copy(0, believed.end, out))?;
                self.file = Arc::new(prepared.put()?);
                self.condition = Condition::Unplaced;
                sync_directory_of(&*self.disk, &self.path)?;
            }
            Condition::Unplaced => sync_directory_of(&*self.disk, &self.path)?,
        }
        self.condition = Condition::Sound;
        Ok(())
    }
}

#[cfg(all(test, feature = "testkit"))]
mod tests {
    use std::fs;
    use std::io;
    use std::sync::Arc;

    use super::AppendFile;
    use crate::disk::Disk;
    use crate::testkit::faults::{Failure, Fault, FaultyDisk};

    fn append(file: &mut AppendFile, text: &str) -> io::Result<()> {
        file.append(true, |out| out.write_all(text.as_bytes()))
    }

    /// Whole lines of it could be taken for good ones behind a shorter line.
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
}
