//! Opening: the real path, the lock, the file, what others have changed in it, in this order.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use chrono::{DateTime, Utc};
use rustix::fs::OFlags;

use super::durable::Identity;
use super::file;
use super::lock::{Lock, LockError, real_path};
use super::state::State;
use super::writer::Writer;
use crate::repository::{Author, OpenError, Stamp};

const CHECK_DISK: &str = "Check the path, the disk and the permissions, then try again.";

/// Takes the lock and reads the file. Where the lock cannot be made because nothing can be written there, flows can
/// still be read, by anybody.
pub(super) fn open(path: &Path, now: DateTime<Utc>) -> Result<(Writer, State), OpenError> {
    let io_error = |error: io::Error| open_error(path, error.to_string(), CHECK_DISK);
    let real = real_path(path).map_err(io_error)?;
    let lock = match Lock::take(&real) {
        Ok(lock) => Ok(lock),
        Err(LockError::ReadOnly(error)) => Err(format!("no lock beside {}: {error}", real.display())),
        Err(LockError::Failed(error)) => return Err(io_error(error)),
        Err(LockError::Held(pid)) => return Err(held(path, pid)),
    };
    let (bytes, identity, state) = match read(&real).map_err(io_error)? {
        None => (Vec::new(), None, file::empty()),
        Some((_, metadata)) if !metadata.is_file() => {
            return Err(open_error(path, "not a file".into(), "Name a file; it need not exist yet."));
        }
        Some((bytes, metadata)) => {
            let found = Stamp::new(modified(&metadata).unwrap_or(now), Author::file());
            let state = file::read(&bytes, &found).map_err(|fault| open_error(path, fault.problem, fault.remedy))?;
            (bytes, Some(Identity::of(&metadata)), state)
        }
    };
    let mut writer = Writer::new(real, lock, identity);
    if identity.is_some() {
        writer.keep_books(&bytes, &state);
    }
    Ok((writer, state))
}

/// The identity is taken before the content: what is written in between is noticed before the next save. Opening does
/// not wait, not even for the writer of a pipe.
fn read(path: &Path) -> io::Result<Option<(Vec<u8>, Metadata)>> {
    let options = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).to_owned();
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    if metadata.is_file() {
        file.read_to_end(&mut bytes)?;
    }
    Ok(Some((bytes, metadata)))
}

fn modified(metadata: &Metadata) -> Option<DateTime<Utc>> {
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
