//! The storages of a switch: opening the source and the target.

use std::sync::Arc;

use strom_server::clock;
use strom_store::postgres::MigrationState;
use strom_store::repository::{FlowRepository, OpenError};
use strom_store::storage::{Settings, Storage};

use super::output::eprint;
use super::output_path::is_same_file;
use super::repository::KEEP_EVERYTHING;

/// Opens the source. A PostgreSQL source is opened read-only. A JSON file is opened for writing, which takes its lock.
pub(super) async fn open_source(from: &Storage) -> Result<Arc<dyn FlowRepository>, OpenError> {
    let read_only = matches!(from, Storage::Postgres(_));
    from.open_with(clock::now(), Settings::default().with_retention(KEEP_EVERYTHING).with_read_only(read_only)).await
}

/// Opens the target without changing it. Returns `None` if it does not exist or has no schema.
pub(super) async fn open_read_only(to: &Storage) -> Result<Option<Arc<dyn FlowRepository>>, OpenError> {
    match to {
        Storage::Postgres(_) => {
            let status = to.migrations().await?;
            let mut migrations = status.iter().flat_map(|status| &status.migrations);
            if migrations.all(|migration| migration.state == MigrationState::Pending) {
                eprint(&format!("note: {to} has no schema yet; flows of an older version in it were not compared"));
                return Ok(None);
            }
        }
        _ if !to.may_exist() => return Ok(None),
        _ => {}
    }
    look_at(to).await.map(Some)
}

/// Opens a storage for a dry run: no lock, no recovery, no migration.
pub(super) async fn look_at(storage: &Storage) -> Result<Arc<dyn FlowRepository>, OpenError> {
    storage.open_read_only(clock::now(), Settings::default().with_retention(KEEP_EVERYTHING)).await
}

/// Whether both storages are the same.
pub(super) fn is_same(from: &Storage, to: &Storage) -> bool {
    match (from, to) {
        (Storage::Json(from), Storage::Json(to)) => is_same_file(from, to),
        _ => from.to_string() == to.to_string(),
    }
}
