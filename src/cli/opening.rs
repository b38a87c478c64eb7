//! How a command opens the storage, and lets go of it.
//!
//! Commands work beside a server. They let go of no history, since how much is kept is for the server to say; those who only
//! read write nothing, neither a migration nor beside a file; and a file is not made by those who expect one.

use std::sync::Arc;

use chrono::TimeDelta;
use strom::FlowRepository;
use strom::clock;
use strom::repository::{Author, Retention, Stamp};
use strom::storage::{Settings, Storage};
use tempfile::TempDir;

use super::Failure;
use super::output::tell;
use crate::config::Flags;

/// What a command wants of the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To look at it.
    Read,
    /// To look at what happens to it.
    Follow,
    /// To look at it before it may be there.
    Rehearse,
    /// To change what is there.
    Change,
    /// To put something there, for the first time perhaps.
    Fill,
}

/// More than anybody asks for.
pub(super) const EVERYTHING: Retention = Retention { revisions: 1_000_000, age: TimeDelta::days(1_000_000) };

/// Opens the storage, does the work, and closes it whatever came of it.
pub(super) async fn with_storage<T>(
    flags: &Flags,
    purpose: Purpose,
    work: impl AsyncFnOnce(&dyn FlowRepository) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (repository, _empty) = open(flags, purpose).await?;
    for fault in repository.health().await.faults {
        tell(&format!("warning: {fault}"));
    }
    let done = work(&*repository).await;
    repository.close().await;
    done
}

/// The directory is that of a file which is there for the rehearsal alone.
pub(super) async fn open(
    flags: &Flags,
    purpose: Purpose,
) -> Result<(Arc<dyn FlowRepository>, Option<TempDir>), Failure> {
    let mut storage = flags.storage()?;
    let mut empty = None;
    if !storage.may_exist() {
        match purpose {
            Purpose::Fill => {}
            Purpose::Read | Purpose::Follow | Purpose::Change => return Err(Failure::NoFile(storage.to_string())),
            Purpose::Rehearse => {
                let directory = tempfile::tempdir().map_err(Failure::NoRehearsal)?;
                storage = Storage::Json(directory.path().join("flows.json"));
                empty = Some(directory);
            }
        }
    }
    let settings = settings(flags)?;
    let looks = match purpose {
        Purpose::Read | Purpose::Rehearse => true,
        // Of a file one sees what happens to it only as the one who has it.
        Purpose::Follow => matches!(storage, Storage::Postgres(_)),
        Purpose::Change | Purpose::Fill => false,
    };
    let opened = match looks {
        true => storage.look(clock::now(), settings).await,
        false => storage.open_with(clock::now(), settings).await,
    };
    Ok((opened?, empty))
}

/// How a command opens a storage that it changes.
pub(super) fn settings(flags: &Flags) -> Result<Settings, Failure> {
    Ok(Settings {
        retention: EVERYTHING,
        migrations: flags.migrations()?,
        read_only: flags.read_only()?,
        opens_while_away: false,
    })
}

/// Now, by the command line.
pub(super) fn stamp() -> Stamp {
    Stamp::new(clock::now(), Author::new("cli"))
}
