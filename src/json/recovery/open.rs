//! Opens a store: resolves the path, takes the lock, and reads journal, history and file.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::base::FileVersions;
use super::compare::{Knowledge, compare};
use super::files::Files;
use super::known::{BeforeEdit, KnownFlows};
use super::reconcile::{Reconciled, file_stamp, reconcile, without_file};
use super::recover::{Recovered, RecoveryError, recover};
use crate::disk::Disk;
use crate::disk::durable::{Identity, remove_leftovers};
use crate::disk::lock::{self, LockError, Owner};
use crate::disk::paths::{existing_path, real_path};
use crate::disk::place::{Misplaced, Place, is_mount_point};
use crate::json::file::{self, Content, modified};
use crate::json::history::{History, Log};
use crate::json::hold::Hold;
use crate::json::paths::{history_path, journal_path};
use crate::json::settings::Settings;
use crate::json::upkeep::{Faults, Topic};
use crate::json::view::{View, Written};
use crate::json::writer::Writer;
use crate::repository::{OpenError, Stamp};

const CHECK_DISK: &str = "Check the path, the disk and the permissions, then try again.";
/// The pause between two attempts to take the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// How often a reader reads the files before it gives up. A store replaces a large file rarely.
const READ_ATTEMPTS: u32 = 50;

/// The parts of an open store.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The path as the operator wrote it.
    pub(crate) named: PathBuf,
    /// The path without symbolic links.
    pub(crate) path: PathBuf,
    pub(crate) at: DateTime<Utc>,
    /// `None` if the store was opened read-only.
    pub(crate) writer: Option<Writer>,
    pub(crate) view: View,
    pub(crate) history: Option<History>,
    /// The versions of the file that the journal knows.
    pub(crate) versions: FileVersions,
    pub(crate) faults: Faults,
}

/// Takes the lock and reads everything. Waits for a process that holds the lock. If the files cannot be created or
/// written, the store is readable by any number of processes, and upkeep tries to take the lock again.
pub(crate) fn open(
    path: &Path,
    now: DateTime<Utc>,
    disk: Arc<dyn Disk>,
    settings: &Settings,
) -> Result<Opened, OpenError> {
    let io_error = |error: io::Error| open_error(path, error.to_string(), CHECK_DISK);
    let begin = Instant::now();
    loop {
        let real = real_path(path).map_err(io_error)?;
        reject_mounted_files(path, &real)?;
        let hold = match Hold::take(&*disk, path, &real, settings.url.as_deref()) {
            Ok(hold) => Ok(hold),
            Err(LockError::ReadOnly(error)) => Err(unwritable(&real, &error)),
            Err(LockError::Failed(error)) if Misplaced::is(&error) => continue,
            Err(LockError::Failed(error)) => return Err(io_error(error)),
            Err(LockError::Held(_)) if begin.elapsed() < settings.lock_wait => {
                thread::sleep(LOCK_PAUSE);
                continue;
            }
            Err(LockError::Held(owner)) => return Err(held(path, owner.as_ref())),
        };
        let files = Files::open(&real, hold.is_ok()).map_err(io_error)?;
        return read_all(path, &real, OpenMode::ReadWrite(hold), &files, now, disk);
    }
}

/// Takes the lock of a store that could not be locked before, and reads everything again. Returns the reason if that is
/// still impossible.
pub(crate) fn reopen(
    named: &Path,
    real: &Path,
    now: DateTime<Utc>,
    disk: &Arc<dyn Disk>,
    url: Option<&str>,
) -> Result<Opened, String> {
    let unmoved = Place::of(named, real).and_then(|place| place.check());
    unmoved.map_err(|error| format!("{error}; restart Strom to use the files that are there now"))?;
    let hold = Hold::take(&**disk, named, real, url).map_err(|error| match error {
        LockError::ReadOnly(error) | LockError::Failed(error) => unwritable(real, &error),
        LockError::Held(owner) => format!("{}: in use by {}", real.display(), lock::named(owner.as_ref())),
    })?;
    let files = Files::open(real, true).map_err(|error| error.to_string())?;
    let opened = read_all(named, real, OpenMode::ReadWrite(Ok(hold)), &files, now, Arc::clone(disk));
    opened.map_err(|error| error.to_string())
}

fn unwritable(real: &Path, error: &io::Error) -> String {
    let directory = real.parent().unwrap_or(Path::new("/"));
    format!(
        "the files of {} cannot be created or written: {error}. Changes are rejected. Make the directory {} and its \
         files writable for the user of this process; a restart is not necessary",
        real.display(),
        directory.display()
    )
}

/// A file that is mounted by itself cannot be replaced, so the changes would remain in the journal, which is lost with
/// the container.
fn reject_mounted_files(path: &Path, real: &Path) -> Result<(), OpenError> {
    let files = [real.to_owned(), journal_path(real), history_path(real)];
    let Some(mounted) = files.iter().find(|file| file.is_file() && is_mount_point(file)) else { return Ok(()) };
    let directory = real.parent().unwrap_or(Path::new("/")).display();
    Err(open_error(
        path,
        format!("{} is mounted as a single file, which cannot be replaced", mounted.display()),
        &format!("Mount the directory instead: the directory that contains the file, at {directory}."),
    ))
}

/// Reads everything and writes nothing. The result is what a start would restore from a crash or an edit. Takes no
/// lock: if another process replaces a file in the meantime, it reads all files again.
pub(crate) fn open_read_only(path: &Path, now: DateTime<Utc>, disk: Arc<dyn Disk>) -> Result<Opened, OpenError> {
    let io_error = |error: io::Error| open_error(path, error.to_string(), CHECK_DISK);
    for _ in 0..READ_ATTEMPTS {
        let real = existing_path(path).map_err(io_error)?;
        let files = Files::open(&real, false).map_err(io_error)?;
        if !files.are_in_place(&real).map_err(io_error)? {
            continue;
        }
        let opened = read_all(path, &real, OpenMode::ReadOnly, &files, now, Arc::clone(&disk));
        if !files.was_edited().map_err(io_error)? {
            return opened;
        }
    }
    Err(open_error(path, "other programs replace the files faster than they can be read".into(), "Try again later."))
}

/// How a store is opened.
enum OpenMode {
    /// With the locks, or the reason why the files cannot be written.
    ReadWrite(Result<Hold, String>),
    ReadOnly,
}

impl OpenMode {
    fn is_writer(&self) -> bool {
        matches!(self, Self::ReadWrite(Ok(_)))
    }
}

fn read_all(
    path: &Path,
    real: &Path,
    mode: OpenMode,
    files: &Files,
    now: DateTime<Utc>,
    disk: Arc<dyn Disk>,
) -> Result<Opened, OpenError> {
    let io_error = |error: io::Error| open_error(path, error.to_string(), CHECK_DISK);
    if mode.is_writer()
        && let Err(error) = remove_leftovers(&*disk, &[real, &journal_path(real), &history_path(real)])
    {
        tracing::warn!(%error, "cannot remove an old temporary file");
    }
    // A file that cannot be understood is rejected before anything is repaired or renamed.
    if let Some((_, metadata)) = &files.file
        && !metadata.is_file()
    {
        return Err(open_error(path, "not a file".into(), "Use the path of a file. The file need not exist."));
    }
    let content = match &files.file {
        Some((file, metadata)) => match file::read(file) {
            Ok(content) => content.map(|content| (content, Identity::of(metadata), modified(metadata).unwrap_or(now))),
            Err(fault) => return Err(refused(path, real, files, &disk, now, fault)),
        },
        None => None,
    };
    let recovered = recover(&disk, real, files, now, mode.is_writer()).map_err(|error| match error {
        RecoveryError::Io(error) => io_error(error),
        RecoveryError::Newer(name) => open_error(
            path,
            format!("{name} was written by a newer version"),
            "Open the file with that version of Strom.",
        ),
    })?;
    if content.is_none()
        && files.file.is_some()
        && recovered.known_flows.flows.is_empty()
        && recovered.known_flows.tombstones.is_empty()
    {
        return Err(open_error(path, "the file is empty".into(), file::RESTORE));
    }
    assemble(path, real, disk, mode, recovered, content, now).map_err(io_error)
}

type FileContent = (Content, Identity, DateTime<Utc>);

fn assemble(
    path: &Path,
    real: &Path,
    disk: Arc<dyn Disk>,
    mode: OpenMode,
    recovered: Recovered,
    content: Option<FileContent>,
    now: DateTime<Utc>,
) -> io::Result<Opened> {
    let Recovered { known_flows, journal, history, log, versions, faults: found, is_new_log } = recovered;
    let faults = Faults::default();
    faults.set(Topic::Log, found);
    let identity = Identity::at(real)?;
    let (reconciled, identity) = match content {
        Some((content, identity, modified)) => {
            let stamp = file_stamp(modified);
            (with_file(known_flows, content, &log, &versions, &stamp)?, Some(identity))
        }
        None => {
            let documents = log.latest(|id| known_flows.flows.get(&id).is_some_and(|known| known.flow.is_none()));
            (without_file(known_flows, documents.map_err(io::Error::other)?, &file_stamp(now)), identity)
        }
    };
    let Reconciled { mut state, in_file, mut entries, tombstones, reports, quarantined, is_written } = reconciled;
    if is_new_log {
        let unrecorded = log.unrecorded(&state, &entries).map_err(io::Error::other)?;
        entries.splice(0..0, unrecorded);
    }
    faults.set(Topic::File, quarantined);
    faults.set(Topic::Conflict, reports);
    let written = Written { identity, state: in_file, seq: versions.written, is_whole: is_written, racy: None };
    let (named, at) = (path.to_owned(), now);
    let OpenMode::ReadWrite(hold) = mode else {
        state.set_reports(&entries, log.last + 1);
        let log = log.with_entries(&entries)?;
        return Ok(Opened {
            named,
            path: real.to_owned(),
            at,
            writer: None,
            view: View { state, log },
            history,
            versions,
            faults,
        });
    };
    if let Err(reason) = &hold {
        faults.set(Topic::Location, vec![reason.clone()]);
    }
    let is_writable = hold.is_ok();
    let mut writer = Writer::new(disk, real.to_owned(), hold, journal, written);
    state.set_reports(&entries, writer.next());
    if is_writable && let Err(failure) = writer.append_found(entries, &tombstones) {
        faults.set(Topic::Save, vec![format!("edits of {} cannot be saved: {failure}", path.display())]);
    }
    let log = writer.log(&log);
    if is_writable
        && !faults.has(Topic::Save)
        && let Err(failure) = writer.check_writable()
    {
        faults.set(Topic::Save, vec![failure.to_string()]);
    }
    Ok(Opened {
        named,
        path: real.to_owned(),
        at,
        writer: Some(writer),
        view: View { state, log },
        history,
        versions,
        faults,
    })
}

/// Merges the edits of the file.
fn with_file(
    known_flows: KnownFlows,
    content: Content,
    log: &Log,
    versions: &FileVersions,
    stamp: &Stamp,
) -> io::Result<Reconciled> {
    let edited = known_flows.edited(&content, !versions.is_only_last);
    let documents = match edited.is_empty() {
        true => HashMap::new(),
        false => log.latest(|id| edited.contains(&id)).map_err(io::Error::other)?,
    };
    let BeforeEdit { state, unknown, lost } = known_flows.into_state(&content, documents);
    let read = |id| versions.read.get(&id).into_iter().flatten().copied().collect();
    let known = Knowledge { state: &state, log, versions, unknown: &unknown, read: &read };
    let comparison = compare(content, &known);
    let mut reconciled = reconcile(&state, comparison, stamp);
    reconciled.lose(lost, stamp);
    Ok(reconciled)
}

/// Builds the error for a rejected file. It may contain edits, so the store does not ignore it. The error says how
/// many flows journal and history contain.
fn refused(
    path: &Path,
    real: &Path,
    files: &Files,
    disk: &Arc<dyn Disk>,
    now: DateTime<Utc>,
    fault: file::FileError,
) -> OpenError {
    let known = recover(disk, real, files, now, false).map_or(0, |recovered| recovered.known_flows.flows.len());
    let remedy = match known {
        0 => fault.remedy.to_owned(),
        count => format!(
            "{} The journal and the history contain the last saved version of {count} flows. If you move the file to \
             another path, the next start restores these flows.",
            fault.remedy
        ),
    };
    OpenError { location: path.display().to_string(), problem: fault.problem, remedy }
}

fn held(path: &Path, owner: Option<&Owner>) -> OpenError {
    let problem = format!("in use by {}", lock::named(owner));
    open_error(path, problem, "Use the running instance, or stop it first. Only one process can change the file.")
}

fn open_error(path: &Path, problem: String, remedy: &str) -> OpenError {
    OpenError { location: path.display().to_string(), problem, remedy: remedy.to_owned() }
}
