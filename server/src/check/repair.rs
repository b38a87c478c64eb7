//! Repairs: stores a document again.

use super::histories;
use strom_store::flow::{Flow, FlowId};
use strom_store::repository::{
    Change, FlowRepository, FlowRepositoryExt as _, Precondition, RepositoryError, Result, Revision, Stamp, Stored,
};

/// Adds the current content of a flow to its history. Returns whether the history now ends with it.
pub(super) async fn record_current(repository: &dyn FlowRepository, id: FlowId, stamp: &Stamp) -> Result<bool> {
    let Some(Stored { item, version }) = repository.get(id).await? else { return Ok(false) };
    store_again(repository, item, version.revision, stamp).await?;
    histories::has_current(repository, id).await
}

/// Stores a flow again, which updates its columns. Returns false if another writer changed the flow in the meantime. Such a
/// write updates the columns as well.
pub(super) async fn store_again(
    repository: &dyn FlowRepository,
    flow: Flow,
    revision: Revision,
    stamp: &Stamp,
) -> Result<bool> {
    // SQL can store a revision below 1, which no precondition can name.
    let precondition = if revision < Revision::FIRST { Precondition::Present } else { Precondition::At(revision) };
    match repository.apply_all(vec![Change::Put(flow, precondition)], stamp.clone()).await {
        Ok(_) => Ok(true),
        Err(RepositoryError::Conflict(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
