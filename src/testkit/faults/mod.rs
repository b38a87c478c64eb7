//! A disk under the JSON backend that fails when it is told to, and that forgets what was never synced.
//!
//! It works on real files and keeps the books of what a power cut would take: bytes since the last sync of their file,
//! names since the last sync of their directory. It never really syncs, which makes thousands of runs affordable.

mod unsynced;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use rustix::io::Errno;

use self::unsynced::{Unsynced, path_of};
use crate::disk::{Disk, RealDisk};
use crate::json::{JsonRepository, Settings};
use crate::repository::{FlowRepository, OpenError};

/// Opens a JSON file on this disk.
///
/// # Errors
/// As [`JsonRepository::open`].
pub async fn open(
    path: &Path,
    now: DateTime<Utc>,
    settings: Settings,
    disk: &Arc<FaultyDisk>,
) -> Result<Arc<dyn FlowRepository>, OpenError> {
    let disk: Arc<dyn Disk> = Arc::<FaultyDisk>::clone(disk);
    Ok(Arc::new(JsonRepository::open_on(path, now, settings, disk).await?))
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This call and all later ones fail, and nothing more reaches the disk.
    Stop,
    /// As `Stop`; if it is a write, its first half is done.
    StopHalfway,
    /// This call fails, the next ones work.
    Once(Failure),
    /// This call and the next ones fail, until the disk is [healed](FaultyDisk::heal).
    UntilHealed(Failure),
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// ENOSPC. Of a write the first half is done, as on a disk that fills up.
    Full,
    /// EIO.
    Broken,
}

impl Failure {
    fn error(self) -> io::Error {
        match self {
            Self::Full => Errno::NOSPC.into(),
            Self::Broken => Errno::IO.into(),
        }
    }
}

/// What a power cut takes of that which was not synced. The numbers are seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All of it.
    All,
    /// Of what was written to a file the end, by chance all or nothing; of the names any, and what depends on them.
    Some(u64),
    /// As `Some`, but of what was written to a file any sectors are zeros, earlier ones too: disks write in any order.
    Sectors(u64),
}

/// The disk. Bytes that a failed sync has left behind are zeros after a power cut, even if a later sync of that file has
/// succeeded, unless they were written again.
#[derive(Debug)]
pub struct FaultyDisk {
    state: Mutex<State>,
    holds_syncs: Mutex<bool>,
    released: Condvar,
}

#[derive(Debug)]
struct State {
    calls: u64,
    planned: Option<(u64, Fault)>,
    struck: bool,
    mood: Mood,
    trace: Vec<String>,
    unsynced: Unsynced,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Stopped,
    Failing(Failure),
}

/// What is to be done with a call.
enum Verdict {
    Work,
    Fail { error: io::Error, half: bool },
}

impl FaultyDisk {
    /// A disk that is well. `kept` is a directory on the same file system as the store, but not the store's own: what
    /// was replaced or removed is kept there, for it comes back in a power cut.
    pub fn new(kept: impl Into<PathBuf>) -> Arc<Self> {
        let state = State {
            calls: 0,
            planned: None,
            struck: false,
            mood: Mood::Well,
            trace: Vec::new(),
            unsynced: Unsynced::new(kept.into()),
        };
        Arc::new(Self { state: Mutex::new(state), holds_syncs: Mutex::default(), released: Condvar::new() })
    }

    /// Lets this happen at the `call`-th call, counted from 1.
    pub fn plan(&self, call: u64, fault: Fault) {
        self.state().planned = Some((call, fault));
    }

    /// Lets calls work again.
    pub fn heal(&self) {
        self.state().mood = Mood::Well;
    }

    /// Lets syncs wait, or go on.
    pub fn hold_syncs(&self, hold: bool) {
        *self.holds_syncs.lock().unwrap_or_else(PoisonError::into_inner) = hold;
        self.released.notify_all();
    }

    fn wait_until_released(&self) {
        let held = self.holds_syncs.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.released.wait_while(held, |held| *held));
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Whether what was planned has happened.
    pub fn has_struck(&self) -> bool {
        self.state().struck
    }

    /// Every call with its number and its end, and the notes between them.
    pub fn trace(&self) -> Vec<String> {
        self.state().trace.clone()
    }

    /// Puts a line into the trace, to tell what the store was asked between its calls.
    pub fn note(&self, line: impl Into<String>) {
        self.state().trace.push(line.into());
    }

    /// The power cut. For after a stop, when nobody uses the files any more.
    ///
    /// # Panics
    /// When the files cannot be changed, which is no fault that was asked for.
    pub fn lose_unsynced(&self, loss: Loss) {
        let mut state = self.state();
        state.trace.push(format!("power cut: {loss:?}"));
        state.unsynced.lose(loss).unwrap_or_else(|error| panic!("the power cut failed: {error}"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the call and does it, or half of it, or nothing.
    fn call<T>(
        &self,
        what: String,
        work: impl FnOnce(&mut Unsynced) -> io::Result<T>,
        half: impl FnOnce(&mut Unsynced) -> io::Result<()>,
    ) -> io::Result<T> {
        let mut state = self.state();
        let verdict = state.verdict();
        let result = match verdict {
            Verdict::Work => work(&mut state.unsynced),
            Verdict::Fail { error, half: true } => half(&mut state.unsynced).and(Err(error)),
            Verdict::Fail { error, half: false } => Err(error),
        };
        let end = result.as_ref().err().map_or_else(|| "done".to_owned(), ToString::to_string);
        let line = format!("{:>4} {what}: {end}", state.calls);
        state.trace.push(line);
        result
    }
}

impl State {
    fn verdict(&mut self) -> Verdict {
        self.calls += 1;
        let failure = |failure: Failure| Verdict::Fail { error: failure.error(), half: failure == Failure::Full };
        let stopped = |half| Verdict::Fail { error: io::Error::other("the disk has stopped"), half };
        match self.mood {
            Mood::Stopped => return stopped(false),
            Mood::Failing(how) => return failure(how),
            Mood::Well => {}
        }
        let Some((_, fault)) = self.planned.take_if(|(call, _)| *call == self.calls) else { return Verdict::Work };
        self.struck = true;
        match fault {
            Fault::Stop | Fault::StopHalfway => {
                self.mood = Mood::Stopped;
                stopped(fault == Fault::StopHalfway)
            }
            Fault::Once(how) => failure(how),
            Fault::UntilHealed(how) => {
                self.mood = Mood::Failing(how);
                failure(how)
            }
        }
    }
}

/// For calls of which no half can be done.
fn nothing(_: &mut Unsynced) -> io::Result<()> {
    Ok(())
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        let what = format!("create {}", name(path));
        let create = |unsynced: &mut Unsynced| {
            let file = RealDisk.create(path)?;
            unsynced.created(path);
            Ok(file)
        };
        self.call(what, create, nothing)
    }

    fn write(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let what = format!("write {} bytes at {offset} of {}", bytes.len(), name(&path_of(file)));
        let half = &bytes[..bytes.len() / 2];
        self.call(what, |unsynced| unsynced.write(file, offset, bytes), |unsynced| unsynced.write(file, offset, half))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.wait_until_released();
        let result = self.call(format!("sync {}", name(&path_of(file))), |unsynced| unsynced.synced(file), nothing);
        let mut state = self.state();
        if result.is_err() && state.mood != Mood::Stopped {
            state.unsynced.sync_failed(file)?;
        }
        result
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        let what = format!("truncate {} to {length}", name(&path_of(file)));
        self.call(what, |unsynced| unsynced.truncate(file, length), nothing)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let what = format!("rename {} to {}", name(from), name(to));
        self.call(what, |unsynced| unsynced.rename(from, to), nothing)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(format!("remove {}", name(path)), |unsynced| unsynced.remove(path), nothing)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let synced = |unsynced: &mut Unsynced| {
            unsynced.directory_synced(path);
            Ok(())
        };
        self.call("sync the directory".to_owned(), synced, nothing)
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
