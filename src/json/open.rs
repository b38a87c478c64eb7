//! Opening: the real path, the lock, journal and history, the file, and what others have changed in it.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustix::fs::{Access, OFlags, access};

use super::faults::{Faults, Topic};
use super::file::{self, Content};
use super::history::{self, History};
use super::journal;
use super::reconcile::{Ours, Reconciled, found_at, reconcile, without_file};
use super::recovery::{Recovered, RecoveryError, recover};
use super::writer::{View, Writer, Written};
use crate::disk::Disk;
use crate::disk::durable::{Identity, remove_leftovers};
use crate::disk::lock::{Lock, LockError, existing_path, real_path};
use crate::flow::{Flow, FlowId};
use crate::repository::OpenError;

const CHECK_DISK: &str = "Check the path, the disk and the permissions, then try again.";

/// An open store.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) path: PathBuf,
    /// `None` when it was opened to look.
    pub(super) writer: Option<Writer>,
    pub(super) view: View,
    pub(super) history: Option<History>,
    pub(super) faults: Faults,
}

/// Takes the lock and reads everything. Where the lock cannot be made because nothing can be written there, flows can
/// still be read, by anybody.
pub(super) fn open(path: &Path, now: DateTime<Utc>, disk: Arc<dyn Disk>) -> Result<Opened, OpenError> {
    let io_error = |error: io::Error| open_error(path, error.to_string(), CHECK_DISK);
    let real = real_path(path).map_err(io_error)?;
    let lock = match Lock::take(&real) {
        Ok(lock) => Ok(lock),
        Err(LockError::ReadOnly(error)) => Err(format!("no lock beside {}: {error}", real.display())),
        Err(LockError::Failed(error)) => return Err(io_error(error)),
        Err(LockError::Held(pid)) => return Err(held(path, pid)),
    };
    let lock = lock.and_then(|lock| may_write(&real).map(|()| lock));
    read_all(path, &real, Rights::ToWrite(lock), now, disk)
}

/// Reads everything and writes nothing: what a crash has left and what somebody has edited is shown as a start would take it
/// in. A server is kept away while that is read; later it changes nothing of what was.
pub(super) fn look(path: &Path, now: DateTime<Utc>, disk: Arc<dyn Disk>) -> Result<Opened, OpenError> {
    let io_error = |error: io::Error| open_error(path, error.to_string(), CHECK_DISK);
    let real = existing_path(path).map_err(io_error)?;
    loop {
        let lock = match Lock::look(&real) {
            Ok(lock) => lock,
            // That of somebody else, which cannot be read: as for those who write, no reason not to show the flows.
            Err(LockError::ReadOnly(_)) => return read_all(path, &real, Rights::ToLook, now, disk),
            Err(LockError::Failed(error)) => return Err(io_error(error)),
            Err(LockError::Held(pid)) => return Err(held(path, pid)),
        };
        let opened = read_all(path, &real, Rights::ToLook, now, Arc::clone(&disk));
        // Where there was no lock, somebody may have taken the first one meanwhile.
        if lock.is_some() || !Lock::exists(&real) {
            return opened;
        }
    }
}

/// What may be done with the files.
enum Rights {
    /// Everything, or why they cannot be written.
    ToWrite(Result<Lock, String>),
    ToLook,
}

impl Rights {
    fn is_writer(&self) -> bool {
        matches!(self, Self::ToWrite(Ok(_)))
    }
}

fn read_all(
    path: &Path,
    real: &Path,
    rights: Rights,
    now: DateTime<Utc>,
    disk: Arc<dyn Disk>,
) -> Result<Opened, OpenError> {
    let io_error = |error: io::Error| open_error(path, error.to_string(), CHECK_DISK);
    if rights.is_writer()
        && let Err(error) = remove_leftovers(&*disk, &[real, &journal::path_beside(real), &history::path_beside(real)])
    {
        tracing::warn!(%error, "a temporary file that was left behind cannot be removed");
    }
    // What cannot be understood is refused before anything is mended or put aside.
    let file = read(real).map_err(io_error)?;
    if let Some((_, metadata)) = &file
        && !metadata.is_file()
    {
        return Err(open_error(path, "not a file".into(), "Name a file; it need not exist yet."));
    }
    let content = match &file {
        Some((file, metadata)) => match file::read(file) {
            Ok(content) => content.map(|content| (content, Identity::of(metadata), modified(metadata).unwrap_or(now))),
            Err(fault) => return Err(refused(path, real, &disk, now, fault)),
        },
        None => None,
    };
    let recovered = recover(&disk, real, now, rights.is_writer()).map_err(|error| match error {
        RecoveryError::Io(error) => io_error(error),
        RecoveryError::Newer(name) => {
            open_error(path, format!("{name} was written by a newer Strom"), "Open the store with that Strom.")
        }
    })?;
    if content.is_none() && file.is_some() && recovered.ours.flows.is_empty() && recovered.ours.gone.is_empty() {
        return Err(open_error(path, "the file is empty".into(), file::RESTORE));
    }
    assemble(path, real, disk, rights, recovered, content, now).map_err(io_error)
}

/// Journal and history, where they are there, must be ours to write as well.
fn may_write(real: &Path) -> Result<(), String> {
    let beside = [journal::path_beside(real), history::path_beside(real)];
    match beside.iter().find(|path| path.exists() && access(*path, Access::WRITE_OK).is_err()) {
        Some(path) => Err(format!("{} cannot be written", path.display())),
        None => Ok(()),
    }
}

type Read = (Content, Identity, DateTime<Utc>);

fn assemble(
    path: &Path,
    real: &Path,
    disk: Arc<dyn Disk>,
    rights: Rights,
    recovered: Recovered,
    content: Option<Read>,
    now: DateTime<Utc>,
) -> io::Result<Opened> {
    let Recovered { ours, journal, history, log, written, faults: found, is_new_log } = recovered;
    let faults = Faults::default();
    faults.set(Topic::Log, found);
    let identity = Identity::at(real)?;
    let (reconciled, identity) = match content {
        Some((content, identity, modified)) => {
            let documents = documents(&log, &ours, &content)?;
            (reconcile(ours, content, documents, &found_at(modified)), Some(identity))
        }
        None => {
            let documents = log.latest(|id| ours.flows.get(&id).is_some_and(|known| known.flow.is_none()));
            (without_file(ours, documents.map_err(io::Error::other)?, &found_at(now)), identity)
        }
    };
    let Reconciled { state, in_file, mut made, gone, reports, quarantined, is_written } = reconciled;
    if is_new_log {
        let untold = log.untold(&state, &made).map_err(io::Error::other)?;
        made.splice(0..0, untold);
    }
    faults.set(Topic::File, quarantined);
    faults.set(Topic::Conflict, reports);
    let written = Written { identity, state: in_file, seq: written, is_whole: is_written };
    let Rights::ToWrite(lock) = rights else {
        let log = log.with(&made)?;
        return Ok(Opened { path: real.to_owned(), writer: None, view: View { state, log }, history, faults });
    };
    let is_writable = lock.is_ok();
    let mut writer = Writer::new(disk, real.to_owned(), lock, journal, written);
    if is_writable && let Err(failure) = writer.write_down(made, &gone) {
        faults.set(Topic::Save, vec![format!("changes found in {} are not written down: {failure}", path.display())]);
    }
    let log = writer.log(&log);
    Ok(Opened { path: real.to_owned(), writer: Some(writer), view: View { state, log }, history, faults })
}

/// Those of flows that somebody has taken out of the file.
fn documents(log: &super::log::Log, ours: &Ours, content: &Content) -> io::Result<HashMap<FlowId, Flow>> {
    let taken_out = ours.taken_out(content);
    if taken_out.is_empty() {
        return Ok(HashMap::new());
    }
    log.latest(|id| taken_out.contains(&id)).map_err(io::Error::other)
}

/// A file that is refused is the truth of somebody who has edited it, so it is not passed over; but where journal and
/// history have the flows too, that is said.
fn refused(path: &Path, real: &Path, disk: &Arc<dyn Disk>, now: DateTime<Utc>, fault: file::Fault) -> OpenError {
    let known = recover(disk, real, now, false).map_or(0, |recovered| recovered.ours.flows.len());
    let remedy = match known {
        0 => fault.remedy.to_owned(),
        count => format!(
            "{} The journal and its history have {count} flows as they were saved last; they are put together from \
             there when the file is moved away.",
            fault.remedy
        ),
    };
    OpenError { location: path.display().to_string(), problem: fault.problem, remedy }
}

/// Opening does not wait, not even for the writer of a pipe.
pub(super) fn read(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    let options = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).to_owned();
    match options.open(path) {
        // The identity is taken before the content: what is written in between is noticed later.
        Ok(file) => file.metadata().map(|metadata| Some((file, metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// When the file was written last.
pub(super) fn modified(metadata: &Metadata) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(metadata.mtime(), u32::try_from(metadata.mtime_nsec()).ok()?)
}

fn held(path: &Path, pid: Option<u32>) -> OpenError {
    let owner = pid.map_or_else(|| "another process".to_owned(), |pid| format!("the process {pid}"));
    let problem = format!("in use by {owner}");
    open_error(path, problem, "Ask the Strom that runs there, or stop it first; one process at a time has the file.")
}

fn open_error(path: &Path, problem: String, remedy: &str) -> OpenError {
    OpenError { location: path.display().to_string(), problem, remedy: remedy.to_owned() }
}
