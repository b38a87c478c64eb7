//! A disk for tests that fails on demand and loses what was not synced.
//!
//! It works on real files and records what a power cut would lose: bytes since the last sync of their file, and names
//! since the last sync of their directory. It never syncs itself, which makes thousands of runs affordable.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::real::{Disk, RealDisk};
use super::unsynced::{Loss, Unsynced, path_of};

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This call and all later ones fail, and nothing more reaches the disk.
    Stop,
    /// Like `Stop`, but a write completes its first half.
    StopHalfway,
    /// This call fails, and later ones succeed.
    Once(Failure),
    /// This call and later ones fail until the disk is [healed](FaultyDisk::heal).
    UntilHealed(Failure),
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// ENOSPC. A write completes its first half, as on a disk that fills up.
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

/// A disk that fails on demand. After a power cut, bytes of a failed sync are zeros, even if a later sync of the file
/// has succeeded, unless they were written again.
#[derive(Debug)]
pub struct FaultyDisk {
    state: Mutex<State>,
    syncs: Mutex<Syncs>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct Syncs {
    are_held: bool,
    /// The number of waiting syncs.
    waiting: usize,
}

#[derive(Debug)]
struct State {
    calls: u64,
    planned: Option<(u64, Fault)>,
    /// The text in the description of a call, the number of such calls until the fault, and the fault.
    planned_on: Option<(String, u64, Fault)>,
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

/// How to handle a call.
enum Verdict {
    Work,
    Fail { error: io::Error, half: bool },
}

impl FaultyDisk {
    /// Creates a disk that works. `kept` is a directory on the same file system, but not the directory of the store.
    /// It keeps files that were replaced or removed, because a power cut may bring them back.
    pub fn new(kept: impl Into<PathBuf>) -> Arc<Self> {
        let state = State {
            calls: 0,
            planned: None,
            planned_on: None,
            struck: false,
            mood: Mood::Well,
            trace: Vec::new(),
            unsynced: Unsynced::new(kept.into()),
        };
        Arc::new(Self { state: Mutex::new(state), syncs: Mutex::default(), released: Condvar::new() })
    }

    /// Plans a fault for a call, counted from 1.
    pub fn plan(&self, call: u64, fault: Fault) {
        self.state().planned = Some((call, fault));
    }

    /// Plans a fault for one of the calls whose description in the [trace](Self::trace) contains this text, counted from 1.
    pub fn plan_on(&self, text: impl Into<String>, call: u64, fault: Fault) {
        self.state().planned_on = Some((text.into(), call, fault));
    }

    /// Lets calls succeed again.
    pub fn heal(&self) {
        self.state().mood = Mood::Well;
    }

    /// Blocks syncs, or releases them.
    pub fn hold_syncs(&self, hold: bool) {
        self.syncs().are_held = hold;
        self.released.notify_all();
    }

    /// Returns the number of syncs that [`hold_syncs`](Self::hold_syncs) blocks. They count as calls once they
    /// continue.
    pub fn held_syncs(&self) -> usize {
        self.syncs().waiting
    }

    fn wait_until_released(&self) {
        let mut syncs = self.syncs();
        syncs.waiting += 1;
        let released = self.released.wait_while(syncs, |syncs| syncs.are_held);
        released.unwrap_or_else(PoisonError::into_inner).waiting -= 1;
    }

    fn syncs(&self) -> MutexGuard<'_, Syncs> {
        self.syncs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of calls.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Whether the planned fault has happened.
    pub fn has_struck(&self) -> bool {
        self.state().struck
    }

    /// Whether calls fail until the disk is [healed](Self::heal).
    pub fn is_failing(&self) -> bool {
        matches!(self.state().mood, Mood::Failing(_))
    }

    /// Returns every call with its number and result, and the notes between them.
    pub fn trace(&self) -> Vec<String> {
        self.state().trace.clone()
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: impl Into<String>) {
        self.state().trace.push(line.into());
    }

    /// Simulates a power cut, after a stop and when no process uses the files.
    ///
    /// # Panics
    /// If the files cannot be changed.
    pub fn lose_unsynced(&self, loss: Loss) {
        let mut state = self.state();
        state.trace.push(format!("power cut: {loss:?}"));
        state.unsynced.lose(loss).unwrap_or_else(|error| panic!("the power cut failed: {error}"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the call and executes it, half of it, or nothing.
    fn call<T>(
        &self,
        what: String,
        work: impl FnOnce(&mut Unsynced) -> io::Result<T>,
        half: impl FnOnce(&mut Unsynced) -> io::Result<()>,
    ) -> io::Result<T> {
        let mut state = self.state();
        let verdict = state.verdict(&what);
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
    fn verdict(&mut self, what: &str) -> Verdict {
        self.calls += 1;
        let failure = |failure: Failure| Verdict::Fail { error: failure.error(), half: failure == Failure::Full };
        let stopped = |half| Verdict::Fail { error: io::Error::other("the disk has stopped"), half };
        match self.mood {
            Mood::Stopped => return stopped(false),
            Mood::Failing(how) => return failure(how),
            Mood::Well => {}
        }
        let planned = self.planned.take_if(|(call, _)| *call == self.calls).map(|(_, fault)| fault);
        let planned_on = self.planned_on.take_if(|(text, call, _)| {
            *call -= u64::from(what.contains(text.as_str()));
            *call == 0
        });
        let Some(fault) = planned.or(planned_on.map(|(.., fault)| fault)) else { return Verdict::Work };
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

/// Does nothing: for calls that cannot be executed halfway.
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
