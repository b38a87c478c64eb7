//! Opens the storage for a command, and closes it.
//!
//! A command may run next to a server. Therefore:
//!
//! - A command deletes no history. Only the server applies the retention settings.
//! - A command that reads writes nothing: no migration, and no journal next to a JSON file.
//! - A command that expects a file does not create it.

use std::sync::Arc;

use chrono::TimeDelta;
use strom_server::clock;
use strom_store::FlowRepository;
use strom_store::repository::{Author, Retention, Stamp};
use strom_store::storage::{Settings, Storage};
use tempfile::TempDir;

use super::failure::Failure;
use super::output::eprint;
use super::signals::{Stop, unless_requested};
use crate::config::Flags;

/// The reason why a command opens the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Read flows.
    Read,
    /// Follow the change feed.
    Follow,
    /// Read flows for a dry run. The storage may not exist yet.
    DryRun,
    /// Change flows of an existing storage.
    Change,
    /// Change an existing storage, and repair its schema.
    Repair,
    /// Store flows. Creates the storage if it does not exist.
    Create,
}

/// A retention that deletes nothing: its limits are beyond every setting.
pub(super) const KEEP_EVERYTHING: Retention = Retention { revisions: 1_000_000, age: TimeDelta::days(1_000_000) };

/// Opens the storage, runs `work`, and closes the storage also after an error or a signal.
pub(super) async fn with_storage<T>(
    flags: &Flags,
    purpose: Purpose,
    work: impl AsyncFnOnce(&dyn FlowRepository) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut stop = match purpose {
        // Nothing must be finished. A signal ends the process, unless the command handles it.
        Purpose::Read | Purpose::Follow => None,
        Purpose::DryRun | Purpose::Change | Purpose::Repair | Purpose::Create => Some(Stop::on_signal()?),
    };
    let (repository, _directory) = unless_requested(&mut stop, open(flags, purpose)).await?;
    for fault in repository.health().await.faults {
        eprint(&format!("warning: {fault}"));
    }
    let result = unless_requested(&mut stop, work(&*repository)).await;
    drop(stop);
    Failure::or_close(result, repository.close().await)
}

/// Opens the storage. The directory contains a temporary file for a dry run on a file that does not exist.
pub(super) async fn open(
    flags: &Flags,
    purpose: Purpose,
) -> Result<(Arc<dyn FlowRepository>, Option<TempDir>), Failure> {
    let mut storage = flags.storage()?;
    let mut temporary = None;
    if !storage.may_exist() {
        match purpose {
            Purpose::Create => {}
            Purpose::Read | Purpose::Follow | Purpose::Change | Purpose::Repair => {
                return Err(Failure::MissingFile(storage.to_string()));
            }
            Purpose::DryRun => {
                let directory = tempfile::tempdir().map_err(Failure::DryRunDirectory)?;
                storage = Storage::Json(directory.path().join("flows.json"));
                temporary = Some(directory);
            }
        }
    }
    let settings = settings(flags)?.with_repair(purpose == Purpose::Repair);
    let is_read_only = match purpose {
        Purpose::Read | Purpose::DryRun => true,
        // Only the process that holds the lock of a JSON file sees its changes.
        Purpose::Follow => matches!(storage, Storage::Postgres(_)),
        Purpose::Change | Purpose::Repair | Purpose::Create => false,
    };
    let opened = match is_read_only {
        true => storage.open_read_only(clock::now(), settings).await,
        false => storage.open_with(clock::now(), settings).await,
    };
    Ok((opened?, temporary))
}

/// Returns the settings for a storage that a command changes.
pub(super) fn settings(flags: &Flags) -> Result<Settings, Failure> {
    Ok(Settings::default()
        .with_retention(KEEP_EVERYTHING)
        .with_migrations(flags.migrations()?)
        .with_read_only(flags.read_only()?))
}

/// Returns a stamp with the current time and the author `cli`.
pub(super) fn stamp() -> Stamp {
    Stamp::new(clock::now(), Author::new("cli"))
}
